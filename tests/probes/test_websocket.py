"""The probe `websocket` against a real server (the library websockets), and against ones that lie."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

import pytest
import websockets
from websockets.asyncio.server import Request, Response, Server, ServerConnection, serve

from probes.contract import BadField, Context, Observation, Reason, Secret
from probes.websocket import Websocket
from tests.probes.conftest import Authority, Serve
from tests.probes.judged import look

pytestmark = pytest.mark.both_loops

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def _talk(connection: ServerConnection) -> None:
    """Greets, answers what it is told, and dies when it is asked to."""
    path = connection.request.path if connection.request else "/"
    if path == "/quiet":
        await connection.wait_closed()
        return
    if path == "/restarting":
        await connection.close(1012, "new version")
        return
    if path == "/indiscreet" and connection.request is not None:
        await connection.close(1011, connection.request.headers["Authorization"].removeprefix("Basic "))
        return
    if path == "/crash":
        await connection.close(1011, "oops")
        return
    await connection.send("hello")
    async for text in connection:
        await connection.send(["you said ", f"{text}"])  # in two frames


def _admit(connection: ServerConnection, request: Request) -> Response | None:
    refused = {"/secret": HTTPStatus.FORBIDDEN, "/busy": HTTPStatus.TOO_MANY_REQUESTS}.get(request.path)
    if refused is not None and request.headers.get("Authorization") != "Bearer tell-no-one":
        return connection.respond(refused, "no")
    return None


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serve(_talk, "127.0.0.1", 0, process_request=_admit, ping_interval=None) as running:
        yield running


def _url(server: Server, path: str = "/") -> str:
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"


async def test_a_pong_is_an_answer(server: Server, context: Context) -> None:
    seen = await look(Websocket(_url(server)), context)
    assert seen.ok, seen
    parts = ("connect_time", "upgrade_time", "answer_time")
    assert seen.measurements["response_time"] == pytest.approx(sum(seen.measurements[name] for name in parts))
    assert list(seen.phases) == ["resolve", "connect", "upgrade", "answer"]


async def test_a_greeting_can_be_expected(server: Server, context: Context) -> None:
    assert (await look(Websocket(_url(server), expect="^hel+o$"), context)).ok


async def test_what_is_sent_is_answered_in_pieces(server: Server, context: Context) -> None:
    assert (await look(Websocket(_url(server), send="are you there?", expect="said are you there"), context)).ok


async def test_another_message_is_no_answer_and_is_shown(
    server: Server, make_context: Callable[[float], Context]
) -> None:
    seen = await look(Websocket(_url(server), expect="never"), make_context(0.3))
    assert seen.reason is Reason.FIRST_BYTE_TIMEOUT
    assert seen.evidence["message"].startswith("hello") or seen.evidence["message"] == ""
    assert seen.measurements["response_time"] >= 0.3


@pytest.mark.parametrize(
    ("path", "reason", "said"),
    [
        ("/secret", Reason.STATUS, "status 403 instead of 101"),
        ("/busy", Reason.BLOCKED, "status 429 instead of 101"),
        ("/restarting", Reason.NOT_READY, "closed with code 1012: new version"),
        ("/crash", Reason.EMPTY_REPLY, "closed with code 1011: oops"),
    ],
)
async def test_a_refusal_has_its_reason(
    server: Server, context: Context, path: str, reason: Reason, said: str
) -> None:
    seen = await look(Websocket(_url(server, path), expect="hello"), context)
    assert (seen.reason, seen.detail) == (reason, said)


async def test_headers_are_sent(server: Server, context: Context) -> None:
    probe = Websocket(_url(server, "/secret"), headers={"Authorization": Secret("Bearer tell-no-one")})
    assert (await look(probe, context)).ok


async def test_a_password_in_the_url_is_not_told_in_what_the_server_says(server: Server, context: Context) -> None:
    url = _url(server, "/indiscreet").replace("ws://", "ws://probe:tell-no-one@")
    seen = await look(Websocket(url, expect="hello"), context)
    assert (seen.reason, seen.detail) == (Reason.EMPTY_REPLY, "closed with code 1011: ***")


async def test_tls_and_its_certificate(authority: Authority, context: Context) -> None:
    async with serve(_talk, "127.0.0.1", 0, ssl=authority.server("good")) as running:
        url = _url(running).replace("ws://127.0.0.1", "wss://localhost")
        seen = await look(Websocket(url, ca_file=authority.file), context)
        untrusted = await look(Websocket(url), context)
    assert seen.ok, seen
    assert seen.measurements["certificate_expires_in"] > 86_400
    assert seen.measurements["tls_time"] > 0
    assert untrusted.reason is Reason.TLS_UNTRUSTED


async def test_an_upgrade_without_anybody_behind_it_is_found(
    serve: Serve, make_context: Callable[[float], Context]
) -> None:
    """What a proxy does whose application hangs: 101, and then nothing."""
    server = await asyncio.start_server(_upgrade_and_hang, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        seen = await look(Websocket(f"ws://127.0.0.1:{port}/"), make_context(0.4))
    assert seen.reason is Reason.FIRST_BYTE_TIMEOUT
    assert "upgrade_time" in seen.measurements


async def _upgrade_and_hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
    head = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    writer.write(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Reason.STATUS),
        (b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", Reason.PROTOCOL),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Reason.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, Reason.PROTOCOL),
        (b"", Reason.EMPTY_REPLY),
    ],
)
async def test_lies_are_found_out(serve: Serve, context: Context, answer: bytes, reason: Reason) -> None:
    server = await serve([answer])
    seen = await look(Websocket(f"ws://127.0.0.1:{server.port}/"), context)
    assert seen.reason is reason, seen


async def test_a_flood_of_messages_is_bounded(context: Context) -> None:
    async def flood(connection: ServerConnection) -> None:
        try:
            while True:
                await connection.send("x" * 10_000)
        except websockets.ConnectionClosed:
            pass

    async with serve(flood, "127.0.0.1", 0) as running:
        seen = await look(Websocket(_url(running), expect="never"), context)
    assert seen.reason is Reason.TOO_LARGE


async def test_nobody_listens(closed_port: int, context: Context) -> None:
    seen: Observation = await look(Websocket(f"ws://127.0.0.1:{closed_port}/"), context)
    assert seen.reason is Reason.REFUSED


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "https://shop.example.com/"}, "url"),
        ({"url": "ws://"}, "url"),
        ({"url": "ws://a/", "expect": "("}, "expect"),
        ({"url": "ws://a/", "headers": {"Upgrade": Secret("x")}}, "headers.Upgrade"),
    ],
)
def test_bad_fields(fields: dict[str, str], field: str) -> None:
    with pytest.raises(BadField) as caught:
        Websocket(**fields)  # type: ignore[arg-type]  # as a config may have it
    assert caught.value.field == field


def test_the_url_is_shown_without_its_secrets() -> None:
    probe = Websocket("wss://me:tell-no-one@shop.example.com/live?token=tell-no-one")
    assert probe.target == "wss://shop.example.com/live?…"
    assert "tell-no-one" not in repr(probe)
