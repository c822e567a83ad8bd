"""Opsgenie, and its successor in Jira Service Management: an alert for each incident and class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import quote

from monitor.core.wording import cut
from monitor.sinks._checks import LONGEST, check_key, check_timeout, check_url
from monitor.sinks._message import compose, plain
from monitor.sinks._paging import Act, Step, details, follow, line, source
from monitor.sinks._told import Class, Told, read
from monitor.sinks.contract import Nature, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, Secret, check_fields

MESSAGE_LIMIT: Final = 130
"""Characters, as those below (Opsgenie's docs, "Alerts and alert fields")."""
DESCRIPTION_LIMIT: Final = 15_000
_NOTE_LIMIT: Final = 2_000
_ENTITY_LIMIT: Final = 512
_SOURCE_LIMIT: Final = 100
_TAG_LIMIT: Final = 50
_TAGS: Final = 20
_PRIORITIES: Final = {Class.OUTAGE: "P1", Class.DEGRADED: "P3"}
_PATHS: Final = {Act.CLOSE: "close", Act.ACKNOWLEDGE: "acknowledge", Act.NOTE: "notes"}


@dataclass(frozen=True, slots=True)
class Opsgenie(Sink):
    """Opens an alert in Opsgenie or Jira Service Management for an outage (P1) or a degradation (P3), and closes it.

    ```yaml
    sinks:
      pager:
        type: opsgenie
        key: "${OPSGENIE_KEY}"
        url: https://api.atlassian.com/jsm/ops/integration
        tags: [web]
    ```

    **In Jira Service Management:** *Operations*, your team, *Integrations*, *Add integration*: choose *API*, give
    it a name, and turn it on. Copy its *API key*: that is `key`; `url` is as above.

    **In Opsgenie** (which ends in April 2027): *Teams*, your team, *Integrations*, *Add integration*, *API*. Allow it
    to create and to update, and copy the key. `url` may be left out; accounts in the EU write
    `https://api.eu.opsgenie.com`.

    An incident has two aliases, `brownout:INCIDENT/outage` and `.../degraded`. When a degradation becomes an
    outage, an alert of P1 is opened and then that of P3 closed: a higher priority of an alert that somebody has
    acknowledged would call nobody. While an outage is only a degradation any more, its alert stays open, and gets a
    note. Should it be out again after 5 minutes or more, it is closed and opened anew, so that it calls again.
    Notes and acknowledgements made in Brownout are added to the alert, and so is that the state cannot be judged
    any more: that opens and closes nothing. `brownout sinks test` opens an alert, and closes it at once.
    """

    kind: ClassVar[str] = "opsgenie"
    nature: ClassVar[Nature] = Nature.LEVEL

    key: Annotated[Secret, "the API key of the integration"]
    url: Annotated[str, "where the API is, without /v2"] = "https://api.opsgenie.com"
    tags: Annotated[tuple[str, ...], "tags of every alert, at most 15"] = ()
    timeout: Annotated[timedelta, "how long one request may take, at most 20s"] = LONGEST

    def __post_init__(self) -> None:
        check_fields(
            lambda: check_key(self.key, "key"),
            lambda: check_url(self.url),
            lambda: _check_tags(self.tags),
            lambda: check_timeout(self.timeout),
        )

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        told = read(delivery)

        async def take(step: Step) -> None:
            if step.act is Act.OPEN:
                await self._post("/v2/alerts", self._alert(step, told, context), context)
            else:
                path = f"/v2/alerts/{quote(step.key, safe='')}/{_PATHS[step.act]}?identifierType=alias"
                await self._post(path, _action(told), context)

        await follow(told, delivery, context, take)

    def _alert(self, step: Step, told: Told, context: SinkContext) -> dict[str, Any]:
        named = [step.cls.value, told.part("service").get("id"), "drill" if told.drill else None, *self.tags]
        return {
            "message": line(told.sentence, MESSAGE_LIMIT),
            "alias": step.key,
            "description": cut(plain(compose(told, context.now)), DESCRIPTION_LIMIT),
            "priority": _PRIORITIES[step.cls],
            "entity": line(told.title, _ENTITY_LIMIT),
            "source": line(source(told), _SOURCE_LIMIT),
            "tags": [line(tag, _TAG_LIMIT) for tag in named if tag][:_TAGS],
            "details": {name: _text(value) for name, value in details(told).items() if name != "seen"},
        }

    async def _post(self, path: str, body: Mapping[str, Any], context: SinkContext) -> None:
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        headers = {"content-type": "application/json", "authorization": f"GenieKey {self.key.reveal()}"}
        encoded = json.dumps(body, ensure_ascii=False).encode()
        url = self.url.rstrip("/") + path
        answer = await _http.ask(context.client, "POST", url, encoded, headers, seconds=self.timeout.total_seconds())
        refusal = answer.json()
        message = refusal.get("message") if isinstance(refusal, dict) else None
        _http.judge(answer, context.now, said=_http.said(message, self.key))


def _action(told: Told) -> dict[str, Any]:
    by = told.part("update").get("by")
    found = {"note": line(told.sentence, _NOTE_LIMIT), "source": "Brownout"}
    return found | ({"user": line(by, _SOURCE_LIMIT)} if by else {})


def _text(value: object) -> str:
    return value if isinstance(value, str) else cut(json.dumps(value, ensure_ascii=False))


def _check_tags(tags: tuple[str, ...]) -> None:
    if len(tags) > _TAGS - 5 or any(not 1 <= len(tag) <= _TAG_LIMIT for tag in tags):
        raise BadField("tags", f"must be at most {_TAGS - 5}, of 1 to {_TAG_LIMIT} characters")
