"""Alertmanager: alerts by its API v2, told again before they lapse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Final

from monitor.sinks import _alert
from monitor.sinks._checks import LONGEST, check_header, check_timeout, check_url
from monitor.sinks._told import read
from monitor.sinks.contract import Nature, Repeating, SendFailed, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, Secret, check_fields

SHORTEST_HOLD: Final = timedelta(minutes=3)
ENDED_FOR: Final = timedelta(minutes=5)
"""So long an end is told again (Alertmanager's docs, "alerts_api")."""
_AT_ONCE: Final = 200
"""Alerts in a request."""


@dataclass(frozen=True, slots=True)
class Alertmanager(Repeating):
    """Keeps an alert firing in Prometheus's Alertmanager while an incident is open, and ends it.

    ```yaml
    sinks:
      alerts:
        type: alertmanager
        url: [http://alertmanager-1:9093, http://alertmanager-2:9093]
        labels: {team: web}
    ```

    **In Alertmanager** there is nothing to install. Route by the labels in alertmanager.yml, and group by
    `incident`, so that a degradation that becomes an outage is one message:

    ```text
    route:
      receiver: web
      group_by: [incident]
      routes:
        - matchers: [severity = critical]
          receiver: pager
    ```

    Every alert has the labels `alertname` (`BrownoutOutage` or `BrownoutDegradation`), `severity` (`critical` or
    `warning`), `incident`, `service`, `owner`, `vantage`, those of the check and its service in checks.yaml, and
    `labels` of this sink; a drill has `drill="true"`, a test `test="true"`. Characters that a label's name cannot
    have become `_`. Annotations: `summary`, `description`, `runbook_url`.

    When a degradation becomes an outage, the alert of severity `critical` begins and that of `warning` ends in the
    same request. What is open is posted again every minute, each time for `hold` longer: should the agent die,
    Alertmanager takes the alert for resolved after that time, so have the agent watched, too. With several `url`s
    every one is told, as the members of a cluster need; one that is down delays nothing, and hears of it with the
    next minute. What cannot be judged (`unknown`) keeps what was told. A test lapses by itself.

    A Grafana Mimir or Grafana Cloud Alertmanager takes a tenant or a password in `headers`.
    """

    kind: ClassVar[str] = "alertmanager"
    nature: ClassVar[Nature] = Nature.LEVEL
    again: ClassVar[timedelta] = timedelta(minutes=1)

    url: Annotated[tuple[str, ...], "where Alertmanager is, without /api/v2; all members of a cluster"] = field(
        repr=False
    )
    labels: Annotated[Mapping[str, str], "labels of every alert, to route by"] = field(default_factory=dict)
    hold: Annotated[timedelta, "how long an alert outlives the agent, at least 3m"] = timedelta(minutes=5)
    headers: Annotated[Mapping[str, Secret], "sent along, for example `authorization`; their values stay secret"] = (
        field(default_factory=dict)
    )
    timeout: Annotated[timedelta, "how long one request may take, at most 20s"] = LONGEST

    def __post_init__(self) -> None:
        check_fields(
            *(partial(check_url, url) for url in self.url or ("",)),
            *(partial(check_header, name, value.reveal()) for name, value in self.headers.items()),
            lambda: _check_hold(self.hold),
            lambda: check_timeout(self.timeout),
        )

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        told = read(delivery)
        changed = _alert.changed(told, context.memory, delivery.event_id, self.labels, context.now)
        await self._post(list(changed.values()), context)
        if not told.test:
            context.memory.update(changed)

    async def repeat(self, kept: Mapping[str, MutableMapping[str, Any]], context: SinkContext) -> None:
        for memory in kept.values():
            for name in [name for name, alert in memory.items() if _is_over(alert, context.now)]:
                del memory[name]
        await self._post([alert for memory in kept.values() for alert in memory.values()], context)

    async def _post(self, alerts: Sequence[_alert.Alert], context: SinkContext) -> None:
        """Accepted when one of them has taken it: the others are told with the next repetition."""
        until = _alert.stamp(context.now + self.hold)
        full = [{"endsAt": until} | alert for alert in alerts]
        for batch in _batches(full):
            asked = (self._ask(url, batch, context) for url in self.url)
            answers = await asyncio.gather(*asked, return_exceptions=True)
            failures = [answer for answer in answers if isinstance(answer, BaseException)]
            if len(failures) == len(answers):
                # What may be better in a minute is worth waiting for, whatever another of them says.
                raise min(failures, key=lambda error: isinstance(error, SendFailed) and error.permanent)

    async def _ask(self, url: str, alerts: Sequence[_alert.Alert], context: SinkContext) -> None:
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        headers = {name.lower(): value.reveal() for name, value in self.headers.items()}
        headers |= {"content-type": "application/json"}
        body = json.dumps(alerts, ensure_ascii=False).encode()
        seconds = self.timeout.total_seconds()
        answer = await _http.ask(
            context.client, "POST", f"{url.rstrip('/')}/api/v2/alerts", body, headers, seconds=seconds
        )
        _http.judge(answer, context.now, said=_http.said(answer.json(), *self.headers.values()))


def _is_over(alert: Mapping[str, Any], now: datetime) -> bool:
    ended = alert.get("endsAt")
    return ended is not None and not datetime.fromisoformat(ended) <= now <= datetime.fromisoformat(ended) + ENDED_FOR


def _batches(alerts: Sequence[_alert.Alert]) -> Iterator[Sequence[_alert.Alert]]:
    for first in range(0, len(alerts), _AT_ONCE):
        yield alerts[first : first + _AT_ONCE]


def _check_hold(hold: timedelta) -> None:
    if not SHORTEST_HOLD <= hold <= timedelta(days=1):
        raise BadField("hold", "must be from 3m to 1d: what is open is posted again every minute")
