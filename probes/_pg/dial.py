"""From a DSN to a connected socket, with TLS agreed upon as PostgreSQL does it: asked for before anything else."""

from __future__ import annotations

import socket
import ssl
from time import perf_counter

from probes._look import Look
from probes._pg.dsn import Dsn
from probes._tls.starttls import SSL_REQUEST
from probes._wire.connection import Connection
from probes._wire.keepalive import kept_alive
from probes._wire.reach import Endpoint, reach
from probes._wire.streams import dial_unix
from probes.contract import TEXT_LIMIT, Context, LookFailed, Reason, TlsWanted


class Dialler:
    """Opens connections for one check."""

    __slots__ = ("dsn",)

    def __init__(self, dsn: Dsn) -> None:
        self.dsn = dsn

    async def open(self, look: Look, context: Context) -> tuple[socket.socket, ssl.SSLContext | None]:
        """A connected socket, and the TLS that is to be spoken on it. Raises `LookFailed`."""
        if self.dsn.folder is not None:
            return dial_unix(look, self.dsn.path), None
        connection = await reach(look, context, Endpoint(self.dsn.host or "", self.dsn.port), {})
        try:
            tls = await self._agree(look, context, connection)
            return kept_alive(connection.detach()), tls
        except BaseException:
            connection.close()
            raise

    async def _agree(self, look: Look, context: Context, connection: Connection) -> ssl.SSLContext | None:
        """Ask for TLS as the protocol has it, before anything else is said."""
        wanted = self.dsn.tls
        if wanted == "disable":
            return None
        await connection.send(SSL_REQUEST)
        look.begin(Reason.FIRST_BYTE_TIMEOUT)
        since = perf_counter()
        try:
            answer = await connection.receive()
        finally:
            look.spend("login", perf_counter() - since)
        if answer == b"S":
            return await self._tls(look, context)
        if not answer:
            raise LookFailed(Reason.EMPTY_REPLY, f"{connection.where}: closed when asked for TLS")
        if answer[:1] == b"E":
            # Its text is not to be believed: nobody knows yet who speaks (CVE-2024-10977).
            raise LookFailed(
                Reason.NOT_SERVING, f"{connection.where}: an error when asked for TLS; see the server's log"
            )
        if answer != b"N":
            look.evidence["answer"] = look.show(
                answer[:TEXT_LIMIT].decode("latin-1"), 200, cut=len(answer) > TEXT_LIMIT
            )
            raise LookFailed(Reason.PROTOCOL, f"{connection.where}: what answers is not PostgreSQL")
        if wanted != "prefer":
            raise LookFailed(
                Reason.TLS_PROTOCOL, f"{connection.where}: the server speaks no TLS; sslmode={wanted} wants it"
            )
        return None

    async def _tls(self, look: Look, context: Context) -> ssl.SSLContext:
        dsn = self.dsn
        wanted = TlsWanted(
            verify=dsn.tls in ("verify-ca", "verify-full"),
            any_name=dsn.tls == "verify-ca",
            ca_file=dsn.ca_file,
            certificate=dsn.certificate,
            key=dsn.key,
        )
        async with look.phase("tls", Reason.TLS_TIMEOUT):
            return await context.tls.get(wanted)
