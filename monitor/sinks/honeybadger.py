"""Honeybadger Insights: every event, to be searched and charted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from monitor.core.wording import cut
from monitor.sinks import _told
from monitor.sinks._checks import check_key, check_url
from monitor.sinks._message import FACT_LIMIT, compose, harmless
from monitor.sinks._told import Class, Told
from monitor.sinks.contract import Nature, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import Secret, check_fields

_SECONDS: Final = 15.0
FIGURES_LIMIT: Final = 32
NAMES_LIMIT: Final = 50


@dataclass(frozen=True, slots=True)
class Honeybadger(Sink):
    """Sends every event, in order, to Honeybadger Insights, as a line with flat fields.

    ```yaml
    sinks:
      insights: {type: honeybadger, api_key: "${HONEYBADGER_API_KEY}"}
    ```

    Its `event_type` is `monitor.state_changed` (of a deploy `monitor.deploy`), `event` is the type as in
    [events.md](../events.md), `class` is `outage`, `degraded`, `recovered`, `unknown` or `mark`; then `old`, `new`,
    `since`, `reason`, `service`, `check`, `incident`, `duration_seconds`, `measured`, and so on. A query:
    `filter event_type::str == "monitor.state_changed" and class::str == "outage" | stats count() by service::str`.

    **What to click.** In Honeybadger: *Projects*, the project, *Settings*, *API keys*, copy the project's key. After
    the first event: *Insights*, the query above; *Create alarm* makes it call somebody. In the European region say
    `url: https://eu-api.honeybadger.io`.

    For Honeybadger to notice that the agent itself is gone, give it a check-in: `agent.heartbeat.honeybadger`
    ([deadman.md](../deadman.md)).
    Should an answer get lost, an event comes twice, with the same `id`.
    """

    kind: ClassVar[str] = "honeybadger"
    nature: ClassVar[Nature] = Nature.LOG

    api_key: Annotated[Secret, "the project's API key"]
    url: Annotated[str, "where its API is"] = "https://api.honeybadger.io"

    def __post_init__(self) -> None:
        check_fields(lambda: check_url(self.url), lambda: check_key(self.api_key))

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        told = _told.read(delivery)
        line = json.dumps(_line(told, delivery, compose(told, context.now).sentence)).encode() + b"\n"
        headers = {
            "content-type": "application/x-ndjson",
            "accept": "application/json",
            "x-api-key": self.api_key.reveal(),
        }
        url = f"{self.url.rstrip('/')}/v1/events"
        await _http.post(context.client, url, line, headers, seconds=_SECONDS, now=context.now)


def _line(told: Told, delivery: Delivery, sentence: str) -> dict[str, Any]:
    body, state, incident = told.body, told.part("state"), told.part("incident")
    service, check = told.part("service"), told.part("check")
    fields = {
        "ts": told.at,
        "event_type": "monitor.deploy" if told.cls is Class.MARK else "monitor.state_changed",
        "event": told.type,
        "id": delivery.event_id,
        "class": told.cls.value,
        "sentence": sentence,
        "old": state.get("old"),
        "new": state.get("new"),
        "since": told.since,
        "reason": body.get("reason"),
        "why": body.get("why"),
        "service": service.get("id"),
        "service_title": service.get("title"),
        "owner": service.get("owner") or check.get("owner"),
        "check": check.get("id"),
        "target": check.get("target"),
        "incident": incident.get("id"),
        "impact": incident.get("impact"),
        "root": incident.get("root"),
        "affected": _names(incident.get("affected")) or None,
        "duration_seconds": incident.get("duration_seconds"),
        "update": told.part("update").get("kind"),
        "by": told.part("update").get("by"),
        "measured": _figures(told) or None,
        "vantage": body.get("vantage"),
        "drill": told.drill or None,
        "test": told.test or None,
    }
    return {name: _bounded(value) for name, value in fields.items() if value not in (None, "")}


def _bounded(value: Any) -> Any:
    return cut(harmless(value), FACT_LIMIT * 2) if isinstance(value, str) else value


def _names(value: object) -> list[str]:
    return [cut(harmless(str(item)), FACT_LIMIT) for item in value[:NAMES_LIMIT]] if isinstance(value, list) else []


def _figures(told: Told) -> dict[str, float]:
    measured = told.part("evidence").get("measurements")
    found = measured.items() if isinstance(measured, dict) else ()
    figures = [(cut(str(name), 64), value) for name, value in found if isinstance(value, int | float)]
    return dict(figures[:FIGURES_LIMIT])
