"""A statement's shape: what it does, without what it is about. Literals and comments can hold customers' data."""

from __future__ import annotations

import re

_MOST_READ = 4096

_TOKEN = re.compile(
    r"""
      (?P<gap>\s+)
    | (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<text>(?:[eEbBxXnN]|[uU]&)?')
    | (?P<name>[^\W\d][\w$]*)
    | (?P<quoted>")
    | (?P<parameter>\$\d+)
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<number>0[xXoObB][\da-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")
_ROWS = re.compile(r"(\(\?(?:, …)?\))(?:\s*,\s*\(\?(?:, …)?\))+")
_CUT = "…"


def shape(sql: str, limit: int = 120) -> str:
    """`sql` with ``?`` for literals, without comments, on one line, cut to `limit` characters.

    Where it cannot be told for certain what is a literal, as in a text that is cut off, the rest is left out.
    """
    whole = len(sql) <= _MOST_READ
    sql = sql[:_MOST_READ]
    parts: list[str] = []
    at = 0
    while at < len(sql):
        shown, following = _shown(sql, _TOKEN.match(sql, at))
        parts.append(shown)
        if following is None:
            whole = False
            break
        at = following
    text = " ".join("".join(parts).split())
    text = _ROWS.sub(rf"\1, {_CUT}", _LIST.sub(f"(?, {_CUT})", text))
    if not whole and not text.endswith(_CUT):
        text += _CUT
    return text if len(text) <= limit else text[: limit - 1] + _CUT


def _shown(sql: str, found: re.Match[str] | None) -> tuple[str, int | None]:
    """What is shown of a token, and where the next begins; None: nobody can tell."""
    if found is None:  # never: the last alternative takes anything
        return "", None
    kind, text, end = found.lastgroup, found[0], found.end()
    if kind in ("gap", "line"):
        return " ", end
    if kind == "block":
        return " ", _end_of_comment(sql, end)
    if kind == "text":
        return "?", _end_of_text(sql, end, escapes=text[0] in "eE")
    if kind == "dollar":
        close = sql.find(text, end)
        return "?", close + len(text) if close >= 0 else None
    if kind == "number":
        return "?", end
    if kind == "quoted":
        following = _end_of_quoted(sql, end)
        return (_CUT, None) if following is None else (sql[found.start() : following], following)
    return text, end


def _end_of_comment(sql: str, at: int) -> int | None:
    """They nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return None


def _end_of_text(sql: str, at: int, *, escapes: bool) -> int | None:
    """Without standard_conforming_strings a backslash escapes in every text. So where it matters, nobody can tell."""
    while True:
        close = sql.find("'", at)
        if close < 0:
            return None
        slashes = close - len(sql[at:close].rstrip("\\")) - at if close > at else 0
        if slashes % 2:
            if not escapes:
                return None
            at = close + 1
        elif sql.startswith("''", close):
            at = close + 2
        else:
            return close + 1


def _end_of_quoted(sql: str, at: int) -> int | None:
    while True:
        close = sql.find('"', at)
        if close < 0:
            return None
        if not sql.startswith('""', close):
            return close + 1
        at = close + 2
