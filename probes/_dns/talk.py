"""Asking a name server: by datagrams, which anybody may send, or on a connection, where every byte is its own.

By UDP what does not answer the question is ignored and counted, and the question is asked again after a second, then
after two, four ... as resolvers do: a lost packet is a slow answer, not a failure. On a connection such a message
breaks the protocol.
"""

from __future__ import annotations

from collections import Counter
from math import inf
from time import perf_counter

from probes._dns.asked import Asked
from probes._look import Look
from probes._wire.connection import Connection
from probes._wire.datagram import Datagrams
from probes.contract import Address, Blame, LookFailed, Reason

ASK_AGAIN = 1.0
"""Seconds until a question by UDP is asked for the second time; each further pause is twice as long (as for SYNs)."""

MOST_IGNORED = 100
"""Datagrams that answer nothing, within one look: more is a flood, which is not read to its end."""


async def by_datagrams(
    look: Look, addresses: tuple[Address, ...], asked: Asked, until: float = inf
) -> tuple[bytes, Address]:
    """The answer, and who gave it: the first address in order that does not refuse. Raises `LookFailed`
    (query_timeout, too, when there is none by `until`, by `perf_counter`); spends the phase query."""
    look.begin(Reason.QUERY_TIMEOUT)
    began = perf_counter()
    failure: LookFailed | None = None
    for address in addresses:
        ended = 0.0
        try:
            with Datagrams(look, address) as link:
                look.evidence["address"] = link.where
                data = await _answered(look, link, asked, until)
                ended = link.arrived
        except LookFailed as error:
            if look.left() <= 0 or error.reason not in _NEXT:
                raise
            # What the target did says more than what we lack, such as a route for IPv6.
            if failure is None or failure.reason.blame is not Blame.TARGET:
                failure = error
        else:
            return data, address
        finally:
            look.spend("query", (ended or perf_counter()) - began, ended or None)
            began = perf_counter()
    raise failure or LookFailed(Reason.DNS_NXDOMAIN, "the name of the server has no address")


_NEXT = frozenset({Reason.REFUSED, Reason.UNREACHABLE, Reason.NO_ROUTE, Reason.DENIED})
"""Another address of the server may do better."""


async def _answered(look: Look, link: Datagrams, asked: Asked, until: float) -> bytes:
    ignored: Counter[str] = Counter()
    times, pause = 1, ASK_AGAIN
    link.send(asked.wire)
    again = perf_counter() + pause
    while True:
        data = await link.receive(min(again, until))
        if data is None and perf_counter() >= until:
            raise LookFailed(Reason.QUERY_TIMEOUT, "no answer while it was its turn")
        if data is None:
            times, pause = times + 1, pause * 2
            look.evidence["asked"] = f"{times} times"
            link.send(asked.wire)
            again = perf_counter() + pause
            continue
        why = asked.stranger(data)
        if why is None:
            return data
        ignored[why] += 1
        look.evidence["ignored"] = ", ".join(f"{count} {what}" for what, count in ignored.items())
        if ignored.total() >= MOST_IGNORED:
            raise LookFailed(Reason.PROTOCOL, f"{MOST_IGNORED} datagrams came, and none of them answers the question")


async def on_connection(look: Look, connection: Connection, asked: Asked) -> bytes:
    """The answer, each message behind its length in two bytes (RFC 7766, 8). Raises `LookFailed`; spends the phase
    query, with sending in it."""
    began, ended = perf_counter(), 0.0
    try:
        await connection.send(len(asked.wire).to_bytes(2, "big") + asked.wire)
        look.begin(Reason.QUERY_TIMEOUT)
        data = await _message(connection)
        ended = connection.arrived
    finally:
        look.phases.pop("send", None)  # a part of this phase
        look.spend("query", (ended or perf_counter()) - began, ended or None)
    why = asked.stranger(data)
    if why is not None:
        raise LookFailed(Reason.PROTOCOL, f"what came is no answer to the question: {why}")
    return data


async def _message(connection: Connection) -> bytes:
    """At most 64 KiB, as the length has two bytes, and what the last read brought along."""
    found = bytearray()
    while len(found) < 2 or len(found) < 2 + int.from_bytes(found[:2], "big"):
        data = await connection.receive()
        if not data:
            if found:
                raise LookFailed(Reason.TRUNCATED, f"the connection was closed after {len(found)} bytes of an answer")
            raise LookFailed(Reason.EMPTY_REPLY, "the connection was closed without an answer")
        found += data
    return bytes(found[2 : 2 + int.from_bytes(found[:2], "big")])
