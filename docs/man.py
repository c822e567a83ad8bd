"""The manual page, made from the command line itself and from operations.md: `python -m docs.man`."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from pathlib import Path

from docs.reference import subcommands
from monitor.cli import EXIT_CODES, _parser

_PAGE = Path(__file__).parent / "operations.md"
_ROW = re.compile(r"^\| (.+?) \| (.+?) \|$", re.MULTILINE)


def manual() -> str:
    """brownout(1) in the macros of man(7)."""
    told = _parser().description or ""
    parts = [
        f'.TH BROWNOUT 1 "" "brownout {version("brownout")}" "Brownout"',
        ".SH NAME",
        "brownout \\- uptime and degradation monitoring agent",
        ".SH SYNOPSIS",
        ".B brownout\n.I COMMAND\n[argument ...]",
        ".SH DESCRIPTION",
        _text(told + " How it is run as a service, and what to do at night: docs/operations.md of its sources."),
        ".SH COMMANDS",
        *map(_command, subcommands()),
        ".SH EXIT STATUS",
        *(
            f".TP\n.B {code}\n{_text(what)}"
            for code, what in re.findall(r"^  (\d+)  (.+)$", EXIT_CODES, re.MULTILINE)
        ),
        ".SH FILES",
        *(f".TP\n.I {_text(name)}\n{_text(what)}" for name, what in _table("Files")),
        ".SH ENVIRONMENT",
        *(f".TP\n.B {_text(name)}\n{_text(what)}" for name, what in _table("Environment")),
        ".SH SEE ALSO",
        ".BR systemctl (1),\n.BR systemd.exec (5),\n.BR journalctl (1)",
    ]
    return "\n".join(parts) + "\n"


def _command(name: str) -> str:
    command = subcommands()[name]
    words, rows = [f".SS {name}"], []
    synopsis = [f"brownout {name}"]
    for action in command._actions:  # noqa: SLF001  (argparse has no other way to its arguments)
        shown = action.option_strings[-1] if action.option_strings else str(action.metavar)
        if shown == "--help":
            continue
        value = f" {action.metavar or action.dest.upper()}" if action.option_strings and action.nargs != 0 else ""
        optional = bool(action.option_strings) or action.nargs in ("?", "*")
        synopsis.append(f"[{shown}{value}]" if optional else shown)
        told = (action.help or "").replace("%(default)s", str(action.default))
        rows.append(f".TP\n.B {_text(shown + value)}\n{_text(told[:1].upper() + told[1:])}.")
    words += [f".nf\n{_text(' '.join(synopsis))}\n.fi", ".PP", _text(command.description or ""), *rows]
    return "\n".join(words)


def _table(title: str) -> list[tuple[str, str]]:
    """The rows of the table under a heading of operations.md, without its head."""
    part = _PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return _ROW.findall(part)[2:]


def _text(text: str) -> str:
    """Plain words for roff: no marks of Markdown, no line that begins with a control character."""
    plain = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text).replace("`", "").replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in plain.splitlines())


if __name__ == "__main__":
    sys.stdout.write(manual())
