"""Opsgenie, and its successor in Jira Service Management: an alert for each incident and class."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final
from urllib.parse import quote

from monitor.core.wording import cut
from monitor.sinks._checks import LONGEST, check_key, check_timeout, check_url
from monitor.sinks._message import compose, plain
from monitor.sinks._paging import Act, Step, details, follow, line, source
from monitor.sinks._told import Class, Told, read
from monitor.sinks.contract import Nature, SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, Secret, check_fields

if TYPE_CHECKING:
    from monitor.sinks._http import Answer

MESSAGE_LIMIT: Final = 130
"""Characters, as those below (Opsgenie's docs, "Alerts and alert fields")."""
DESCRIPTION_LIMIT: Final = 15_000
_NOTE_LIMIT: Final = 2_000
_ENTITY_LIMIT: Final = 512
_SOURCE_LIMIT: Final = 100
_TAG_LIMIT: Final = 50
_TAGS: Final = 20
_PRIORITIES: Final = {Class.OUTAGE: "P1", Class.DEGRADED: "P3"}
_WAITS: Final = (0.0, 0.5, 1.0)
"""Seconds before each question what came of a request: it takes one (202) before it does it."""
_ASKING: Final = 3.0
"""Seconds for each such question."""
_NUMBER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
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

    A request is taken before it is done, so the sink asks for a second or two what came of it (the integration needs
    the right to read). An alert that was not opened, or is still open, is tried again; what cannot be known counts as
    done.
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
            alert = f"/v2/alerts/{quote(step.key, safe='')}"
            if step.act is Act.OPEN:
                taken = await self._post("/v2/alerts", self._alert(step, told, context), context)
                if (why := await self._refused(taken, context)) is not None:
                    raise SendFailed(f"it took the alert, and has not opened it: {why}")
                return
            path = f"{alert}/{_PATHS[step.act]}?identifierType=alias"
            taken = await self._post(path, _action(told), context)
            if step.act is Act.CLOSE and (why := await self._refused(taken, context)) is not None:
                there = await self._find(f"{alert}?identifierType=alias", context)
                if there.get("status") == "open":
                    raise SendFailed(f"it took the end, and has not closed the alert: {why}")

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

    async def _refused(self, taken: Answer, context: SinkContext) -> str | None:
        """Why a request that it took was not done in the end; None where it was, or that cannot be known."""
        number = taken.mapping().get("requestId")
        if not isinstance(number, str) or not _NUMBER.fullmatch(number):
            return None
        for wait in _WAITS:
            await asyncio.sleep(wait)
            done = await self._find(f"/v2/alerts/requests/{number}", context)
            if done.get("isSuccess") is not None:
                return None if done["isSuccess"] is True else self._said(done.get("status")) or "it does not say why"
        return None

    async def _find(self, path: str, context: SinkContext) -> Mapping[str, Any]:
        """The data of an answer; nothing where there is none: to ask is not to tell, and may fail."""
        try:
            answer = await self._ask("GET", path, context, seconds=min(_ASKING, self.timeout.total_seconds()))
        except SendFailed:
            return {}
        data = answer.mapping().get("data") if answer.status == HTTPStatus.OK else None
        return data if isinstance(data, dict) else {}

    async def _post(self, path: str, body: Mapping[str, Any], context: SinkContext) -> Answer:
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        encoded = json.dumps(body, ensure_ascii=False).encode()
        answer = await self._ask("POST", path, context, encoded, seconds=self.timeout.total_seconds())
        _http.judge(answer, context.now, said=self._said(answer.mapping().get("message")))
        return answer

    async def _ask(
        self, method: str, path: str, context: SinkContext, body: bytes | None = None, *, seconds: float
    ) -> Answer:
        from monitor.sinks import _http

        headers = {"content-type": "application/json", "authorization": f"GenieKey {self.key.reveal()}"}
        return await _http.ask(context.client, method, self.url.rstrip("/") + path, body, headers, seconds=seconds)

    def _said(self, text: object) -> str:
        from monitor.sinks import _http

        return _http.said(text, self.key)


def _action(told: Told) -> dict[str, Any]:
    by = told.part("update").get("by")
    found = {"note": line(told.sentence, _NOTE_LIMIT), "source": "Brownout"}
    return found | ({"user": line(by, _SOURCE_LIMIT)} if by else {})


def _text(value: object) -> str:
    return value if isinstance(value, str) else cut(json.dumps(value, ensure_ascii=False))


def _check_tags(tags: tuple[str, ...]) -> None:
    if len(tags) > _TAGS - 5 or any(not 1 <= len(tag) <= _TAG_LIMIT for tag in tags):
        raise BadField("tags", f"must be at most {_TAGS - 5}, of 1 to {_TAG_LIMIT} characters")
