"""What backup and restore do alike: find the state directory, say what was copied."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from monitor.store.offline import Copied


def state_dir_of(options: Namespace) -> Path | None:
    """By `--state-dir`, or by the configuration; None after its faults were printed."""
    if options.state_dir is not None:
        return Path(options.state_dir)
    from monitor.commands._configuration import load_or_explain  # where no file is asked for, nothing reads one

    config = load_or_explain(options.config, ending="; --state-dir DIR asks for no configuration")
    return None if config is None else config.agent.state_dir


def told(copied: Copied) -> str:
    """What was copied, in a line or two."""
    text = f"{copied.file}: {copied.size / 2**20:.1f} MiB, {copied.checks} checks, "
    text += f"{copied.incidents} open incidents, {copied.rows} undelivered"
    return text + (f"\n{copied.history}: the history" if copied.history else "")
