"""Servers that do as a test scripts them, and a certificate authority, for probes on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import uuid
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest
import uvloop

from probes._names.system_resolver import SystemResolver
from probes._tls.contexts import SharedTls
from probes.contract import Context
from tests.servers.authority import Authority
from tests.servers.authority import authority as make_authority
from tests.servers.postgres import Postgres, postgres
from tests.servers.redis import Redis, redis_server


class ClosingLoop(uvloop.Loop):
    """One that closes, whatever a test left open, and tells it then.

    A warning that is an error in the midst of uvloop's closing keeps the handle open, and the loop then waits for it
    for ever with the interpreter's lock held: no time limit ends that, and one failed test hangs the whole suite.
    """

    def close(self) -> None:
        with warnings.catch_warnings(record=True) as left:
            warnings.simplefilter("always", ResourceWarning)
            super().close()
        for warning in left:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The agent runs on uvloop. What is written against the loop itself is tested on asyncio's, too: its modules say
    ``pytestmark = pytest.mark.both_loops``."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": ClosingLoop}
    if item.get_closest_marker("both_loops"):
        loops["asyncio"] = asyncio.new_event_loop
    return loops


@dataclass
class Server:
    """Answers each connection with the next script (the last one again and again) and keeps what it was asked."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/", *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


Serve = Callable[..., Awaitable[Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve([b"chunk", b"chunk"], ...)`: one list a connection; `end` is close, hang or reset."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            *scripts: list[bytes], end: str = "close", tls: ssl.SSLContext | None = None, ask: bool = True
        ) -> Server:
            server = Server(0)
            talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                script = scripts[min(len(server.requests), len(scripts) - 1)]
                if ask:
                    server.requests.append(await _request(reader))
                    server.asked.set()
                for chunk in script:
                    writer.write(chunk)
                    await writer.drain()
                if end == "hang":
                    await reader.read()
                elif end == "reset":
                    raw = writer.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                    writer.transport.abort()

            async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    await talk(reader, writer)
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                # A plain function: a connection that nobody has begun to serve must be closed as well.
                task = asyncio.create_task(handle(reader, writer))
                talks[task] = writer
                task.add_done_callback(lambda done: talks.pop(done))

            listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
            server.port = listener.sockets[0].getsockname()[1]

            async def stop() -> None:
                listener.close()
                for task, writer in talks.items():
                    task.cancel()
                    writer.transport.abort()
                await asyncio.gather(*talks, return_exceptions=True)

            stack.push_async_callback(stop)
            return server

        yield start


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.split(b":")[1]))
    return head


@pytest.fixture(scope="session")
def shared_tls() -> SharedTls:
    return SharedTls()


@pytest.fixture
def make_context(shared_tls: SharedTls) -> Iterator[Callable[..., Context]]:
    resolvers: list[SystemResolver] = []

    def make(timeout: float = 5.0) -> Context:
        resolver = SystemResolver()
        resolvers.append(resolver)
        return Context(timeout, resolver, shared_tls, {})

    yield make
    for resolver in resolvers:
        resolver.close()


@pytest.fixture
def context(make_context: Callable[..., Context]) -> Context:
    return make_context()


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Certificates of every kind; nobody changes them."""
    return make_authority(tmp_path_factory.mktemp("ca"))


# --- real servers: one of each a worker, emptied for each test ---------------------------------------------------


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """PostgreSQL 16. Tests that restart, pause or fill it start their own."""
    with postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database(postgres_server: Postgres) -> Iterator[str]:
    """The name of an empty database on `postgres_server`."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    postgres_server.execute(f"CREATE DATABASE {name}")
    yield name
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(redis_process: Redis) -> Redis:
    """An empty Redis. Tests that pause or kill it start their own."""
    with redis_process.client() as client:
        client.flushall()
    return redis_process
