"""The command line: parses, hands over to one module a command, and turns the outcome into an exit code.

Only what `--help` needs is imported here; a command's own imports happen when it is called.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from contextlib import suppress
from functools import partial

from monitor.options.keeping import installing, keeping
from monitor.options.responding import responding
from monitor.options.telling import announcing, calling, marking
from monitor.options.trying import trying
from monitor.options.watching import asking, watching
from monitor.signals import keep_signals

GROUPS = (watching, asking, responding, trying, announcing, calling, marking, keeping, installing)
"""Commands in the order of ``--help``; what each takes is in `monitor.options`."""
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
    for group in GROUPS:
        group(partial(_command, commands))
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


class _Version(argparse.Action):
    """Looked up only when it is asked for: reading the metadata takes longer than the rest of `--help`."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"brownout {version('brownout')}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
