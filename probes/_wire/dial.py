"""From addresses to a connection: raced as browsers do it ("happy eyeballs", RFC 8305), and those tried are evidence.

The families take turns, beginning with that of the first address. While an attempt is under way the next one begins
after `STAGGER`, and at once when one has failed; the first connection wins, the others are closed. So an address that
swallows packets costs a look what it costs a visitor, a quarter of a second, and not its whole deadline; and that it
does is in the evidence, and in `connect`, which counts from the first attempt on.
"""

from __future__ import annotations

from collections.abc import Awaitable
from itertools import zip_longest
from time import perf_counter

from probes._look import Look
from probes._wire.connection import Connection
from probes._wire.endpoint import joined
from probes.contract import DETAIL_LIMIT, Address, Blame, LookFailed, Reason

STAGGER = 0.25
"""Seconds until the next address is tried beside the last one (RFC 8305, 5: the recommended delay)."""


def dial(look: Look, addresses: tuple[Address, ...]) -> Awaitable[Connection]:
    """The first connection that is there; close it. Raises `LookFailed`; spends the phase connect."""
    look.begin(Reason.CONNECT_TIMEOUT, "connect")
    if not addresses:
        raise LookFailed(Reason.DNS_NXDOMAIN, "the name has no address")
    if addresses[0].age:
        look.evidence["resolved"] = addresses[0].origin
    if len(addresses) == 1 and look.trace is None:
        return _connected(look, addresses[0])
    return _raced(look, addresses)


async def _raced(look: Look, addresses: tuple[Address, ...]) -> Connection:
    race = _Race(look, interleaved(addresses))
    try:
        connection = await race.run()
    finally:
        race.end()
    look.spend("connect", connection.connected - race.began, connection.connected)
    return connection


async def _connected(look: Look, address: Address) -> Connection:
    """A race of one, which is what most are, for less than half of what a race costs."""
    look.evidence["address"] = joined(address.host, address.port)
    connection = Connection(look, address)
    try:
        connection.start()
        await look.waiter()
        while not connection.settled():
            await look.waiter()
    except BaseException:
        connection.close()
        raise
    look.spend("connect", connection.connected - connection.began, connection.connected)
    return connection


def interleaved(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """The families in turns, that of the first address first; each in its order (RFC 8305, 4)."""
    first = [address for address in addresses if address.family == addresses[0].family]
    second = [address for address in addresses if address.family != addresses[0].family]
    return tuple(each for pair in zip_longest(first, second) for each in pair if each is not None)


class _Race:
    """Attempts to connect, those that wait, and those that are over. Call `end`: it closes all but the winner."""

    __slots__ = (
        "_choice",
        "_late",
        "_look",
        "_open",
        "_ripe",
        "_told",
        "_waiting",
        "_winner",
        "_worst",
        "_worst_at",
        "began",
    )

    def __init__(self, look: Look, addresses: tuple[Address, ...]) -> None:
        self._look = look
        self._waiting = list(addresses)
        self._choice = len(addresses) > 1
        self._open: list[Connection] = []
        self._winner: Connection | None = None
        self._told: list[str] = []
        self._worst: LookFailed | None = None
        self._worst_at = ""
        self._ripe = False
        """Whether it is time for the next attempt, though none has failed."""
        self._late = 0.0
        """Seconds by which attempts began too late, all in all: our own."""
        self.began = 0.0
        """When the first attempt began, by `perf_counter`."""

    async def run(self) -> Connection:
        look, due = self._look, 0.0
        while self._waiting or self._open:
            if self._waiting:
                self._late += max(0.0, perf_counter() - due) if due else 0.0
                begun = self._start(self._waiting.pop(0))
                due = perf_counter() + STAGGER
                if not begun and self._waiting:
                    continue
            self._ripe = False
            bell = look.loop.call_later(STAGGER, self._ring) if self._waiting else None
            try:
                winner = await self._won()
            finally:
                if bell is not None:
                    bell.cancel()
            if winner is not None:
                look.trust("connect", winner.connected - self.began, self._late)
                return winner
        assert self._worst is not None, "whatever was tried has failed"  # noqa: S101
        raise self._worst

    def _ring(self) -> None:
        self._ripe = True
        self._look.wake()

    async def _won(self) -> Connection | None:
        """The winner; None when it is time to try the next address: after `STAGGER`, or when one has failed."""
        while self._open:
            await self._look.waiter()
            running = len(self._open)
            if (winner := self._winning()) is not None:
                return winner
            if self._waiting and (self._ripe or len(self._open) < running):
                break
        return None

    def end(self) -> None:
        """Close what is open, and tell where the look went, or failed; with a choice of addresses, what each did."""
        now, evidence = perf_counter(), self._look.evidence
        if self._winner is not None:
            evidence["address"] = self._winner.where
            self._trace(self._winner, self._winner.connected, "connected")
            self._open.remove(self._winner)
        elif self._open or self._worst_at:
            evidence["address"] = self._open[0].where if self._open else self._worst_at
        for connection in self._open:
            self._told.append(f"{connection.where}: no answer in {now - connection.began:.2f} s")
            self._trace(connection, now, "no answer")
            connection.close()
        if self._told and self._choice:
            if self._waiting and self._winner is None:
                self._told[-1] += f" ({len(self._waiting)} more not tried)"
            evidence["tried"] = ", ".join(self._told)[-DETAIL_LIMIT:]

    def _start(self, address: Address) -> bool:
        """Whether an attempt is under way."""
        connection = None
        try:
            connection = Connection(self._look, address)
            connection.start()
        except LookFailed as error:
            self._failed(connection, joined(address.host, address.port), error)
        else:
            self._open.append(connection)
        if connection is not None:
            self.began = self.began or connection.began
        return connection in self._open

    def _trace(self, connection: Connection, ended: float, told: str) -> None:
        if self._look.trace is not None:
            self._look.trace.attempted(connection.where, connection.began, ended, told)

    def _winning(self) -> Connection | None:
        for connection in tuple(self._open):
            try:
                if connection.settled():
                    self._winner = connection
                    return connection
            except LookFailed as error:
                if error.reason is Reason.LATE:
                    raise
                self._open.remove(connection)
                self._failed(connection, connection.where, error)
        return None

    def _failed(self, connection: Connection | None, where: str, error: LookFailed) -> None:
        told = error.detail if error.detail.startswith(where) else f"{where}: {error.detail}"
        if connection is not None:
            waited = perf_counter() - connection.began
            told += f" after {waited:.2f} s" if waited >= 0.01 else ""
            self._trace(connection, perf_counter(), error.reason.value)
            connection.close()
        elif self._look.trace is not None:
            self._look.trace.noted(told, perf_counter())
        self._told.append(told)
        # What the target did says more than what we lack, such as a route for IPv6.
        if self._worst is None or self._worst.reason.blame is not Blame.TARGET:
            self._worst, self._worst_at = error, where
