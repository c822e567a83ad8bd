"""incident.io: alert events of an HTTP source."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final

from monitor.core.wording import cut
from monitor.sinks._checks import LONGEST, check_key, check_timeout, check_url
from monitor.sinks._message import compose, plain
from monitor.sinks._paging import SEVERITIES, Act, Step, details, follow, line
from monitor.sinks._told import Told, read
from monitor.sinks.contract import Nature, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, Secret, check_fields

TITLE_LIMIT: Final = 500
DESCRIPTION_LIMIT: Final = 10_000
_STATUSES: Final = {Act.OPEN: "firing", Act.CLOSE: "resolved"}
_SOURCE = re.compile(r"[A-Za-z0-9]{10,40}", re.ASCII)
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~!&])")


@dataclass(frozen=True, slots=True)
class IncidentIo(Sink):
    """Opens an alert in incident.io for an outage or a degradation, and resolves it.

    ```yaml
    sinks:
      pager:
        type: incidentio
        source: 01GW2G3V0S59R238FAHPDS1R66
        token: "${INCIDENTIO_TOKEN}"
    ```

    **In incident.io:**

    1. *Alerts*, *Sources*, *New source*: choose *HTTP*. Its URL ends in the id that is `source`; its token is
       `token`.
    2. *Configure*: make *Priority* of the payload's `metadata.severity` (`critical` or `warning`), and if you like
       *Service* and *Owner* of `metadata.service` and `metadata.owner`.
    3. Add a route (*Alerts*, *Routes*) that pages for `critical`, and makes an incident if you want one.

    An incident has two keys, `brownout:INCIDENT/outage` and `.../degraded`: when a degradation becomes an outage,
    that is an alert of its own, and then the other is resolved. While an outage is only a degradation any more, its
    alert stays open. Should it be out again after 5 minutes or more, it is resolved and fired anew, so that it
    pages again. What was sent twice has the same key, so it is one alert. What cannot be judged (`unknown`), notes
    and acknowledgements change nothing there. `brownout sinks test` opens an alert, and resolves it at once.
    """

    kind: ClassVar[str] = "incidentio"
    nature: ClassVar[Nature] = Nature.LEVEL

    source: Annotated[str, "the id of the alert source, of type HTTP"]
    token: Annotated[Secret, "the token of the alert source"]
    url: Annotated[str, "where the API is"] = "https://api.incident.io"
    timeout: Annotated[timedelta, "how long one request may take, at most 20s"] = LONGEST

    def __post_init__(self) -> None:
        check_fields(
            lambda: _check_source(self.source),
            lambda: check_key(self.token, "token", "token"),
            lambda: check_url(self.url),
            lambda: check_timeout(self.timeout),
        )

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        told = read(delivery)

        async def take(step: Step) -> None:
            if step.act in _STATUSES:
                await self._post(_event(step, told, context), context)

        await follow(told, delivery, context, take)

    async def _post(self, event: dict[str, Any], context: SinkContext) -> None:
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        headers = {"content-type": "application/json", "authorization": f"Bearer {self.token.reveal()}"}
        body = json.dumps(event, ensure_ascii=False).encode()
        url = f"{self.url.rstrip('/')}/v2/alert_events/http/{self.source}"
        seconds = self.timeout.total_seconds()
        answer = await _http.ask(context.client, "POST", url, body, headers, seconds=seconds)
        errors = answer.mapping().get("errors")
        texts = [item.get("message") for item in errors if isinstance(item, dict)] if isinstance(errors, list) else []
        _http.judge(answer, context.now, said=_http.said(texts, self.token))


def _event(step: Step, told: Told, context: SinkContext) -> dict[str, Any]:
    message = compose(told, context.now)
    service = told.part("service")
    known = {
        "severity": SEVERITIES[step.cls],
        "service": service.get("id"),
        "owner": service.get("owner") or told.part("check").get("owner"),
        "labels": service.get("labels"),
        "drill": told.drill or None,
        "test": told.test or None,
    }
    event = {
        "title": line(told.sentence, TITLE_LIMIT),
        "status": _STATUSES[step.act],
        "deduplication_key": step.key,
        "description": cut(_markdown(plain(message)), DESCRIPTION_LIMIT),
        "metadata": details(told) | {name: value for name, value in known.items() if value},
    }
    page = message.link("page")
    return event | ({"source_url": page} if page else {})


def _markdown(text: str) -> str:
    """Plain text as Markdown that shows it as it is, line by line. A URL is shown, too, and not what it would do."""
    return "  \n".join(_MARKUP.sub(r"\\\1", text).splitlines())


def _check_source(source: str) -> None:
    if not _SOURCE.fullmatch(source):
        raise BadField("source", "must be the id at the end of the alert source's URL: letters and digits")
