"""PagerDuty: an alert for each incident and class, by its Events API v2."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Final

from monitor.sinks._checks import LONGEST, check_timeout, check_url
from monitor.sinks._message import compose
from monitor.sinks._paging import SEVERITIES, Act, Step, details, follow, line, source
from monitor.sinks._told import Class, Told, read
from monitor.sinks.contract import Nature, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, Secret, check_fields

SUMMARY_LIMIT: Final = 1024
"""Characters (PagerDuty's developer docs, "Trigger Events")."""
_HOST: Final = "https://events.pagerduty.com"
_KEY = re.compile(r"[A-Za-z0-9]{32}", re.ASCII)
_ACTIONS: Final = {Act.OPEN: "trigger", Act.CLOSE: "resolve", Act.ACKNOWLEDGE: "acknowledge"}


@dataclass(frozen=True, slots=True)
class PagerDuty(Sink):
    """Opens an alert in PagerDuty for an outage (`critical`) or a degradation (`warning`), and resolves it.

    ```yaml
    sinks:
      pager:
        type: pagerduty
        routing_key: "${PAGERDUTY_ROUTING_KEY}"
    ```

    **In PagerDuty:**

    1. *Services*, your service, *Integrations*, *Add an integration*: choose *Events API V2*. Open it and copy the
       *Integration Key* (32 characters): that is `routing_key`.
    2. *Settings* of the service, at *Assign and Notify* *Edit*, *How should responders be notified?*: *Dynamic
       notifications based on alert severity*. An outage then wakes people; a degradation waits until the morning (low
       urgency, which PagerDuty does not escalate).
    3. Leave the service's auto-resolution off: Brownout resolves what it has opened, when it is over.

    An incident has two keys, `brownout:INCIDENT/outage` and `.../degraded`. When a degradation becomes an outage,
    the outage is triggered first and then the degradation resolved, as PagerDuty keeps still about an alert that
    somebody has acknowledged, however bad it gets. While an outage is only a degradation any more, its alert stays
    open: getting better pages nobody. Should it be out again after 5 minutes or more, the alert is resolved and
    triggered anew, so that it pages again. What was sent twice has the same key, so it is one alert.

    Who acknowledges in Brownout has it acknowledged in PagerDuty, too. What cannot be judged (`unknown`) triggers and
    resolves nothing. A deploy marker becomes a change event: no alert, but shown beside the incidents of the service.
    `brownout sinks test` triggers an alert, and resolves it at once.
    """

    kind: ClassVar[str] = "pagerduty"
    nature: ClassVar[Nature] = Nature.LEVEL

    routing_key: Annotated[Secret, "the integration key of a service or of an orchestration: 32 characters"]
    url: Annotated[str, "where the API is; accounts in the EU: https://events.eu.pagerduty.com"] = _HOST
    timeout: Annotated[timedelta, "how long one request may take, at most 20s"] = LONGEST

    def __post_init__(self) -> None:
        check_fields(
            lambda: _check_key(self.routing_key.reveal()),
            lambda: check_url(self.url),
            lambda: check_timeout(self.timeout),
        )

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        told = read(delivery)
        if told.cls is Class.MARK:
            await self._post("/v2/change/enqueue", self._change(told, context.now), context)
            return

        async def take(step: Step) -> None:
            if step.act in _ACTIONS:
                await self._post("/v2/enqueue", self._event(step, told, context.now), context)

        await follow(told, delivery, context, take)

    def _event(self, step: Step, told: Told, now: datetime) -> dict[str, Any]:
        event: dict[str, Any] = {
            "routing_key": self.routing_key.reveal(),
            "event_action": _ACTIONS[step.act],
            "dedup_key": step.key,
        }
        if step.act is not Act.OPEN:
            return event
        payload = _payload(told) | {
            "severity": SEVERITIES[step.cls],
            "component": line(told.part("check").get("name") or "", 255),
            "group": line(told.title, 255),
            "class": line(told.body.get("reason") or step.cls, 255),
        }
        event["payload"] = {name: value for name, value in payload.items() if value}
        event["client"] = "Brownout"
        links = _links(told, now)
        event["client_url"] = next((link["href"] for link in links if link["text"] == "Open"), None)
        return {name: value for name, value in (event | {"links": links}).items() if value}

    def _change(self, told: Told, now: datetime) -> dict[str, Any]:
        return {"routing_key": self.routing_key.reveal(), "payload": _payload(told)} | {"links": _links(told, now)}

    async def _post(self, path: str, event: Mapping[str, Any], context: SinkContext) -> None:
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        body = json.dumps(event, ensure_ascii=False).encode()
        headers = {"content-type": "application/json"}
        seconds = self.timeout.total_seconds()
        answer = await _http.ask(context.client, "POST", self.url.rstrip("/") + path, body, headers, seconds=seconds)
        _http.judge(answer, context.now, said=_http.said(answer.mapping().get("errors"), self.routing_key))


def _payload(told: Told) -> dict[str, Any]:
    return {
        "summary": line(told.sentence, SUMMARY_LIMIT),
        "source": source(told),
        "timestamp": told.at,
        "custom_details": details(told),
    }


def _links(told: Told, now: datetime) -> list[dict[str, str]]:
    """What PagerDuty takes for a link: others make it refuse the event."""
    return [{"href": url, "text": label} for name, label, url in compose(told, now).links if name != "acknowledge"]


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise BadField("routing_key", "must be the 32 letters and digits of an integration key (Events API v2)")
