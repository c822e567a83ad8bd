"""Regular expressions that people write and hostile text is searched with: RE2, whose time is linear in the text."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from time import thread_time
from typing import Any

import re2

from probes._look import Look, visible
from probes.contract import BadField, LookFailed, Reason

_AT_ONCE = 64 * 1024
"""Bytes that a pattern is searched in on the loop: a tenth of a millisecond. RE2 lets go of the interpreter while it
searches, so more is searched in a thread, and no pattern can hold the loop twice."""

_BRIEF = 4096
_LONG = 0.002
"""Seconds of a search that tell that a pattern is a slow one. What is repeated hundreds of times (`cart.{0,500}paid`)
can cost a thousand times as much where a body is made for it: 0.13 s for 64 KB. From then on it is searched beside
the loop, but in brief bodies."""
_MOST_SLOW = 4096
_slow: set[bytes] = set()

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20


def compiled(text: str | bytes) -> Any:
    """Raises ValueError in RE2's words, which may quote a part of the pattern behind a colon."""
    try:
        return re2.compile(text, _OPTIONS)
    except re2.error as error:
        said = error.args[0] if error.args else "not understood"
        raise ValueError(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from error


@lru_cache(maxsize=4096)
def pattern(field_name: str, text: str | None, *, as_text: bool = False) -> Any:
    """The compiled RE2 pattern, over bytes unless `as_text`; None for None. Raises `BadField` for `field_name`."""
    if text is None:
        return None
    try:
        return compiled(text if as_text else text.encode())
    except ValueError as error:
        said = str(error).partition(":")[0]  # what follows is a part of the pattern, which may be half a secret
        raise BadField(field_name, f"{text!r} is not a regular expression (RE2): {said}") from error


async def searched(look: Look, wanted: Any, text: bytes | bytearray) -> Any:
    """The first match of a pattern over bytes, or None. Raises `LookFailed` (late) when there is no time left."""
    if len(text) <= (_BRIEF if wanted.pattern in _slow else _AT_ONCE):
        began = thread_time()
        found = wanted.search(text)
        if thread_time() - began > _LONG and len(_slow) < _MOST_SLOW:
            _slow.add(wanted.pattern)
        return found
    try:
        async with asyncio.timeout(look.left()):
            return await asyncio.to_thread(wanted.search, text)
    except TimeoutError:
        detail = "the body was there, but searching it took longer than the time that was left"
        raise LookFailed(Reason.LATE, detail) from None


def shown(wanted: Any, look: Look) -> str:
    """A pattern as the user wrote it. It may hold a variable: cleaned before quoting, which may change the text."""
    written = wanted.pattern
    return visible(repr(look.clean(written.decode() if isinstance(written, bytes) else written)), 120)
