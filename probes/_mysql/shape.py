"""The shape of a statement of MySQL's, where double quotes are texts, a backslash escapes, # begins a comment."""

from __future__ import annotations

import re

from probes._sql_shape import shape

_MOST_READ = 4096
_OWN = re.compile(
    r"""
      (?P<text>'(?:[^'\\]|\\.|'')*(?:'|$) | "(?:[^"\\]|\\.|"")*(?:"|$))
    | (?P<comment>\#[^\n]* | --(?:[\s][^\n]*|$) | /\*.*?(?:\*/|$))
    | (?P<name>`[^`]*(?:`|$))
    """,
    re.VERBOSE | re.DOTALL,
)


def mysql_shape(sql: str, limit: int = 120) -> str:
    """`sql` without literals and comments, on one line, cut to `limit` characters."""
    cut = len(sql) > _MOST_READ
    text = _OWN.sub(_plain, sql[:_MOST_READ])
    return shape(text + (" …" if cut else ""), limit)


def _plain(found: re.Match[str]) -> str:
    if found["text"]:
        return "'?'"
    return found["name"].strip("`") if found["name"] else " "
