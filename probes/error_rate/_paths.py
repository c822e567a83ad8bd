"""Paths of requests: which count, and what of them may be shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from probes.contract import BadField

_TARGET = re.compile(rb"(?:[A-Z]{3,20} )?(?:https?://[^/ ?]*)?([^ ?;#]*)")
# Numbers and long random texts: they are different each time, and may be what a reset link or a token consists of.
_ITEM = re.compile(rb"/(?:\d+|(?=[^/]*\d)[^/]{16,}|[^/]{40,}|[0-9a-fA-F-]{8,})(?=/|$)")
_READ, _SHOWN = 1024, 120
"""Bytes of a path that are read and shown; cut between its parts, as half a token would not be known for one."""


class Chosen:
    """Which paths count: ``/healthz`` is one path, ``/static/*`` all that begin so."""

    __slots__ = ("_ignored", "_ignored_heads", "_only", "_only_heads")

    def __init__(self, only: Sequence[str], ignored: Sequence[str]) -> None:
        """Raises `BadField`."""
        self._only, self._only_heads = _split("only_paths", only)
        self._ignored, self._ignored_heads = _split("ignore_paths", ignored)

    def __bool__(self) -> bool:
        return bool(self._only or self._only_heads or self._ignored or self._ignored_heads)

    def __call__(self, request: bytes) -> bool:
        """Whether a request counts: ``GET /path?query HTTP/1.1``, or the path alone."""
        path = path_of(request)
        if path in self._ignored or path.startswith(self._ignored_heads):
            return False
        if not self._only and not self._only_heads:
            return True
        return path in self._only or path.startswith(self._only_heads)


def path_of(request: bytes) -> bytes:
    """Without method, host and query."""
    found = _TARGET.match(request)
    return found[1] if found is not None else b""


def shape(request: bytes) -> bytes:
    """A path to be counted and shown: ``/orders/*`` for ``/orders/4711?token=...``."""
    shown = _ITEM.sub(b"/*", path_of(request)[:_READ])
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN].rpartition(b"/")[0] + b"/..."


def _split(field: str, written: Sequence[str]) -> tuple[frozenset[bytes], tuple[bytes, ...]]:
    for path in written:
        if not path.startswith("/") or "*" in path[:-1] or "?" in path:
            raise BadField(field, f"{path!r} is not a path: write /healthz, or /static/* for all that begin so")
    whole = frozenset(path.encode() for path in written if not path.endswith("*"))
    return whole, tuple(path[:-1].encode() for path in written if path.endswith("*"))
