"""A pager that answers as told and notes what it was sent, and a sink that remembers what it has told it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import respx

from monitor.sinks.contract import Sink, SinkContext
from tests.sinks.lives import delivered
from tests.sinks.made import context


@dataclass
class Pager:
    """`take` gets each request that is not refused, and answers it."""

    take: Callable[[httpx.Request], httpx.Response]
    answers: list[httpx.Response | Exception] = field(default_factory=list)
    """What the next requests get instead; a 2xx is as if nothing stood there."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What the sink keeps of the stream."""

    async def tell(self, sink: Sink, *bodies: dict[str, Any]) -> None:
        """The events one after another, as the outbox hands them over."""
        with respx.mock:
            respx.route().mock(side_effect=self._answer)
            async with httpx.AsyncClient(verify=False) as client:  # no authorities to load: nothing is sent
                for told in bodies:
                    base = context(client)
                    await sink.send(delivered(told), SinkContext(client, base.now, base.terminal, self.memory))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        found = self.answers.pop(0) if self.answers else None
        if isinstance(found, Exception):
            raise found
        return self.take(request) if found is None or found.is_success else found
