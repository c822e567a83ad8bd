"""Atlassian Statuspage: components by themselves, incidents if wanted."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import quote

from monitor.core.wording import cut
from monitor.sinks import _told
from monitor.sinks._checks import check_key, check_url
from monitor.sinks._message import harmless
from monitor.sinks._page import DEGRADED, OPERATIONAL, OUTAGE, Page
from monitor.sinks._told import Class, Told
from monitor.sinks.contract import Nature, SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, Secret, check_fields

_CALL_SECONDS: Final = 6.0
_BUDGET: Final = 12.0
"""Seconds after which an attempt begins no further call: it ends within its 20 s, and the next one goes on there."""
SPACING: Final = 1.0
"""Seconds between the beginnings of two calls: what a token may do."""
_TOO_FAST: Final = 420
"""What it answers besides 429 where that was too many."""
NAME_LIMIT: Final = 255
TEXT_LIMIT: Final = 25_000
_PAGES: Final = 5
_PER_PAGE: Final = 20
"""Of open incidents, that are looked through for ours."""
_CHECKED: Final = 8
"""Components that a test looks for: the first ones."""
_LATER: Final = "not done yet: one call a second is all that Statuspage allows"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STATUS: Final = {Class.OUTAGE: OUTAGE, Class.DEGRADED: DEGRADED, Class.RECOVERED: OPERATIONAL}
_IMPACT: Final = {Class.OUTAGE: "critical", Class.DEGRADED: "minor"}
_BEGUN: Final = "investigating"
_SAID: Final = {
    Class.OUTAGE: ("{name} is not available", "{name} is not available at the moment. We are looking into it."),
    Class.DEGRADED: (
        "{name} is impaired",
        "{name} is slower than usual, or fails now and then. We are looking into it.",
    ),
    Class.RECOVERED: ("", "This is over: {name} works as usual again."),
}
"""Of an incident: its name and its text. For customers: nothing that a look has seen goes there."""


class _Line:
    """One call after another, a second apart, and what is known of the page."""

    __slots__ = ("free", "lock", "page")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.free = 0.0
        """When the next call may begin, by the loop's clock."""
        self.page: Page | None = None


@dataclass(frozen=True, slots=True)
class Statuspage(Sink):
    """Sets components of an Atlassian Statuspage to what customers have; opens incidents there if you want that.

    ```yaml
    sinks:
      public:
        type: statuspage
        api_key: "${STATUSPAGE_API_KEY}"
        page: kctbh9vrtdwd
        components: {shop: 8kbf7d35c070}
    ```

    An outage of a service is `major_outage` of its component, a degradation `degraded_performance`, a recovery
    `operational`; of several open incidents the worst counts. What cannot be judged changes nothing, and neither do
    the agent's own trouble, drills and tests: customers read this. A test only looks whether the key is right and the
    components are there.

    **It never overwrites what a person has set.** A component is changed only while it says `operational`, or what
    this sink has set itself; one that somebody has set to something else is left alone until the trouble is over.
    `under_maintenance` is never touched.

    With `incidents: true` an incident is opened, too, as `investigating`, and resolved at the end, with plain words
    that hold nothing of what a look has seen. As soon as a person has changed its status or resolved it, it is
    theirs. Subscribers get mail of it with `notify: true` only.

    **What to click.** On manage.statuspage.io: your name at the bottom left, *API info*: the page's ID and the key
    (*Create key*). A component's ID is in *Components*, *Edit*, at the end of the address. A key may do one call a
    second: give the agent a key of its own.

    Statuspage cannot tell a repetition, so before an incident is opened the open ones are searched for ours (it is
    marked in the `metadata`). 420 and 429 mean too many calls, and are tried again.
    """

    kind: ClassVar[str] = "statuspage"
    nature: ClassVar[Nature] = Nature.LEVEL
    by_service: ClassVar[str | None] = "components"

    api_key: Annotated[Secret, "an API key of your account"]
    page: Annotated[str, "the page's ID"]
    components: Annotated[Mapping[str, str], "services, by the IDs of their components"]
    incidents: Annotated[bool, "whether incidents are opened and resolved, too"] = False
    notify: Annotated[bool, "whether subscribers get mail of those incidents"] = False
    url: Annotated[str, "where its API is"] = "https://api.statuspage.io/v1"
    _line: Annotated[_Line, "not written: whose turn it is"] = field(
        init=False, repr=False, compare=False, default_factory=_Line
    )

    def __post_init__(self) -> None:
        check_fields(
            lambda: check_url(self.url), lambda: check_key(self.api_key), self._check_page, self._check_components
        )

    def _check_page(self) -> None:
        if not _ID.fullmatch(self.page):
            raise BadField(
                "page", "must be the page's ID, such as kctbh9vrtdwd: see API info on manage.statuspage.io"
            )

    def _check_components(self) -> None:
        if not self.components:
            raise BadField("components", "must name at least one service and its component")
        for service, component in self.components.items():
            if not _ID.fullmatch(component):
                raise BadField(f"components.{service}", "must be a component's ID, such as 8kbf7d35c070")

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        told = _told.read(delivery)
        if told.test or (told.cls in _STATUS and not told.drill):
            await _Attempt(self, told, delivery.stream, context).make()

    def statuses(self, told: Told) -> dict[str, str] | None:
        """What this event wants of our components; None: it says nothing of them."""
        if told.type == "service.changed":
            bad = [told.part("service").get("id")]
        elif told.type.startswith("incident."):
            affected = told.part("incident").get("affected")
            bad = affected if isinstance(affected, list) else []
        else:
            return None
        if told.cls is Class.RECOVERED:
            return {}
        return {self.components[str(name)]: _STATUS[told.cls] for name in bad if str(name) in self.components}

    @property
    def line(self) -> _Line:
        """Whose turn it is."""
        return self._line


