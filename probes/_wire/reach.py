"""From a name to a connection that can be talked on: resolved, dialled, secured, timed, its certificate noted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from time import perf_counter

from probes._look import LATE, Look
from probes._quick import quick
from probes._tls.handshake import Unheard
from probes._tls.session import TlsSession
from probes._wire.connection import Connection
from probes._wire.dial import dial
from probes.contract import Address, Context, LookFailed, Reason, TlsWanted

_AS_USUAL = TlsWanted()
_SECOND_TRY = 2.0
"""Seconds that a second handshake may take, which is made only to say more about the first."""


@quick(frozen=True, slots=True)
class Endpoint:
    """Where to connect. `server_name` is None for a plain connection, else what is asked for by SNI and verified."""

    host: str
    port: int
    server_name: str | None = None
    tls: TlsWanted = _AS_USUAL
    before: Callable[[Look, Connection], Awaitable[None]] | None = None
    """What is said in plain text before TLS is spoken."""


async def resolved(look: Look, context: Context, host: str, port: int) -> tuple[Address, ...]:
    """The addresses of a name: how a look at a network begins. Raises `LookFailed`; spends the phase resolve."""
    look.trace = context.trace
    look.begin(Reason.DNS_TIMEOUT)
    since = perf_counter()
    addresses = await context.resolver.resolve(host, port, look.left())
    now = perf_counter()
    look.spend("resolve", now - since, now)
    if now - since > LATE:
        look.check_late(now)  # the answer may have lain unread
    if look.trace is not None:
        found = ", ".join(address.host for address in addresses) or "no address"
        if found != host:
            look.trace.noted(f"{host} is at {found}", now)
    return addresses


async def reach(look: Look, context: Context, endpoint: Endpoint, figures: dict[str, float]) -> Connection:
    """An open connection; close it. Raises `LookFailed`; spends the phases resolve, connect and tls, and adds
    `certificate_expires_in` (the earliest of the look) to `figures`."""
    addresses = await resolved(look, context, endpoint.host, endpoint.port)
    if endpoint.server_name is not None:
        await _prepare(look, context, endpoint.tls)
    connection = await dial(look, addresses)
    if endpoint.server_name is None:
        return connection
    try:
        return await secured(look, context, connection, endpoint, figures)
    except Unheard as failure:
        raise await _heard(look, context, connection.address, endpoint, failure) from failure


async def _prepare(look: Look, context: Context, wanted: TlsWanted) -> None:
    """What may have files to read, before there is a server that waits for it. Raises `LookFailed`."""
    if wanted.ca_file is None and wanted.certificate is None:
        return
    try:
        async with asyncio.timeout(look.left()):
            await context.tls.get(wanted)
    except TimeoutError:
        raise LookFailed(Reason.DENIED, "certificates cannot be read: the file system does not answer") from None


async def secured(
    look: Look, context: Context, connection: Connection, endpoint: Endpoint, figures: dict[str, float]
) -> Connection:
    """The connection, once TLS is spoken on it, where the endpoint has a `server_name`; else as it is.

    Raises `LookFailed`, and closes it; spends the phase tls, and tells of the certificate as `reach` does.
    """
    if endpoint.server_name is not None:
        try:
            tls = await context.tls.get(endpoint.tls)
            if endpoint.before is not None:
                await endpoint.before(look, connection)
            await connection.secure(tls, endpoint.server_name)
        except BaseException:
            connection.close()
            raise
        if connection.tls is not None:
            note_certificate(connection.tls, look, figures)
    return connection


def note_certificate(tls: TlsSession, look: Look, figures: dict[str, float]) -> None:
    """Tell of the server's certificate, as `reach` does."""
    told = tls.certificates()
    if told.end is not None:
        left = told.end - time.time()
        figures["certificate_expires_in"] = min(left, figures.get("certificate_expires_in", left))
    look.evidence["tls"] = tls.peer.version() or ""
    look.evidence.update(told.evidence)


async def _heard(
    look: Look, context: Context, address: Address, endpoint: Endpoint, failure: LookFailed
) -> LookFailed:
    """`failure` as another handshake with the same address tells it, which is overheard; as it is when that one ends
    otherwise, or not in time. What it takes is no part of the look's times, nor of its trace."""
    look.stop()
    phases, trace = dict(look.phases), look.trace
    look.trace = None
    reason, detail = failure.reason, failure.detail
    try:
        async with asyncio.timeout(min(_SECOND_TRY, look.left())):
            with await dial(look, (address,)) as connection:
                await secured(look, context, connection, endpoint, {})
    except LookFailed as found:
        if found.reason.value.startswith("tls_") and not found.reason.timed_out:
            reason, detail = found.reason, found.detail
    except TimeoutError:
        pass
    finally:
        look.stop()
        look.trace = trace
        look.phases.clear()
        look.phases.update(phases)
    if trace is not None:
        trace.noted(f"another handshake told why: {reason.value}", perf_counter())
    return LookFailed(reason, detail)
