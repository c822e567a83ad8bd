"""From a DSN to a connected socket, with TLS agreed upon as PostgreSQL does it: asked for before anything else."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from time import perf_counter

from probes._look import Look
from probes._net import Connection
from probes._pg_dsn import Dsn
from probes._reach import Endpoint, reach
from probes._streams import dial_unix
from probes.contract import TEXT_LIMIT, Context, LookFailed, Reason

_SSL_REQUEST = struct.pack("!ll", 8, 80877103)


class Dialler:
    """Opens connections for one check."""

    __slots__ = ("_own", "dsn")

    def __init__(self, dsn: Dsn) -> None:
        self.dsn = dsn
        self._own: ssl.SSLContext | None = None

    async def open(self, look: Look, context: Context) -> tuple[socket.socket, ssl.SSLContext | None]:
        """A connected socket, and the TLS that is to be spoken on it. Raises `LookFailed`."""
        if self.dsn.folder is not None:
            return dial_unix(look, self.dsn.path), None
        connection = await reach(look, context, Endpoint(self.dsn.host or "", self.dsn.port), {})
        try:
            tls = await self._agree(look, context, connection)
            return _watched(connection.detach()), tls
        except BaseException:
            connection.close()
            raise

    async def _agree(self, look: Look, context: Context, connection: Connection) -> ssl.SSLContext | None:
        """Ask for TLS as the protocol has it, before anything else is said."""
        wanted = self.dsn.tls
        if wanted == "disable":
            return None
        await connection.send(_SSL_REQUEST)
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
        if dsn.tls != "verify-ca" and dsn.certificate is None:
            return context.tls.get(verify=dsn.tls == "verify-full", ca_file=dsn.ca_file)
        if self._own is None:
            async with look.phase("tls", Reason.TLS_TIMEOUT):
                self._own = await asyncio.to_thread(_own_context, dsn)
        return self._own


def _watched(sock: socket.socket) -> socket.socket:
    """Between looks the kernel asks whether the other side is there: a peer that died is known at the next look, and
    a firewall does not forget a connection that is used every ten minutes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return sock


def _own_context(dsn: Dsn) -> ssl.SSLContext:
    """For what the shared contexts do not have: a certificate of the client's, a chain without the name."""
    try:
        context = ssl.create_default_context(cafile=dsn.ca_file)
        if dsn.tls != "verify-full":
            context.check_hostname = False
        if dsn.tls in ("prefer", "require"):
            context.verify_mode = ssl.CERT_NONE
        if dsn.certificate is not None:
            context.load_cert_chain(dsn.certificate, dsn.key)
    except (OSError, ssl.SSLError) as error:
        raise LookFailed(Reason.DENIED, f"sslrootcert, sslcert or sslkey cannot be read: {error}") from error
    return context
