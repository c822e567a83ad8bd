"""Datadog's event stream: all that happened, in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from monitor.core.wording import cut
from monitor.sinks import _datadog, _told
from monitor.sinks._message import compose, moment, plain
from monitor.sinks._told import Class, Told
from monitor.sinks.contract import Nature, SinkContext
from monitor.store.contract import Delivery

TITLE_LIMIT: Final = 100
TEXT_LIMIT: Final = 4000
OLDEST: Final = timedelta(hours=18)
"""Datadog takes nothing that is older."""
_MARGIN: Final = timedelta(minutes=10)
_TYPES: Final = {
    Class.OUTAGE: "error",
    Class.DEGRADED: "warning",
    Class.RECOVERED: "success",
    Class.UNKNOWN: "info",
    Class.MARK: "info",
}


@dataclass(frozen=True, slots=True)
class DatadogEvents(_datadog.Datadog):
    """Posts every event, in order, to Datadog's event stream; deploys, too, so that they show in its graphs.

    ```yaml
    sinks:
      stream: {type: datadog_events, api_key: "${DD_API_KEY}", site: datadoghq.eu, tags: ["env:production"]}
    ```

    All events of an incident have one aggregation key, so that Datadog shows them as one; an outage is an `error`, a
    degradation a `warning`, a recovery a `success`. For monitors that page, states are better:
    [`datadog`](datadog.md) sends those, and both may have the same key.

    **What to click.** In Datadog: *Organization Settings*, *API Keys*, *New Key*, copy it. The site is in the address
    of your Datadog (`app.datadoghq.eu` is `datadoghq.eu`). The events are in *Events*, *Explorer*, with
    `source:brownout`; to see deploys in a graph, add an event overlay with `source:brownout tags:kind:deploy`.

    What a target wrote mentions nobody (`@all`) and is no markup. An event that is older than 18 hours is sent with
    the time of sending, since Datadog takes none that is older; its text says when it was. A 429 is waited out as
    `X-RateLimit-Reset` says. Should an answer get lost, the event comes twice, in the same group.
    """

    kind: ClassVar[str] = "datadog_events"
    nature: ClassVar[Nature] = Nature.LOG

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        event = _event(self, _told.read(delivery), context.now)
        await _datadog.post(self, "/api/v1/events", event, context)


def _event(sink: DatadogEvents, told: Told, now: datetime) -> dict[str, Any]:
    message = compose(told, now)
    kind = "deploy" if told.cls is Class.MARK else told.type.partition(".")[0]
    subject = (("service", told.part("service").get("id")), ("check", told.part("check").get("id")), ("kind", kind))
    at = moment(told.at) or now
    return {
        "title": cut(_unmentioning(message.headline), TITLE_LIMIT),
        "text": cut(_unmentioning(plain(message)), TEXT_LIMIT),
        "aggregation_key": told.key,
        "alert_type": _TYPES[told.cls],
        "priority": "low" if told.drill or told.test else "normal",
        "date_happened": int((at if abs(now - at) < OLDEST - _MARGIN else now).timestamp()),
        "host": _datadog.host_of(sink, told),
        "source_type_name": "brownout",
        "tags": _datadog.tags_of(sink, told, *subject),
    }


def _unmentioning(text: str) -> str:
    """Datadog would notify whoever a text mentions (``@all``), and take ``%%%`` for the begin of Markdown."""
    return text.replace("@", "@\u200b").replace("%%%", "%\u200b%\u200b%")
