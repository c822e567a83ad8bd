"""A sink that remembers what it has told, as the outbox lets it, and a pager that answers as told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx
import pytest
import respx

from monitor.sinks.contract import SendFailed, Sink
from tests.sinks.lives import START, delivered
from tests.sinks.made import context


class Stream:
    """The events of one stream, one after another."""

    def __init__(self, client: httpx.AsyncClient, sink: Sink) -> None:
        self.memory: dict[str, Any] = {}
        """What the sink keeps of it."""
        self._client = client
        self._sink = sink

    async def tell(self, told: dict[str, Any], *, uncertain: bool = False) -> None:
        there = context(self._client, now=START, memory=self.memory, uncertain=uncertain)
        await self._sink.send(delivered(told), there)

    async def fails(self, told: dict[str, Any], *, uncertain: bool = False) -> SendFailed:
        with pytest.raises(SendFailed) as raised:
            await self.tell(told, uncertain=uncertain)
        assert "s3cr3t" not in str(raised.value)
        return raised.value


@dataclass
class Pager:
    """What a test's own is made of: `take` gets each request that is not refused, and answers it."""

    sink: ClassVar[Sink]
    """The one that `tell` is about."""
    answers: list[httpx.Response | Exception] = field(default_factory=list)
    """What the next requests get instead; a 2xx is as if nothing stood there."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What the sink keeps of the stream."""

    def take(self, request: httpx.Request) -> httpx.Response:
        raise NotImplementedError

    async def tell(self, *bodies: dict[str, Any]) -> None:
        """The events one after another, as the outbox hands them over."""
        await self.send(self.sink, *bodies)

    async def send(self, sink: Sink, *bodies: dict[str, Any]) -> None:
        """The same, by another sink."""
        with respx.mock:
            respx.route().mock(side_effect=self._answer)
            async with httpx.AsyncClient(verify=False) as client:  # no authorities to load: nothing is sent
                for told in bodies:
                    await sink.send(delivered(told), context(client, memory=self.memory))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        found = self.answers.pop(0) if self.answers else None
        if isinstance(found, Exception):
            raise found
        return self.take(request) if found is None or found.is_success else found