class _Attempt:
    """One delivery. Its calls are made one by one."""

    def __init__(self, sink: Statuspage, told: Told, stream: str, context: SinkContext) -> None:
        self._sink = sink
        self._told = told
        self._stream = stream
        self._context = context
        self._memory = context.memory
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + _BUDGET

    async def make(self) -> None:
        """Wait for our turn, and do it."""
        lock = self._sink.line.lock
        try:
            async with asyncio.timeout_at(self._until):
                await lock.acquire()
        except TimeoutError:
            raise SendFailed(_LATER, retry_after=SPACING) from None
        try:
            if self._told.test:
                await self._check()
            elif (statuses := self._sink.statuses(self._told)) is not None:
                await self._bring(statuses)
        finally:
            lock.release()

    async def _check(self) -> None:
        """For a test: whether the page can be read and has our components."""
        for name in list(self._sink.components.values())[:_CHECKED]:
            await self._status(name)

    async def _bring(self, statuses: Mapping[str, str]) -> None:
        """Have the page say what holds now."""
        line = self._sink.line
        if line.page is None:
            line.page = Page.remembered(self._context.kept)
        page, stream = line.page, self._stream
        owed = page.want(stream, statuses, self._memory)
        try:
            while owed:
                await self._set(page, owed)
                del owed[0]
        finally:
            page.remember(stream, self._memory, owed)
        if self._sink.incidents and self._told.type.startswith("incident."):
            await self._tell_incident(sorted(statuses))

    async def _set(self, page: Page, owed: list[str]) -> None:
        """Bring the first of these to what it should say."""
        name = owed[0]
        gone = page.due(name) == OPERATIONAL  # what is no longer there needs no end
        found = await self._status(name, gone=gone)
        change = page.change(name, found, maybe=self._context.uncertain)
        if change is not None:
            page.begin(name, found, change)
            page.remember(self._stream, self._memory, owed)
            await self._context.keep()
            await self._ask("PATCH", f"components/{name}", {"component": {"status": change}})
        page.done(name, change)

    async def _status(self, component: str, *, gone: bool = False) -> str:
        """What it says now. `gone`: it need not be there any more."""
        found = await self._ask("GET", f"components/{component}", missing="" if gone else component)
        status = found.get("status") if isinstance(found, dict) else None
        if not isinstance(status, str) and not gone:
            raise SendFailed("its answer cannot be read: is that Statuspage?")
        return str(status or "")

    async def _tell_incident(self, components: list[str]) -> None:
        """Open, change or resolve the incident there."""
        told, memory = self._told, self._memory
        known = memory.get("incident")
        if told.cls is Class.RECOVERED:
            if known or memory.get("asked"):
                mine = await self._find(known)
                if mine is not None and mine.get("status") == _BEGUN:
                    await self._change(str(mine.get("id")), {"status": "resolved"})
            for key in ("incident", "impact", "asked"):
                memory.pop(key, None)
        elif known is None and components:
            await self._open(components)
        elif known is not None and memory.get("impact") != _IMPACT[told.cls]:
            mine = await self._find(known)
            if mine is not None and mine.get("status") == _BEGUN:
                await self._change(str(known), {"impact_override": _IMPACT[told.cls], "component_ids": components})
            memory["impact"] = _IMPACT[told.cls]

    async def _open(self, components: list[str]) -> None:
        told, memory = self._told, self._memory
        mine = await self._find(None)  # Statuspage cannot tell a repetition: see whether it is there already
        if mine is None:
            name, text = self._words()
            incident = {
                "name": name,
                "status": _BEGUN,
                "impact_override": _IMPACT[told.cls],
                "body": text,
                "component_ids": components,
                "deliver_notifications": self._sink.notify,
                "metadata": {"brownout": {"key": told.key}},
            }
            memory["asked"] = True
            await self._context.keep()
            found = await self._ask("POST", "incidents", {"incident": incident})
            mine = found if isinstance(found, dict) else {}
        if not mine.get("id"):
            raise SendFailed("took the incident, but told no id of it", uncertain=True)
        memory.pop("asked", None)
        memory["incident"], memory["impact"] = str(mine["id"]), _IMPACT[told.cls]

    async def _change(self, identity: str, change: Mapping[str, Any]) -> None:
        words = {"body": self._words()[1], "deliver_notifications": self._sink.notify}
        await self._ask("PATCH", f"incidents/{quote(identity, safe='')}", {"incident": {**change, **words}})

    async def _find(self, identity: object) -> dict[str, Any] | None:
        """Ours among the open ones, by its id or by our mark; None: there is none, or somebody has resolved it."""
        for number in range(1, _PAGES + 1):
            found = await self._ask("GET", f"incidents/unresolved?page={number}&per_page={_PER_PAGE}")
            if not isinstance(found, list):
                raise SendFailed("its answer cannot be read: is that Statuspage?")
            for item in found:
                if isinstance(item, dict) and (self._marked(item) or (identity and item.get("id") == identity)):
                    return item
            if len(found) < _PER_PAGE:
                break
        return None

    def _marked(self, incident: Mapping[str, Any]) -> bool:
        mark = incident.get("metadata")
        mark = mark.get("brownout") if isinstance(mark, dict) else None
        return isinstance(mark, dict) and mark.get("key") == self._told.key

    def _words(self) -> tuple[str, str]:
        name, text = _SAID[self._told.cls]
        others = [
            item for item in self._sink.components if item in (self._told.part("incident").get("affected") or ())
        ]
        title = cut(harmless(self._told.title), 150) + (f" and {len(others) - 1} more" if len(others) > 1 else "")
        return cut(name.format(name=title), NAME_LIMIT), cut(text.format(name=title), TEXT_LIMIT)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, missing: str | None = None
    ) -> Any:
        """One call, when it is its turn. `missing`: what is not there if it answers 404; empty: that is fine. Raises
        `SendFailed`."""
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        line = self._sink.line
        await asyncio.sleep(max(line.free - self._loop.time(), 0.0))
        if self._loop.time() > self._until:
            raise SendFailed(_LATER, retry_after=SPACING)
        line.free = self._loop.time() + SPACING
        url = f"{self._sink.url.rstrip('/')}/pages/{self._sink.page}/{path}"
        headers = {"authorization": f"OAuth {self._sink.api_key.reveal()}", "accept": "application/json"}
        sent = None
        if body is not None:
            headers["content-type"] = "application/json"
            sent = json.dumps(body).encode()
        answer = await _http.ask(self._context.client, method, url, sent, headers, seconds=_CALL_SECONDS)
        if answer.status == 404 and missing is not None:
            if missing:
                raise SendFailed(f"the page has no component {missing}: see its ID, and the page's", permanent=True)
            return None
        _http.judge(answer, self._context.now, retried=_http.RETRIED | {_TOO_FAST})
        return answer.json()
