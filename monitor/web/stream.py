"""Long answers in pieces: building and sending them leaves the loop free in between."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from aiohttp import web

from monitor.web.guard import TIME_LIMIT

JSON = "application/json"
SLICE = 8
"""Items built at a time: about a millisecond, for checks with all that belongs to them."""
SEND_TIMEOUT = 20.0
"""Seconds in which a client must have taken a piece of the answer."""
STREAM_TIMEOUT = 120.0
"""Seconds for the whole: a slow line may take a while, and nobody for ever."""


async def json_pieces(
    head: Mapping[str, Any], lists: Mapping[str, Iterable[Any]], at_once: int = SLICE
) -> AsyncIterator[bytes]:
    """One JSON object: the members of `head`, then each list, whose items are built as they are asked for."""
    yield dumps(head)[:-1]
    for name, items in lists.items():
        yield b',"%b":[' % name.encode()
        comma = b""
        part: list[bytes] = []
        for item in items:
            part.append(dumps(item))
            if len(part) == at_once:
                yield comma + b",".join(part)
                comma, part = b",", []
                await asyncio.sleep(0)
        if part:
            yield comma + b",".join(part)
        yield b"]"
    yield b"}"


async def stream(request: web.Request, pieces: AsyncIterator[bytes], content_type: str) -> web.StreamResponse:
    """Send piece by piece; a client that does not read is let go."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(request)
    if (limit := request.get(TIME_LIMIT)) is not None:
        limit.reschedule(asyncio.get_running_loop().time() + STREAM_TIMEOUT)
    if request.method == "HEAD":
        return response
    try:
        async for piece in pieces:
            async with asyncio.timeout(SEND_TIMEOUT):
                await response.write(piece)
    except BaseException as error:
        # Half an answer must not look like a whole one.
        if request.transport is not None:
            request.transport.abort()
        if not isinstance(error, TimeoutError | ConnectionError):
            raise
    return response


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""Made once: `json.dumps` makes one a call where it is given arguments."""


def dumps(value: Any) -> bytes:
    return _ENCODER.encode(value).encode("utf-8", "replace")


def finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if value is not None and math.isfinite(value) else None
