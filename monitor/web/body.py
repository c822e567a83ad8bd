"""The body of a request that asks for something: a JSON object."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from monitor.web.problem import Problem


async def asked_in(request: web.Request, example: str, *, may_be_empty: bool = False) -> dict[str, Any]:
    """What is asked for. `example`: such an object as it may be sent; it is shown to whoever has sent something else.
    Raises `Problem`."""
    try:
        asked = json.loads(await request.read() or (b"{}" if may_be_empty else b"null"))
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Problem(400, f"Send an object, as in {example}.")
    return asked
