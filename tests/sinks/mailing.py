"""The sink that sends mail, with what the outbox keeps for it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from monitor.sinks.contract import SendFailed
from monitor.sinks.email import Email
from tests.servers.mail import Server
from tests.sinks.lives import OPENED, START, delivered
from tests.sinks.made import context

SENDER = "Brownout <brownout@example.com>"


def made(server: Server, **facts: Any) -> Email:
    given: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "security": "none", "to": ("ops@example.com",)}
    return Email(from_=SENDER, **(given | facts))


class Mailer:
    """The sink, and what the outbox keeps for it between deliveries."""

    def __init__(self, sink: Email) -> None:
        self.memory: dict[str, Any] = {}
        self._sink = sink

    async def tell(self, told: dict[str, Any]) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await self._sink.send(delivered(told), context(client, now=START, memory=self.memory))

    async def fails(self, told: dict[str, Any] = OPENED) -> SendFailed:
        with pytest.raises(SendFailed) as raised:
            await self.tell(told)
        assert "s3cr3t" not in str(raised.value)
        return raised.value
