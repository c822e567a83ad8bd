"""Datadog's service checks: the present state of what is watched, with all four of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from monitor.core.wording import cut
from monitor.sinks import _datadog, _told
from monitor.sinks._message import compose, moment
from monitor.sinks._told import Class, Told
from monitor.sinks.contract import Nature, SinkContext
from monitor.store.contract import Delivery

MESSAGE_LIMIT: Final = 500
OLDEST: Final = timedelta(minutes=10)
"""Datadog takes nothing that is older."""
SERVICES_LIMIT: Final = 50
OK, WARNING, CRITICAL, UNKNOWN = range(4)
_STATUS: Final = {
    Class.OUTAGE: CRITICAL,
    Class.DEGRADED: WARNING,
    Class.RECOVERED: OK,
    Class.UNKNOWN: UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class DatadogChecks(_datadog.Datadog):
    """Posts the present state to Datadog as service checks, for monitors there: OK, WARNING, CRITICAL, and UNKNOWN.

    ```yaml
    sinks:
      states: {type: datadog, api_key: "${DD_API_KEY}", site: datadoghq.eu, tags: ["env:production"]}
    routes:
      - {when: event = service.changed or event = check.changed, to: [states]}
    ```

    | Event | Service check | Tags |
    | --- | --- | --- |
    | `service.changed` | `brownout.service` | `service:ID`, and its labels |
    | `check.changed` | `brownout.check` | `check:ID`, `service:ID`, and its labels |
    | `incident.*` | `brownout.incident`, one for each service that it has touched | `service:ID` |
    | `agent.*` | `brownout.agent` | `vantage:NAME` |

    An outage is CRITICAL, a degradation WARNING. `unknown` is UNKNOWN there, too, which only `service.changed` and
    `check.changed` tell of: an incident is never "unknown", it stays what it was. A drill and a test go to
    `brownout.drill`, so that they change no state that a monitor watches. `deploy.marked` and digests are not sent:
    those are for [`datadog_events`](datadog_events.md).

    **What to click.** In Datadog: *Organization Settings*, *API Keys*, *New Key*, copy it. The site is in the address
    of your Datadog (`app.datadoghq.eu` is `datadoghq.eu`). After the first event: *Monitors*, *New Monitor*,
    *Service Check*, pick `brownout.service`, group by `service`, and choose whom it notifies.

    Late news is sent with the time of sending, since Datadog takes nothing older than 10 minutes; the message says
    since when. Sent twice is as good as once. A 429 is waited out as `X-RateLimit-Reset` says.
    """

    kind: ClassVar[str] = "datadog"
    nature: ClassVar[Nature] = Nature.LEVEL

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        if runs := list(_runs(self, _told.read(delivery), context.now)):
            await _datadog.post(self, "/api/v1/check_run", runs, context)


def _runs(sink: DatadogChecks, told: Told, now: datetime) -> Iterator[dict[str, Any]]:
    for name, status, tags in _states(told):
        yield {
            "check": name,
            "host_name": _datadog.host_of(sink, told),
            "status": status,
            "tags": _datadog.tags_of(sink, told, *tags),
            "message": cut(compose(told, now).sentence, MESSAGE_LIMIT),
            "timestamp": int(_when(told, now).timestamp()),
        }


def _states(told: Told) -> Iterator[tuple[str, int, tuple[tuple[str, object], ...]]]:
    """(service check, status, its tags)"""
    status = _STATUS.get(told.cls)
    if status is None or told.type == "digest":
        return
    service, check = ("service", told.part("service").get("id")), ("check", told.part("check").get("id"))
    if told.drill or told.test:
        yield "brownout.drill", status, (service,)
    elif told.type == "check.changed":
        yield "brownout.check", status, (check, service)
    elif told.type == "service.changed":
        yield "brownout.service", status, (service,)
    elif told.type.startswith("agent."):
        yield "brownout.agent", status, ()
    elif (incident := told.part("incident")) and not incident.get("merged_into"):
        # One that goes on as another is told by that one, in a stream of its own: nothing here may come after it.
        affected = _names(incident.get("affected"))
        for name in _names(incident.get("services"))[:SERVICES_LIMIT]:
            bad = name in affected and told.cls is not Class.RECOVERED
            yield "brownout.incident", status if bad else OK, (("service", name),)


def _names(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _when(told: Told, now: datetime) -> datetime:
    at = moment(told.at) or now
    return at if timedelta(0) <= now - at < OLDEST - timedelta(minutes=1) else now
