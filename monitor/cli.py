"""The command line: parses, hands over to one module a command, and turns the outcome into an exit code.

Only what `--help` needs is imported here; a command's own imports happen when it is called.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from monitor.signals import keep_signals

_Add = Callable[[str, str], argparse.ArgumentParser]
"""Adds a command, told its name and what it does."""

EXIT_CODES = """\
exit codes:
  0  fine
  1  a finding: a bad service, an open incident, a failed look, an agent that had to give up
  2  wrong usage or configuration; nothing was started
"""


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if "run" in arguments[:1]:  # before anything that takes time
        keep_signals()
    _occupy_standard_descriptors()
    options = _parser().parse_args(arguments)
    command = importlib.import_module(f"monitor.commands.{options.command}")
    try:
        code = int(command.execute(options))
        print(end="", flush=True)  # what is left of the output: here its reader may have gone, too
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        sys.stderr.close()
        with suppress(
            OSError, AttributeError
        ):  # what it has not read would be tried again at the end, and be another exit code
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1 if options.command == "run" else 0  # an agent that ends has given up, whatever took it down
    return code


def _occupy_standard_descriptors() -> None:
    """A socket or a file in the place of a closed stdin, stdout or stderr would be written to, and libuv aborts."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="brownout",
        description="Uptime and degradation monitoring that knows a brownout from a blackout.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for group in (_watching, _asking, _trying, _keeping, _installing):
        group(partial(_command, commands))
    return parser


def _watching(add: _Add) -> None:
    run = add("run", "watch, judge and tell, until stopped")
    _file(run)

    validate = add("validate", "check the configuration and tell every fault at once")
    _file(validate)
    _json(validate)

    look = add("look", "take one look now: phases, measurements, verdict, and why")
    _file(look)
    look.add_argument("name", metavar="NAME", help="the check's name or id")
    _json(look)

    schema = add("schema", "print the JSON Schema of checks.yaml, for editors")
    schema.add_argument("--event", action="store_true", help="print the schema of events (the webhook body) instead")

    demo = add("demo", "the whole product in a minute: a sample shop goes bad and recovers")
    demo.add_argument("--port", type=int, default=9788, help="where the agent's page is served (%(default)s)")
    demo.add_argument(
        "--export", type=Path, metavar="SVG", help="write the screen of the outage as a picture instead of showing it"
    )


def _asking(add: _Add) -> None:
    status = add("status", "how everything stands, from a running agent")
    status.add_argument("--url", default="http://127.0.0.1:9788", help="where the agent listens (%(default)s)")
    _json(status)

    reload = add("reload", "have the running agent read its file again, and tell what changed")
    _file(reload)
    reload.add_argument("--url", default="", help="where the agent listens (what FILE says)")
    reload.add_argument(
        "--token-file",
        type=Path,
        metavar="TOKEN",
        help="a file with a token of agent.tokens that has the scope admin (else $BROWNOUT_TOKEN; else SIGHUP)",
    )
    _json(reload)


def _trying(add: _Add) -> None:
    replay = add("replay", "judge the recorded looks again, and tell what would have been sent")
    replay.add_argument(
        "looks", metavar="FILE.jsonl", nargs="?",
        help="recorded looks as JSON lines (brownout export), - for standard input; else the agent's own history",
    )  # fmt: skip
    replay.add_argument(
        "--config",
        type=Path,
        metavar="CONFIG",
        help="judge all by this (what was in force then; of FILE.jsonl: checks.yaml, or the installed one)",
    )
    replay.add_argument("--state-dir", type=Path, metavar="DIR", help="read this state directory (what CONFIG says)")
    replay.add_argument(
        "--check", dest="checks", action="append", default=[], metavar="NAME", help="only this check; may be repeated"
    )
    replay.add_argument("--since", metavar="WHEN", help="so long ago, or a time (7d; of FILE.jsonl: all)")
    replay.add_argument("--until", metavar="WHEN", help="so long ago, or a time (now)")
    replay.add_argument("--all", action="store_true", help="show every message, not only the last 30")
    _json(replay)

    plan = add("plan", "what a reload of another file would change, and which open incidents it touches")
    plan.add_argument("new", metavar="NEW", type=Path, help="the configuration to come")
    plan.add_argument(
        "--current", type=Path, metavar="FILE", help="the one in force (checks.yaml, or /etc/brownout/checks.yaml)"
    )
    plan.add_argument("--state-dir", type=Path, metavar="DIR", help="the agent's state directory (what FILE says)")
    _json(plan)

    maintain = add("maintain", "announce maintenance: nothing is paged for it until it ends; or list it, or end it")
    maintain.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help="checks, services, labels (tier=web); without any, windows are listed",
    )
    maintain.add_argument("--for", dest="lasts", metavar="SPAN", help="how long, such as 2h; it always ends")
    maintain.add_argument("--until", metavar="TIME", help="until then, such as 2026-12-01T22:00:00Z")
    maintain.add_argument("--why", default="", metavar="TEXT", help="what is done; shown with what is in maintenance")
    maintain.add_argument("--end", action="store_true", help="end windows now: by their ids, or by what they cover")
    maintain.add_argument("--config", type=Path, metavar="CONFIG", help="the file of the agent that is asked")
    _reached(maintain, "operate")
    _json(maintain)


def _reached(command: argparse.ArgumentParser, scope: str) -> None:
    command.add_argument("--url", default="", help="where the agent listens (what its file says)")
    command.add_argument(
        "--token-file",
        type=Path,
        metavar="TOKEN",
        help=f"a file with a token of agent.tokens that has the scope {scope} (else $BROWNOUT_TOKEN)",
    )


def _keeping(add: _Add) -> None:
    export = add("export", "write what is kept of the past: looks, roll-ups, transitions, events, incidents")
    _file(export)
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
    _state(backup)
    backup.add_argument("--force", action="store_true", help="replace what is there")
    backup.add_argument("--no-history", action="store_true", help="only the journal: states, incidents, events")

    restore = add("restore", "put a backup in the place of the journal, while no agent runs")
    restore.add_argument("file", metavar="FILE", type=Path, help="what brownout backup has made")
    _state(restore)


def _installing(add: _Add) -> None:
    install = add("install", "make this installation a service of systemd, or mend it")
    install.add_argument(
        "--with", dest="additions", action="append", default=[], metavar="NAMES",
        help="what the sandbox opens for some probes: clock, exec, home, host, journald, logs, ping; commas between",
    )  # fmt: skip
    _placing(install)
    install.add_argument("--program", metavar="PATH", help="what the unit runs (this installation's brownout)")
    install.add_argument("--packaged", action="store_true", help="place files as a distribution's package has them")

    uninstall = add("uninstall", "remove the service; state and configuration stay")
    _placing(uninstall)
    uninstall.add_argument("--purge", action="store_true", help="remove state, configuration and secrets as well")


def _state(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, metavar="CONFIG", help="the configuration that names the state_dir")
    command.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="the agent's state_dir, without a configuration"
    )


def _placing(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dry-run", action="store_true", help="print what would be done, and do nothing")
    command.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="work below DIR: only files, nothing is run"
    )


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def _file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        type=Path,
        help="the configuration (checks.yaml, or /etc/brownout/checks.yaml)",
    )


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="output for machines")


class _Version(argparse.Action):
    """Looked up only when it is asked for: reading the metadata takes longer than the rest of `--help`."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"brownout {version('brownout')}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
