"""A look leaves nothing for the garbage collector, whose pauses are late looks: what it made is freed as it ends."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from probes._http.auth import Auth
from probes.contract import Context, Probe, Reason, Secret
from probes.http import Expect, Http
from probes.tcp import Tcp
from tests.probes.conftest import Authority, Serve

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@contextmanager
def left_behind() -> Iterator[Counter[str]]:
    """The types of this project whose objects only the collector would free."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.update(name for name in map(_type_of, gc.garbage) if name.startswith("probes."))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _type_of(found: Any) -> str:
    return f"{type(found).__module__}.{type(found).__qualname__}"


async def assert_freed(probe: Probe, context: Context, reason: Reason | None) -> None:
    with left_behind() as found:
        reasons = [(await probe.look(context)).reason for _ in range(3)]
    assert found == {}
    assert reason in reasons, "a busy machine may void some"


@pytest.mark.parametrize(
    ("answer", "fields", "reason"),
    [
        pytest.param([OK], {}, None, id="good"),
        pytest.param([OK], {"expect": Expect(body="bye")}, Reason.BODY, id="wrong body"),
        pytest.param([b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"], {}, Reason.STATUS, id="status"),
        pytest.param([b"nonsense\r\n\r\n"], {"headers": {"X": Secret("s3cr3t")}}, Reason.PROTOCOL, id="no HTTP"),
        pytest.param([OK[:-2]], {}, Reason.TRUNCATED, id="truncated"),
        pytest.param([OK], {"max_bytes": 2}, Reason.TOO_LARGE, id="too large"),
        pytest.param([], {}, Reason.EMPTY_REPLY, id="empty"),
    ],
)
async def test_an_answer_leaves_nothing(
    serve: Serve, context: Context, answer: list[bytes], fields: dict[str, Any], reason: Reason | None
) -> None:
    server = await serve(answer)
    await assert_freed(Http(url=server.url(), **fields), context, reason)


AWAY = b"HTTP/1.1 302 Found\r\nLocation: /\r\nSet-Cookie: session=12345678\r\nContent-Length: 0\r\n\r\n"


async def test_redirects_leave_nothing(serve: Serve, context: Context) -> None:
    server = await serve([AWAY])
    await assert_freed(Http(url=server.url()), context, Reason.REDIRECT)


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_a_proxy_that_is_none_leaves_nothing(serve: Serve, context: Context, scheme: str) -> None:
    server = await serve([b"nonsense\r\n\r\n"], ask=False)
    probe = Http(url="https://h/", proxy=f"{scheme}://me:s3cr3t@127.0.0.1:{server.port}")
    await assert_freed(probe, context, Reason.PROXY)


async def test_no_token_leaves_nothing(serve: Serve, context: Context) -> None:
    server = await serve([OK])
    auth = Auth(token_url=server.url("/token"), client_id="me", client_secret=Secret("s3cr3t"))
    await assert_freed(Http(url=server.url(), auth=auth), context, Reason.LOGIN)


async def test_a_kept_connection_that_ended_leaves_nothing(serve: Serve, context: Context) -> None:
    server = await serve([OK])
    probe = Http(url=server.url(), reuse=True)
    await assert_freed(probe, context, None)
    await probe.close()


async def test_no_connection_leaves_nothing(context: Context, closed_port: int) -> None:
    await assert_freed(Http(url=f"http://127.0.0.1:{closed_port}/"), context, Reason.REFUSED)
    await assert_freed(Tcp(address=f"127.0.0.1:{closed_port}"), context, Reason.REFUSED)


async def test_a_deadline_leaves_nothing(serve: Any, make_context: Callable[..., Context]) -> None:
    server = await serve([], end="hang")
    await assert_freed(Http(url=server.url()), make_context(0.1), Reason.FIRST_BYTE_TIMEOUT)


async def test_a_wrong_certificate_leaves_nothing(serve: Any, context: Context, authority: Authority) -> None:
    server = await serve([OK], tls=authority.server())
    await assert_freed(Http(url=server.url(scheme="https")), context, Reason.TLS_UNTRUSTED)
