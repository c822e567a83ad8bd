"""From a name to a connection that can be talked on: resolved, dialled, secured, timed, its certificate noted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from time import perf_counter

from probes._look import Look
from probes._net import Connection, dial
from probes._tls import not_after
from probes.contract import Context, Reason


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect. `server_name` is None for a plain connection, else what is asked for by SNI and verified."""

    host: str
    port: int
    server_name: str | None = None
    verify: bool = True
    ca_file: str | None = None
    alpn: str | None = None


async def reach(look: Look, context: Context, endpoint: Endpoint, figures: dict[str, float]) -> Connection:
    """An open connection; close it. Raises `LookFailed`; spends the phases resolve, connect and tls, and adds
    `certificate_expires_in` (the earliest of the look) to `figures`."""
    since = perf_counter()
    look.begin(Reason.DNS_TIMEOUT)
    addresses = await context.resolver.resolve(endpoint.host, endpoint.port, look.left())
    look.spend("resolve", perf_counter() - since)
    connection = await dial(look, addresses)
    if endpoint.server_name is not None:
        try:
            tls = context.tls.get(verify=endpoint.verify, ca_file=endpoint.ca_file, alpn=endpoint.alpn)
            await connection.secure(tls, endpoint.server_name)
        except BaseException:
            connection.close()
            raise
        _note_certificate(connection, look, figures)
    return connection


def _note_certificate(connection: Connection, look: Look, figures: dict[str, float]) -> None:
    certificate = connection.certificate()
    end = not_after(certificate) if certificate else None
    if end is not None:
        left = end - time.time()
        figures["certificate_expires_in"] = min(left, figures.get("certificate_expires_in", left))
    look.evidence["tls"] = connection.tls_version() or ""
