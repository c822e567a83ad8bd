"""What commands that read the configuration do alike: find and load it, and say what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

from monitor.config.load import load
from monitor.config.model import Config, ConfigError
from monitor.journald import complain
from monitor.kinds import installed_kinds

DEFAULT_FILES = (Path("checks.yaml"), Path("/etc/brownout/checks.yaml"))

FAULTS_SHOWN = 100
"""Faults printed for people; `--json` prints up to a thousand."""


def load_or_explain(path: Path | None, *, ending: str = "") -> Config | None:
    """The configuration, or None after every fault was printed to stderr, with `ending` in the last line."""
    try:
        return load(path or default_file(), kinds=installed_kinds(), env=os.environ)
    except ConfigError as error:
        print_faults(error, ending=ending)
        return None


def default_file() -> Path:
    # Of a folder that this user may not see, `Path.exists` raises.
    return next((path for path in DEFAULT_FILES if os.access(path, os.F_OK)), DEFAULT_FILES[0])


def print_faults(error: ConfigError, *, ending: str = "") -> None:
    for fault in error.faults[:FAULTS_SHOWN]:
        complain(fault)
    more = len(error.faults) + error.more - FAULTS_SHOWN
    if more > 0:
        listed = "more of them" if error.more else "them all"
        complain(f"... and {more} more: brownout validate --json lists {listed}")
    complain(f"brownout: {error}{ending}")
