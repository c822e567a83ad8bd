"""Whom sinks trust by TLS."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from pathlib import Path

import certifi


async def trusted(ca: str | None = None) -> ssl.SSLContext:
    """The system's authorities, or those that the environment's SSL_CERT_FILE names; where a system has none,
    Mozilla's. `ca`: those of a file (PEM) instead. Raises `ssl.SSLError` where it holds none, and `OSError`.

    Reading them takes tens of milliseconds: in a thread, and once.
    """
    return await asyncio.to_thread(_current, ca)


def _current(ca: str | None) -> ssl.SSLContext:
    return _made(ca, Path(ca).stat().st_mtime_ns if ca is not None else 0)


@cache
def _made(ca: str | None, changed: int) -> ssl.SSLContext:  # noqa: ARG001  (a changed file is another one)
    context = ssl.create_default_context(cafile=ca)
    paths = ssl.get_default_verify_paths()
    if ca is None and not paths.cafile and not paths.capath:
        context.load_verify_locations(certifi.where())
    return context
