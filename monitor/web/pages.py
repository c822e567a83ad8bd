"""The page, the status, the metrics and the health of the agent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from aiohttp import web

from monitor.store.contract import StoreError
from monitor.telemetry import OPENMETRICS, TEXT, wants_openmetrics
from monitor.web import query
from monitor.web.access import Handler
from monitor.web.assets import PAGE
from monitor.web.feed import Feed, wants_stream
from monitor.web.health import health_document, readiness_document
from monitor.web.incidents import LIST_LIMIT, LIST_MOST
from monitor.web.problem import unreadable
from monitor.web.scrapes import Scrapes
from monitor.web.status import StatusDocument
from monitor.web.stream import JSON, json_pieces, stream
from monitor.web.view import View

HEALTH = "application/health+json"
STATUS_LIMIT, STATUS_MOST = 500, 10_000


class Pages:
    """What each of these routes answers."""

    def __init__(self, view: View, feed: Feed) -> None:
        self._view = view
        self._feed = feed
        self._status = StatusDocument(view)
        self._scrapes = Scrapes(lambda openmetrics: view.telemetry.metrics(openmetrics=bool(openmetrics)))

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=PAGE, content_type="text/html", charset="utf-8", headers={"Cache-Control": "no-cache"}
        )

    async def status(self, request: web.Request) -> web.StreamResponse:
        limit = query.whole(request, "limit", STATUS_LIMIT, STATUS_MOST)
        return await stream(request, _again(await self._status.pieces(limit)), JSON)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The newest first; or, for whoever asks for a stream, as they happen."""
        if wants_stream(request):
            return await self._feed.stream(request)
        limit = query.whole(request, "limit", LIST_LIMIT, LIST_MOST)
        try:
            bodies = await self._view.records.events(limit)
        except StoreError:
            raise unreadable() from None
        head = {"vantage": self._view.vantage}
        return await stream(request, json_pieces(head, {"events": map(self._view.redact, bodies)}), JSON)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        openmetrics = wants_openmetrics(request.headers.get("Accept", ""))
        return await stream(request, self._scrapes.text(openmetrics), OPENMETRICS if openmetrics else TEXT)

    async def healthz(self, _request: web.Request) -> web.Response:
        """Well enough to be left alone? 503 only when nothing is being looked at."""
        view, told = self._view, self._view.health()
        if view.protected():
            told = replace(told, config_fault="")  # it quotes the file, and this answer is open to everybody
        return health(health_document(told, view.version, view.vantage, view.clock.now().at))


def health(document: dict[str, Any]) -> web.Response:
    status = 503 if document["status"] == "fail" else 200
    return web.Response(status=status, body=json.dumps(document).encode(), content_type=HEALTH)


def readyz(view: View) -> Handler:
    """Whether it looks and answers: the same on both listeners."""

    async def answer(_request: web.Request) -> web.Response:
        return health(readiness_document(view.health()))

    return answer


async def _again(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
