"""Deliveries and contexts for the tests of sinks."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any, TextIO

import httpx

from monitor.sinks import _http
from monitor.sinks.contract import SinkContext
from monitor.store.contract import Delivery

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def delivery(body: bytes | None = None, **facts: Any) -> Delivery:
    event = {
        "id": "evt_1",
        "type": "incident.opened",
        "at": NOW.isoformat(),
        "sentence": "Web shop is down: connection refused",
        "state": {"old": "operational", "new": "outage"},
    } | facts
    encoded = json.dumps(event, ensure_ascii=False).encode() if body is None else body
    return Delivery(1, event["id"], event["type"], "hook", "i1", 1, encoded, NOW)


def context(
    client: httpx.AsyncClient, terminal: TextIO | None = None, now: datetime = NOW, **more: Any
) -> SinkContext:
    """`more` as `SinkContext` has it."""
    return SinkContext(client, now, terminal or io.StringIO(), **more)


def mockable() -> httpx.AsyncClient:
    """What sinks are given, by httpx's own transport: it is that one's place that respx takes."""
    return _http.new_client(httpx.AsyncHTTPTransport())
