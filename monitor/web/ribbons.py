"""The states of published services over the last days: read once a minute, for everybody together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from monitor.core.history import Span
from monitor.core.wording import iso
from monitor.store.contract import StoreError
from monitor.web.view import View

BACK = timedelta(days=30)
SPANS_MOST = 200
"""Spans told of one service; of more, the newest."""
FRESH = 60.0
"""Seconds that they are kept."""
PATIENCE = 2.0
"""Seconds that a visitor waits for them: without them the page still says how everything stands."""


class Ribbons:
    """What was, as states only: why belongs to those inside."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._read = float("-inf")
        self._told: dict[str, Mapping[str, Any]] = {}

    async def of(self, services: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        """By the id of a service; one is left out while its past cannot be read. Call it once at a time."""
        tick = self._view.clock.now().tick
        if tick - self._read >= FRESH:
            self._read = tick
            try:
                async with asyncio.timeout(PATIENCE):
                    self._told = {name: await self._of_one(name) for name in services}
            except (TimeoutError, StoreError, ValueError):
                self._told = {}
        return self._told

    async def _of_one(self, service: str) -> Mapping[str, Any]:
        until = self._view.clock.now().at
        since = until - BACK
        spans = await self._view.records.states("service", service, since, until)
        return {"from": iso(since), "to": iso(until), "spans": [_told(span) for span in spans[-SPANS_MOST:]]}


def _told(span: Span) -> list[Any]:
    return [round(span.start.timestamp()), round(span.end.timestamp()), span.state]
