"""Intercom: a ticket for each incident, opened for the support team and closed with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Final

from monitor.core.wording import cut
from monitor.sinks import _told
from monitor.sinks._checks import check_key, check_url
from monitor.sinks._message import Message, compose, moment, plain
from monitor.sinks._told import Class, Told
from monitor.sinks.contract import Nature, SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, Secret, check_fields

VERSION: Final = "2.16"
TITLE_LIMIT: Final = 250
TEXT_LIMIT: Final = 5000
_CALL_SECONDS: Final = 6.0
"""A delivery makes three calls at most, and ends within the time of an attempt."""
_MARGIN: Final = timedelta(days=1)
"""So long before the event the tickets begin that are searched: clocks differ, and Intercom compares times by the day
where contacts are searched ("Search contacts"); of tickets it does not say how."""
_SEARCHED: Final = 50
"""Tickets that are looked through; Intercom does not say in which order they come."""
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_ID: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Intercom(Sink):
    """Opens a ticket in Intercom when an incident begins, keeps it up to date, and closes it at the end.

    ```yaml
    sinks:
      support:
        type: intercom
        token: "${INTERCOM_TOKEN}"
        ticket_type: "1234"
        contact: brownout@example.com
    ```

    So whoever answers customers sees what is wrong, since when, and when it is over, and can link the conversations
    about it: take a ticket type of the category *Tracker*. Title and text are those of the present state. Only
    incidents make tickets (and `service.changed` and `check.changed`, where a route sends them); the agent's own
    trouble, deploys and digests do not. What cannot be judged changes nothing.

    A ticket is closed at recovery, whoever works on it. One that somebody has deleted is left alone. A drill is a
    ticket whose title begins with `[DRILL]`; a test is opened and closed at once.

    **What to click.** In Intercom: *Settings*, *Integrations*, *Developer Hub*, *New app*, *Internal*; there
    *Authentication*, copy the access token. It needs the permissions to read and write tickets and to read and write
    users. *Settings*, *Tickets*, *Ticket types*: create one, category *Tracker*; its number is in the address. The
    contact is whom Intercom wants each ticket to be about: an address of yours, which Intercom makes a contact of. In
    Europe say `url: https://api.eu.intercom.io`, in Australia `https://api.au.intercom.io`.

    Intercom cannot tell a repetition. So when no answer came, the tickets of this type are searched for ours, from
    the day before on, before another is opened; its search is a little behind, so that in such a moment there may be
    two. A 429 is waited out as `X-RateLimit-Reset` says.
    """

    kind: ClassVar[str] = "intercom"
    nature: ClassVar[Nature] = Nature.LEVEL

    token: Annotated[Secret, "the app's access token"]
    ticket_type: Annotated[str, "the ID of the ticket type"]
    contact: Annotated[str, "whom tickets are about: an e-mail address, or the ID of a contact"] = field(repr=False)
    closed_state: Annotated[str | None, "the ID of the ticket state to be set at the end, besides closing it"] = None
    url: Annotated[str, "where its API is"] = "https://api.intercom.io"

    def __post_init__(self) -> None:
        check_fields(
            lambda: check_url(self.url),
            partial(_check_id, "ticket_type", self.ticket_type),
            *([partial(_check_id, "closed_state", self.closed_state)] if self.closed_state is not None else []),
            self._check_contact,
            lambda: check_key(self.token, "token", "token"),
        )

    def _check_contact(self) -> None:
        if not (_EMAIL.fullmatch(self.contact) or _ID.fullmatch(self.contact)):
            raise BadField("contact", "must be an e-mail address, or the ID of a contact")

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        told = _told.read(delivery)
        if told.cls in (Class.UNKNOWN, Class.MARK) or told.type.startswith("agent.") or told.type == "digest":
            return
        if told.test:
            await self._close(await self._open(told, context), told, context)
            return
        ticket = context.memory.get("ticket")
        if told.cls is Class.RECOVERED:
            if not isinstance(ticket, str) and context.memory.get("asked"):
                ticket = await self._find(told, context)  # an opening that nobody has answered
            if isinstance(ticket, str):
                await self._close(ticket, told, context)
            context.memory.clear()
        elif isinstance(ticket, str):
            await self._update(ticket, {"ticket_attributes": _attributes(told, context), "open": True}, context)
        else:
            context.memory["ticket"] = await self._open(told, context)
            context.memory.pop("asked", None)

    async def _open(self, told: Told, context: SinkContext) -> str:
        """The ticket's id: a new one, unless an earlier attempt has opened it."""
        if (context.uncertain or context.memory.get("asked")) and (found := await self._find(told, context)):
            return found
        contact = {"email": self.contact} if "@" in self.contact else {"id": self.contact}
        asked = {
            "ticket_type_id": self.ticket_type,
            "contacts": [contact],
            "ticket_attributes": _attributes(told, context),
        }
        context.memory["asked"] = True
        await context.keep()
        try:
            answer = await self._ask("POST", "/tickets", asked, context)
        except SendFailed as failed:
            if not failed.uncertain:
                context.memory.pop("asked", None)
            raise
        if not isinstance(found := answer.get("id"), str):
            raise SendFailed("took the ticket, but told no id of it", uncertain=True)
        if told.test:
            context.memory.clear()
        return found

    async def _find(self, told: Told, context: SinkContext) -> str | None:
        """The ticket that has our key in its text, among those of this type since about the event."""
        begun = (moment(told.since) or context.now) - _MARGIN
        query = {
            "query": {
                "operator": "AND",
                "value": [
                    {"field": "created_at", "operator": ">", "value": int(begun.timestamp())},
                    {"field": "ticket_type_id", "operator": "=", "value": self.ticket_type},
                ],
            },
            "pagination": {"per_page": _SEARCHED},
        }
        answer = await self._ask("POST", "/tickets/search", query, context)
        tickets = answer.get("tickets")
        for ticket in tickets if isinstance(tickets, list) else ():
            if isinstance(ticket, dict) and told.key in json.dumps(ticket.get("ticket_attributes")):
                return str(ticket.get("id"))
        return None

    async def _close(self, ticket: str, told: Told, context: SinkContext) -> None:
        change: dict[str, Any] = {"ticket_attributes": _attributes(told, context), "open": False}
        if self.closed_state is not None:
            change["ticket_state_id"] = self.closed_state
        await self._update(ticket, change, context)

    async def _update(self, ticket: str, change: Mapping[str, Any], context: SinkContext) -> None:
        await self._ask("PUT", f"/tickets/{ticket}", change, context, gone=True)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any], context: SinkContext, *, gone: bool = False
    ) -> Mapping[str, Any]:
        """What it answers. `gone`: that there is no such ticket any more is fine: somebody has deleted it."""
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        headers = {
            "authorization": f"Bearer {self.token.reveal()}",
            "content-type": "application/json",
            "accept": "application/json",
            "intercom-version": VERSION,
        }
        url = f"{self.url.rstrip('/')}{path}"
        encoded = json.dumps(body).encode()
        answer = await _http.ask(context.client, method, url, encoded, headers, seconds=_CALL_SECONDS)
        if gone and answer.status == 404:
            return {}
        reset = _http.limit_reset(answer)  # an instant
        _http.judge(answer, context.now, wait=None if reset is None else max(reset - context.now.timestamp(), 0.0))
        return answer.mapping()


def _attributes(told: Told, context: SinkContext) -> dict[str, str]:
    message: Message = compose(told, context.now)
    text = cut(plain(message), TEXT_LIMIT - len(told.key) - 2)
    return {
        "_default_title_": cut(f"{message.symbol} {message.headline}", TITLE_LIMIT),
        "_default_description_": f"{text}\n\n{told.key}",
    }


def _check_id(name: str, value: str) -> None:
    if not _ID.fullmatch(value):
        raise BadField(name, "must be an ID, as it stands in Intercom's address of it")
