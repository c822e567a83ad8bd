"""aiomysql's connection over a stream of ours. Imported when it is first used, as the library is optional.

What the driver would do and an agent must not is turned off: several statements in one, files sent to a server that
asks for them, a password in clear text or for a key of nobody knows whom, TLS that is silently left out.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Awaitable
from typing import Any

from aiomysql.connection import Connection
from pymysql.charset import charset_by_name
from pymysql.connections import MAX_PACKET_LEN
from pymysql.constants import CLIENT

from probes._look import Look
from probes._mysql.dsn import Dsn
from probes._mysql.errors import failure, secure_password
from probes._wire.streams import Stream, secure
from probes.contract import LookFailed, Reason

NAME = "brownout"
"""How the agent's sessions are called in performance_schema.session_connect_attrs."""

_ONLY_OVER_TLS = ("mysql_clear_password", "mysql_old_password", "sha256_password")
"""Ways to log in that hand over the password, or one step from it."""
_KEY_PLEASE = (b"\x01", b"\x02")
"""What the driver sends to be given a public key, by nobody knows whom, to send the password with."""


class Link(Connection):  # type: ignore[misc]  # the library has no types
    """Never connects by itself: a connection that is gone stays gone."""

    def __init__(self, stream: Stream, dsn: Dsn) -> None:
        # The driver writes passwords in Latin-1: these are the bytes of UTF-8, as any other client sends them.
        word = dsn.password.reveal().encode().decode("latin-1") if dsn.password is not None else ""
        super().__init__(
            host=stream.name,
            user=dsn.user,
            password=word,
            db=dsn.database,
            charset="utf8mb4",
            autocommit=True,
            program_name=NAME,
            loop=asyncio.get_running_loop(),
        )
        self.client_flag &= ~(CLIENT.MULTI_STATEMENTS | CLIENT.LOCAL_FILES)
        self.stream = stream
        self.limit: float | None = None
        """The time limit that the server has been told, in seconds."""
        self._reader: Any = stream.reader
        self._writer: Any = stream.writer
        self._secure = dsn.path is not None
        self._wants_tls = dsn.tls in ("required", "verify_identity")
        self._logging_in = True

    async def log_in(self, look: Look, tls: ssl.SSLContext | None) -> None:
        self._next_seq_id = 0
        async with look.phase("greeting", Reason.FIRST_BYTE_TIMEOUT):
            await asked(look, self._get_server_information(), login=True)
        if self._server_auth_plugin in _ONLY_OVER_TLS:
            # It may ask again once there is TLS.
            self._server_auth_plugin: str = "mysql_native_password"
        if tls is not None:
            await self._go_secure(look, tls)
        async with look.phase("login", Reason.FIRST_BYTE_TIMEOUT):
            await asked(look, self._request_authentication(), login=True)
            self._logging_in = False
            await asked(look, self.autocommit(True), login=True)  # noqa: FBT003  (the library's signature)

    async def _go_secure(self, look: Look, tls: ssl.SSLContext) -> None:
        if not self.server_capabilities & CLIENT.SSL:
            if self._wants_tls:
                raise LookFailed(Reason.TLS_PROTOCOL, "the server does not offer TLS")
            return
        self.client_flag |= CLIENT.SSL
        charset = charset_by_name(self.charset).id
        self.write_packet(struct.pack("<iIB23s", self.client_flag, MAX_PACKET_LEN, charset, b""))
        await secure(look, self.stream, tls)
        self._secure = True

    async def _process_auth(self, plugin_name: bytes, auth_packet: Any) -> Any:
        if plugin_name.decode("latin-1") in _ONLY_OVER_TLS and not self._secure:
            raise secure_password()
        return await super()._process_auth(plugin_name, auth_packet)

    def write_packet(self, payload: bytes) -> None:
        if self._logging_in and not self._secure and payload in _KEY_PLEASE:
            raise secure_password()
        super().write_packet(payload)

    async def _connect(self) -> None:
        raise ConnectionResetError("the connection is closed")

    def drop(self) -> None:
        self._reader = self._writer = None
        self.stream.drop()


async def asked(look: Look, answer: Awaitable[Any], *, login: bool = False) -> Any:
    """What the driver is answered. Raises `LookFailed`."""
    try:
        return await answer
    except (LookFailed, asyncio.CancelledError):
        raise
    except Exception as error:  # a lying server makes the driver raise whatever it likes
        raise failure(look, error, login=login) from error
