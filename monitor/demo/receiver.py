"""The receiver: takes webhooks as a user's own service would, and believes only those whose signature is right."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

TOLERANCE = 300
"""Seconds a timestamp may be off: older ones are replays (Standard Webhooks 1.0.0)."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request: whether its signature was right, whether it was sent before, and the event."""

    verified: bool
    repeated: bool
    event: dict[str, Any]


class Receiver:
    """Listens on a free port of the loopback interface; hands each event to `told`."""

    def __init__(self, key: bytes, told: Callable[[Received], None]) -> None:
        self._key = key
        self._told = told
        self._seen: set[str] = set()
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def open(self) -> None:
        app = web.Application(client_max_size=64 * 1024)
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        name = request.headers.get("webhook-id", "")
        verified = verify(self._key, request.headers, body, time.time())
        self._told(Received(verified, name in self._seen, json.loads(body) if verified else {}))
        self._seen.add(name)
        return web.Response(status=204 if verified else 401)


def verify(key: bytes, headers: Any, body: bytes, now: float) -> bool:
    """What every receiver should do; written from the receiver's side, and not with the sender's code."""
    name, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not name or not stamp.isdigit() or abs(now - int(stamp)) > TOLERANCE:
        return False
    digest = hmac.digest(key, f"{name}.{stamp}.".encode() + body, "sha256")
    expected = "v1," + base64.b64encode(digest).decode()
    return any(hmac.compare_digest(expected, given) for given in headers.get("webhook-signature", "").split())
