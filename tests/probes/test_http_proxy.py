"""The http probe through proxies: ones that a test scripts, and tinyproxy and microsocks as they are."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from probes.contract import BadField, Context, Reason, Secret
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.conftest import Serve
from tests.probes.judged import sure_look as look
from tests.probes.judged import unless_void
from tests.servers.authority import Authority
from tests.servers.proxies import microsocks, tinyproxy

pytestmark = pytest.mark.both_loops

LOGIN = ("me", "tell-no-one")
CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
OPENED = b"\5\0\0\1\x7f\0\0\1\x1f\x90"


class Scripted:
    """A proxy in threads: it says its pieces, each after something was said to it; then it passes on what comes, `to`
    a port, or hangs, or ends."""

    def __init__(self, *pieces: bytes, to: int | None = None, hang: bool = False) -> None:
        self._pieces, self._to, self._hang = pieces, to, hang
        self._open: list[socket.socket] = [socket.create_server(("127.0.0.1", 0))]
        self._threads = [threading.Thread(target=self._accept)]
        self.port = int(self._open[0].getsockname()[1])
        self.heard: list[bytes] = []
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._open[0].accept()
                self._open.append(peer)
                self._start(self._talk, peer)

    def _start(self, task: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=task, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _talk(self, peer: socket.socket) -> None:
        with suppress(OSError):
            for piece in self._pieces:
                self.heard.append(peer.recv(65_536))
                peer.sendall(piece)
            if self._to is not None:
                target = socket.create_connection(("127.0.0.1", self._to))
                self._open.append(target)
                self._start(_pass_on, target, peer)
                _pass_on(peer, target)
            elif not self._hang:
                peer.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in self._open:
            sock.close()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


Script = Callable[..., Scripted]


@pytest.fixture
def script() -> Iterator[Script]:
    """`script(b"reply", ...)`: a `Scripted` proxy, which is stopped at the end."""
    started: list[Scripted] = []

    def start(*pieces: bytes, **more: Any) -> Scripted:
        started.append(Scripted(*pieces, **more))
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()


@unless_void
async def test_a_plain_request_goes_to_the_proxy_whole(script: Script, context: Context) -> None:
    proxy = script(answer(200, b"hello", "Via: 1.1 proxy"))
    probe = Http(url="http://shop.example.invalid:8080/a?b=c", proxy=f"http://me:hush@127.0.0.1:{proxy.port}")
    seen = await look(probe, context)
    assert seen.ok, seen
    head = proxy.heard[0].decode()
    assert head.startswith("GET http://shop.example.invalid:8080/a?b=c HTTP/1.1\r\n")
    assert "Host: shop.example.invalid:8080\r\n" in head
    assert "Proxy-Authorization: Basic bWU6aHVzaA==\r\n" in head
    assert seen.evidence["proxy"] == f"127.0.0.1:{proxy.port}"
    assert "address" not in seen.evidence, "that would be the target's"
    assert "hush" not in repr(seen) + repr(probe) + probe.target


@pytest.mark.parametrize(
    ("scheme", "pieces"), [("http", (CONNECTED,)), ("socks5h", (b"\5\0", OPENED)), ("socks5", (b"\5\0", OPENED))]
)
@unless_void
async def test_https_through_a_tunnel(
    serve: Serve, script: Script, context: Context, authority: Authority, scheme: str, pieces: tuple[bytes, ...]
) -> None:
    server = await serve([answer()], tls=authority.server())
    proxy = script(*pieces, to=server.port)
    url = f"https://localhost:{server.port}/"
    login = "" if scheme != "http" else "me:hush@"
    probe = Http(url=url, proxy=f"{scheme}://{login}127.0.0.1:{proxy.port}", ca_file=authority.file)
    seen = await look(probe, context)
    assert seen.ok, seen
    assert server.requests[0].startswith(b"GET / HTTP/1.1\r\n")
    assert b"Proxy-Authorization" not in server.requests[0]
    assert (b"Proxy-Authorization: Basic" in b"".join(proxy.heard)) is bool(login)
    assert list(seen.phases) == ["resolve", "connect", "proxy", "tls", "send", "first_byte", "transfer"]
    assert seen.measurements["proxy_time"] == seen.phases["proxy"]
    assert seen.measurements["response_time"] == pytest.approx(sum(seen.phases.values()) - seen.phases["resolve"])
    assert seen.evidence["tls"] == "TLSv1.3"
    assert (b"localhost" in b"".join(proxy.heard)) is (scheme != "socks5"), "socks5 is told an address"


@unless_void
async def test_redirects_go_by_the_proxy_too(serve: Serve, script: Script, context: Context) -> None:
    server = await serve([answer(302, b"", "Location: http://other.example.invalid/")], [answer()])
    proxy = script(b"\5\0", OPENED, to=server.port)
    seen = await look(Http(url="http://shop.example.invalid/", proxy=f"socks5h://127.0.0.1:{proxy.port}"), context)
    assert seen.ok, seen
    assert b"shop.example.invalid" in proxy.heard[1]
    assert b"other.example.invalid" in proxy.heard[3]
    assert seen.evidence["final_url"] == "http://other.example.invalid/"


@pytest.mark.parametrize(
    ("url", "scheme", "pieces", "reason"),
    [
        ("https://h/", "http", (b"HTTP/1.1 407 X\r\n\r\n",), Reason.PROXY),
        ("https://h/", "http", (b"HTTP/1.1 503 X\r\n\r\n",), Reason.PROXY),
        ("https://h/", "http", (b"HTTP/1.1 503 X\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n\r\n",), Reason.REFUSED),
        ("https://h/", "http", (b"",), Reason.PROXY),
        ("https://h/", "http", (b"SSH-2.0-x\r\n\r\n",), Reason.PROXY),
        ("https://h/", "http", (CONNECTED + b"220 mail ESMTP\r\n",), Reason.PROTOCOL),
        ("http://h/", "http", (answer(407),), Reason.PROXY),
        ("http://h/", "http", (answer(503),), Reason.STATUS),
        ("http://h/", "http", (answer(503, b"", "X-Squid-Error: ERR_CONNECT_FAIL 111"),), Reason.REFUSED),
        ("http://h/", "http", (answer(503, b"", "X-Squid-Error: ERR_DNS_FAIL 0"),), Reason.STATUS),
        ("http://h/", "http", (answer(200, b"", "X-Squid-Error: ERR_CONNECT_FAIL 111"),), None),
        ("http://h/", "http", (b"",), Reason.EMPTY_REPLY),
        ("http://h/", "socks5h", (b"\5\xff",), Reason.PROXY),
        ("http://h/", "socks5h", (b"\5\0", b"\5\5"), Reason.REFUSED),
        ("http://h/", "socks5h", (b"\5\0", b"\5\4"), Reason.UNREACHABLE),
        ("http://h/", "socks5h", (b"\5\0", b"\5\2"), Reason.PROXY),
        ("http://h/", "socks5h", (b"\5\0", b"\5"), Reason.PROXY),
        ("http://h/", "socks5h", (b"\5\0", OPENED), Reason.EMPTY_REPLY),
    ],
)
@unless_void
async def test_whose_trouble_it_is(
    script: Script, context: Context, url: str, scheme: str, pieces: tuple[bytes, ...], reason: Reason | None
) -> None:
    proxy = script(*pieces)
    seen = await look(Http(url=url, proxy=f"{scheme}://127.0.0.1:{proxy.port}"), context)
    assert seen.reason is reason, seen
    if reason is Reason.PROXY:
        assert f"{scheme}://127.0.0.1:{proxy.port}: " in seen.detail


@unless_void
async def test_a_tunnel_that_ends_in_the_handshake(script: Script, context: Context) -> None:
    proxy = script(CONNECTED)
    seen = await look(Http(url="https://h/", proxy=f"http://127.0.0.1:{proxy.port}"), context)
    assert seen.reason is not None
    assert seen.reason.value.startswith("tls_")


@unless_void
async def test_a_proxy_that_is_not_there(context: Context, closed_port: int) -> None:
    for url in ("http://127.0.0.1/", "https://127.0.0.1/"):
        seen = await look(Http(url=url, proxy=f"http://127.0.0.1:{closed_port}"), context)
        assert seen.reason is Reason.PROXY
        assert "refused" in seen.detail
        assert "address" not in seen.evidence


@unless_void
async def test_a_proxy_that_hangs(script: Script, make_context: Callable[..., Context]) -> None:
    for pieces in ((), (b"\5\0",)):
        proxy = script(*pieces, hang=True)
        probe = Http(url="http://h.example.invalid/", proxy=f"socks5h://127.0.0.1:{proxy.port}")
        seen = await look(probe, make_context(0.3))
        assert seen.reason is Reason.PROXY, seen
        assert "response_time" not in seen.measurements
        assert seen.phases["proxy"] > 0.1


@unless_void
async def test_a_name_that_the_agent_resolves_itself(script: Script, context: Context) -> None:
    proxy = script(b"\5\0", OPENED)
    seen = await look(Http(url="http://h.example.invalid/", proxy=f"socks5://127.0.0.1:{proxy.port}"), context)
    assert seen.reason is not None
    assert seen.reason.value.startswith("dns_")
    assert proxy.heard == []


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"url": "http://h/", "proxy": "127.0.0.1:3128"}, "proxy"),
        ({"url": "http://h/", "proxy": "ftp://me:hush@h/"}, "proxy"),
        ({"url": "http://h/", "proxy": "http://p:1", "headers": {"host": Secret("x")}}, "headers.Host"),
        ({"url": "http://h/", "headers": {"Proxy-Authorization": Secret("hush")}}, "headers.Proxy-Authorization"),
    ],
)
def test_bad_fields(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(BadField) as raised:
        Http(**fields)
    assert raised.value.field == at
    assert "hush" not in str(raised.value)


# Real ones


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """By kind: the URL of a proxy that wants no password; with `+login`: of one that does, without it."""
    folder = tmp_path_factory.mktemp
    with (
        tinyproxy(folder("tiny")) as http,
        tinyproxy(folder("tiny_login"), LOGIN) as http_login,
        microsocks(folder("socks")) as socks,
        microsocks(folder("socks_login"), LOGIN) as socks_login,
    ):
        yield {
            "http": f"http://127.0.0.1:{http}",
            "http+login": f"http://127.0.0.1:{http_login}",
            "socks5h": f"socks5h://127.0.0.1:{socks}",
            "socks5h+login": f"socks5h://127.0.0.1:{socks_login}",
        }


def _as_somebody(url: str, word: str = LOGIN[1]) -> str:
    return url.replace("://", f"://{LOGIN[0]}:{word}@")


@pytest.mark.parametrize("kind", ["http", "socks5h"])
@unless_void
async def test_real_proxies(
    real: dict[str, str], serve: Serve, context: Context, authority: Authority, kind: str
) -> None:
    plain = await serve([answer(200, b"x" * 200_000)])
    secure = await serve([answer(200, b"y" * 200_000)], tls=authority.server())
    for proxy in (real[kind], _as_somebody(real[f"{kind}+login"])):
        for url in (plain.url(host="localhost"), secure.url(scheme="https", host="localhost")):
            seen = await look(Http(url=url, proxy=proxy, ca_file=authority.file), context)
            assert seen.ok, seen
            assert seen.measurements["body_size"] == 200_000


@pytest.mark.parametrize("kind", ["http", "socks5h"])
@unless_void
async def test_real_proxies_refuse(
    real: dict[str, str], serve: Serve, context: Context, closed_port: int, kind: str
) -> None:
    server = await serve([answer()])
    for proxy in (real[f"{kind}+login"], _as_somebody(real[f"{kind}+login"], "wr0ng-w0rd")):
        seen = await look(Http(url=server.url(scheme="https"), proxy=proxy), context)
        assert seen.reason is Reason.PROXY, seen
        assert "wr0ng" not in repr(seen)
    seen = await look(Http(url=f"https://127.0.0.1:{closed_port}/", proxy=real[kind]), context)
    assert seen.reason is (Reason.PROXY if kind == "http" else Reason.REFUSED), seen


@unless_void
async def test_what_a_proxy_says_instead_of_tls_shows_no_half_of_the_password(
    script: Script, context: Context
) -> None:
    """It is shown cut, and half a secret is found by nobody."""
    basic = base64.b64encode(b"me:" + b"tell-no-one" * 6)
    scripted = script(CONNECTED, b"x" * 30 + basic)
    probe = Http("https://localhost:1/", proxy=f"http://me:{'tell-no-one' * 6}@127.0.0.1:{scripted.port}")
    seen = await look(probe, context)
    assert seen.reason is Reason.TLS_PLAINTEXT
    assert seen.detail.endswith(f"it says {'x' * 30}***")
