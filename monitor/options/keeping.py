"""The past, copies of it, and this installation."""

from __future__ import annotations

import argparse
from pathlib import Path

from monitor.options._shared import Add, take_file, take_state


def keeping(add: Add) -> None:
    export = add("export", "write what is kept of the past: looks, roll-ups, transitions, events, incidents")
    take_file(export)
    export.add_argument(
        "--what", choices=("samples", "rollups", "transitions", "events", "incidents"), default="samples",
        help="what to write (%(default)s)",
    )  # fmt: skip
    export.add_argument(
        "--check", dest="checks", action="append", default=[], metavar="NAME", help="only this check; may be repeated"
    )
    export.add_argument("--since", default="7d", metavar="WHEN", help="so long ago, or a time (%(default)s)")
    export.add_argument("--until", default="0s", metavar="WHEN", help="so long ago, or a time (now)")
    export.add_argument("--step", default="1h", metavar="SPAN", help="the period of roll-ups (%(default)s)")
    export.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="how to write it (%(default)s)")
    export.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="read this state directory, without the configuration"
    )

    backup = add("backup", "copy the journal and the history beside a running agent, and verify the copy")
    backup.add_argument("file", metavar="FILE", type=Path, help="where to; the history goes beside it")
    take_state(backup)
    backup.add_argument("--force", action="store_true", help="replace what is there")
    backup.add_argument("--no-history", action="store_true", help="only the journal: states, incidents, events")

    restore = add("restore", "put a backup in the place of the journal, while no agent runs")
    restore.add_argument("file", metavar="FILE", type=Path, help="what brownout backup has made")
    take_state(restore)


def installing(add: Add) -> None:
    install = add("install", "make this installation a service of systemd, or mend it")
    install.add_argument(
        "--with", dest="additions", action="append", default=[], metavar="NAMES",
        help="what is opened for some probes: clock, exec, home, host, icmp, journald, logs, ping; commas between",
    )  # fmt: skip
    _take_placing(install)
    install.add_argument("--program", metavar="PATH", help="what the unit runs (this installation's brownout)")
    install.add_argument("--packaged", action="store_true", help="place files as a distribution's package has them")

    uninstall = add("uninstall", "remove the service; state and configuration stay")
    _take_placing(uninstall)
    uninstall.add_argument("--purge", action="store_true", help="remove state, configuration and secrets as well")


def _take_placing(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="print what would be done, and do nothing")
    command.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="work below DIR: only files, nothing is run"
    )
