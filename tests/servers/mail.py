"""A mail server on loopback that takes, refuses, hangs and lies as told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Server:
    """A mail server. `refuses` are the answers to a recipient, by address, each for once; `data` those to mails."""

    port: int = 0
    got: list[tuple[list[str], bytes]] = field(default_factory=list)
    refuses: dict[str, list[str]] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    hello: str = ""

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, name: str, answers: list[str]
    ) -> list[str]:
        self.hello = session.host_name = name
        return answers

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if waiting := self.refuses.get(address):
            return waiting.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data and (answer := self.data.pop(0)) != "drop":
            return answer
        assert isinstance(envelope.original_content, bytes)
        self.got.append((list(envelope.rcpt_tos), envelope.original_content))
        if len(self.data) < self._owed:
            self._owed = len(self.data)
            server.transport.abort()
        return "250 OK"

    def __post_init__(self) -> None:
        self._owed = 0

    def drop_the_next(self) -> None:
        """Take the next mail, and hang up before saying so."""
        self.data, self._owed = ["drop"], 1

    @property
    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(raw, policy=default) for _, raw in self.got]  # type: ignore[misc]


@asynccontextmanager
async def serving(server: Server, *, tls: ssl.SSLContext | None = None, **facts: Any) -> AsyncIterator[Server]:
    def dialogue() -> SMTP:
        return SMTP(server, hostname="mx.example.com", loop=asyncio.get_running_loop(), **facts)

    listener = await asyncio.get_running_loop().create_server(dialogue, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


@asynccontextmanager
async def talking(speak: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> AsyncIterator[Server]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speak(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Server(listener.sockets[0].getsockname()[1])
    finally:
        listener.close()


def scripted(**answers: bytes | None) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    """A server with these answers to commands; None: it hangs. ``MAIL_`` is the mail itself."""
    answers = {"EHLO": b"250 hi", "DATA": b"354 go", "MAIL_": b"250 taken"} | answers

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            command = line[:4].decode()
            answer = answers.get(command, b"250 OK")
            if command == "DATA" and answer:
                writer.write(answer + b"\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                answer = answers["MAIL_"]
            if answer is None:
                await reader.read()
                return
            writer.write(answer + b"\r\n")

    return speak
