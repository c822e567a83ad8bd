"""A page of Statuspage that keeps its components and incidents, counts calls, and is changed by people."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx
import respx

from monitor.sinks.statuspage import Statuspage
from probes.contract import Secret
from tests.sinks.lives import delivered
from tests.sinks.made import context, mockable
from tests.sinks.official import hold, limits
from tests.virtual_time import run

KEY = "s3cr3t-key"
SHOP, API = "8kbf7d35c070", "vtnh60py4yd7"


@dataclass
class Site:
    """Statuspage's API as far as we use it."""

    components: dict[str, str] = field(default_factory=lambda: {SHOP: "operational", API: "operational"})
    incidents: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[float, str, str]] = field(default_factory=list)
    """When, which method, what of."""
    failing: list[httpx.Response | None] = field(default_factory=list)
    away: bool = False
    lost: list[str] = field(default_factory=list)
    """Methods whose next call is taken, and its answer lost."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"OAuth {KEY}"
        path = request.url.path.removeprefix("/v1/pages/page1/")
        self.calls.append((asyncio.get_running_loop().time(), request.method, path))
        if self.away:
            return httpx.Response(503)
        if self.failing and (found := self.failing.pop(0)) is not None:
            return found
        answer = self._take(request, path)
        if request.method in self.lost:
            self.lost.remove(request.method)
            raise httpx.ReadTimeout("", request=request)
        return answer

    def _take(self, request: httpx.Request, path: str) -> httpx.Response:
        kind, _, name = path.partition("/")
        if kind == "components":
            return self._component(request, name)
        if request.method == "GET":
            page = int(parse_qs(request.url.query.decode())["page"][0])
            unresolved = [item for item in self.incidents if item["status"] != "resolved"]
            return httpx.Response(200, json=unresolved[(page - 1) * 20 : page * 20])
        asked = json.loads(request.content)
        if request.method == "POST":
            hold("statuspage", "components/schemas/postPagesPageIdIncidents", asked)
            self._limits(asked["incident"])
            self.incidents.append({"id": f"inc{len(self.incidents)}"} | asked["incident"])
            return httpx.Response(201, json=self.incidents[-1])
        hold("statuspage", "components/schemas/patchPagesPageIdIncidents", asked)
        found = next(item for item in self.incidents if item["id"] == name)
        found |= asked["incident"]
        self._limits(found)
        return httpx.Response(200, json=found)

    def _component(self, request: httpx.Request, name: str) -> httpx.Response:
        if name not in self.components:
            return httpx.Response(404, json={"error": "Not found"})
        if request.method == "PATCH":
            asked = json.loads(request.content)
            hold("statuspage", "components/schemas/patchPagesPageIdComponents", asked)
            self.components[name] = asked["component"]["status"]
        return httpx.Response(200, json={"id": name, "status": self.components[name]})

    def _limits(self, incident: dict[str, Any]) -> None:
        told = limits("statuspage")
        assert len(incident["name"]) <= told["incident.name"]["max_chars"]
        assert len(incident["body"]) <= told["incident.body"]["max_chars"]
        assert all(isinstance(value, dict) for value in incident["metadata"].values())

    @property
    def changes(self) -> list[tuple[str, str]]:
        return [(method, what) for _, method, what in self.calls if method != "GET"]


class Sender:
    """Sends as the outbox does: with the memory of the stream, which it keeps."""

    def __init__(self, client: httpx.AsyncClient, **keys: Any) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self._client = client
        self._keys = keys
        self.start_anew()

    def start_anew(self) -> None:
        """As after a restart: nothing but what is kept is known."""
        components = {"shop": SHOP, "api": API}
        self.sink = Statuspage(**({"api_key": Secret(KEY), "page": "page1", "components": components} | self._keys))

    async def send(self, told: dict[str, Any], *, uncertain: bool = False, forget: bool = False) -> None:
        """`forget`: the agent is killed before what is in memory was written."""
        delivery = delivered(told)
        memory = dict(self.kept.get(delivery.stream, {}))
        there = context(self._client, memory=memory, uncertain=uncertain, kept=self.kept)
        try:
            await self.sink.send(delivery, there)
        finally:
            if not forget:
                self.kept.pop(delivery.stream, None)
                if memory:
                    self.kept[delivery.stream] = json.loads(json.dumps(memory))


def play(story: Callable[[Sender, Site], Awaitable[None]], **keys: Any) -> Site:
    """In virtual time, as a call waits for its second."""
    site = Site()

    async def scenario() -> None:
        with respx.mock(assert_all_called=False) as mock:
            mock.route(host="api.statuspage.io").mock(side_effect=site.answer)
            async with mockable() as client:
                await story(Sender(client, **keys), site)

    run(scenario())
    return site
