"""Conducts a dialogue that is written sans I/O: a generator that yields what is to be sent and is sent what came."""

from __future__ import annotations

from collections.abc import Generator
from time import perf_counter
from typing import TypeVar

from probes._look import Look
from probes._tls.starttls import talk
from probes._wire.connection import Connection
from probes.contract import Reason

T = TypeVar("T")


async def conduct(look: Look, connection: Connection, dialogue: Generator[bytes, bytes, T], phase: str) -> T:
    """What the dialogue returns. Raises `LookFailed`; spends the phase, but for what is spent on sending. Where the
    server speaks first, the phase begins when it was connected.

    Where the deadline strikes before anything has come, nothing was answered (first_byte_timeout); afterwards the
    answer did not end (transfer_timeout).
    """
    began, sending = perf_counter(), look.phases.get("send", 0.0)
    reason = Reason.FIRST_BYTE_TIMEOUT
    try:
        data = next(dialogue)
        if not data and not connection.arrived and connection.tls is None:
            began = connection.connected  # who speaks first may have done so before we came to listen
        while True:
            if data:
                await connection.send(data)
                reason = Reason.FIRST_BYTE_TIMEOUT
            look.begin(reason)
            came = await connection.receive()
            reason = Reason.TRANSFER_TIMEOUT
            data = dialogue.send(came)
    except StopIteration as end:
        found: T = end.value
        return found
    finally:
        ended = perf_counter() if look.struck else max(began, connection.arrived)
        look.spend(phase, max(0.0, ended - began - look.phases.get("send", 0.0) + sending), ended)


class Upgrade:
    """STARTTLS in one of its protocols, as `Endpoint.before` has it."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol

    async def __call__(self, look: Look, connection: Connection) -> None:
        """Raises `LookFailed`; spends the phase starttls."""
        await conduct(look, connection, talk(self._protocol), "starttls")
