"""The http probe against real sockets: what it reports for every kind of answer and every way of having none."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from probes._expect import JSON_BYTES, Expect
from probes.contract import BadField, Context, Reason, Secret
from probes.http import Http
from probes.tcp import Tcp
from tests.probes.judged import look

pytestmark = pytest.mark.both_loops


def answer(status: int = 200, body: bytes = b"hello", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_a_good_answer(serve: Any, context: Context) -> None:
    server = await serve([answer(200, b"hello", "Server: tiny")])
    seen = await look(Http(url=server.url("/a?b=c")), context)
    assert seen.ok, seen
    assert list(seen.phases) == ["resolve", "connect", "send", "first_byte", "transfer"]
    figures = seen.measurements
    assert figures["body_size"] == 5
    assert figures["response_time"] == pytest.approx(sum(seen.phases.values()) - seen.phases["resolve"])
    assert seen.evidence["status"] == "200"
    assert seen.evidence["server"] == "tiny"
    assert seen.evidence["address"] == f"127.0.0.1:{server.port}"
    assert "excerpt" not in seen.evidence
    head = server.requests[0].decode()
    assert head.startswith("GET /a?b=c HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}\r\n" in head
    assert "User-Agent: brownout/0.1" in head


@pytest.mark.parametrize(
    ("script", "end", "reason"),
    [
        ([], "close", Reason.EMPTY_REPLY),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"], "close", Reason.TRUNCATED),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"], "close", Reason.TRUNCATED),
        ([b"HTTP/1.1 200 OK\r\nContent-Le"], "close", Reason.TRUNCATED),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "close", Reason.PROTOCOL),
        ([b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], "hang", Reason.PROTOCOL),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300], "hang", Reason.PROTOCOL),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 5000], "hang", Reason.TOO_LARGE),
        ([], "reset", Reason.RESET),
        ([], "hang", Reason.FIRST_BYTE_TIMEOUT),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"], "hang", Reason.TRANSFER_TIMEOUT),
        ([answer(503)], "close", Reason.STATUS),
        ([answer(429)], "close", Reason.BLOCKED),
        ([answer(403, b"", "cf-mitigated: challenge")], "close", Reason.BLOCKED),
    ],
)
async def test_reasons(
    serve: Any, make_context: Callable[..., Context], script: list[bytes], end: str, reason: Reason
) -> None:
    server = await serve(script, end=end)
    timeout = 0.3 if "timeout" in reason.value else 5.0
    seen = await look(Http(url=server.url(), max_bytes=4096), make_context(timeout))
    assert seen.reason is reason, seen
    if "timeout" in reason.value:
        assert seen.measurements["response_time"] >= timeout


async def test_a_body_that_ends_with_the_connection(serve: Any, context: Context) -> None:
    server = await serve([b"HTTP/1.1 200 OK\r\n\r\n", b"all of it"])
    seen = await look(Http(url=server.url(), expect=Expect(body="all of it$")), context)
    assert seen.ok, seen


async def test_head_has_no_body(serve: Any, context: Context) -> None:
    server = await serve([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"], end="hang")
    seen = await look(Http(url=server.url(), method="HEAD"), context)
    assert seen.ok, seen


async def test_refused(closed_port: int, context: Context) -> None:
    seen = await look(Http(url=f"http://127.0.0.1:{closed_port}/"), context)
    assert seen.reason is Reason.REFUSED
    assert "response_time" not in seen.measurements


async def test_expected_status_is_never_blocked_or_followed(serve: Any, context: Context) -> None:
    server = await serve([answer(429)], [answer(302, b"", "Location: /x")])
    assert (await look(Http(url=server.url(), expect=Expect(status=("429",))), context)).ok
    assert (await look(Http(url=server.url(), expect=Expect(status=("3xx",))), context)).ok
    assert len(server.requests) == 2


JSON = json.dumps({"queue": 5, "status": "pass", "items": [{"name": "x"}], "ok": True}).encode()


@pytest.mark.parametrize(
    ("expect", "reason"),
    [
        (Expect(body="h.llo"), None),
        (Expect(body="missing"), Reason.BODY),
        (Expect(body_absent="h.llo"), Reason.BODY),
        (Expect(body_absent="error"), None),
        (Expect(headers={"x-one": "^a$"}), None),
        (Expect(headers={"X-One": "^b$"}), Reason.HEADER),
        (Expect(headers={"X-Two": "."}), Reason.HEADER),
        (Expect(json=("$.queue < 1",)), Reason.BODY),
    ],
)
async def test_expectations(serve: Any, context: Context, expect: Expect, reason: Reason | None) -> None:
    server = await serve([answer(200, b"oh hello \xff", "X-One: a")])
    seen = await look(Http(url=server.url(), expect=expect), context)
    assert seen.reason is reason, seen
    if reason is not None:
        assert seen.evidence["excerpt"].startswith("oh hello")


async def test_json(serve: Any, context: Context) -> None:
    server = await serve([answer(200, JSON)])
    good = Expect(json=("$.queue < 100", "$.status = pass", '$.items[0].name != "y"', "$.ok"))
    assert (await look(Http(url=server.url(), expect=good), context)).ok
    seen = await look(Http(url=server.url(), expect=Expect(json=("$.queue > 100",))), context)
    assert (seen.reason, seen.detail) == (Reason.BODY, "$.queue > 100: found 5")


async def test_json_is_read_up_to_a_limit(serve: Any, context: Context) -> None:
    server = await serve([answer(200, b"[" + b"1," * (JSON_BYTES // 2) + b"1]")])
    seen = await look(Http(url=server.url(), expect=Expect(json=("$[0] = 1",))), context)
    assert seen.reason is Reason.BODY
    assert "256 KiB" in seen.detail


async def test_redirects_are_followed_and_summed(serve: Any, context: Context) -> None:
    server = await serve(
        [answer(302, b"", "Location: /two")], [answer(301, b"", "Location: three?token=t")], [answer()]
    )
    seen = await look(Http(url=server.url("/one"), method="POST", body="data"), context)
    assert seen.ok, seen
    assert [request.split(b" HTTP")[0] for request in server.requests] == [
        b"POST /one",
        b"GET /two",
        b"GET /three?token=t",
    ]
    assert seen.evidence["final_url"] == server.url("/three?…")


async def test_307_keeps_method_and_body(serve: Any, context: Context) -> None:
    server = await serve([answer(307, b"", "Location: /two")], [answer()])
    assert (await look(Http(url=server.url("/one"), method="POST", body="data"), context)).ok
    assert server.requests[1].startswith(b"POST /two")
    assert server.requests[1].endswith(b"data")


async def test_secrets_stay_with_their_host(serve: Any, context: Context) -> None:
    other = await serve([answer()])
    server = await serve([answer(302, b"", f"Location: http://localhost:{other.port}/")])
    url = f"http://me:hush%21@127.0.0.1:{server.port}/"
    probe = Http(url=url, headers={"X-Key": Secret("tell-no-one")})
    assert (await look(probe, context)).ok
    assert b"X-Key: tell-no-one" in server.requests[0]
    assert b"Authorization: Basic bWU6aHVzaCE=" in server.requests[0]
    assert b"tell-no-one" not in other.requests[0]
    assert b"Authorization" not in other.requests[0]
    assert "hush" not in probe.target + repr(probe)


async def test_a_body_is_not_sent_to_another_host(serve: Any, context: Context) -> None:
    other = await serve([answer()])
    server = await serve([answer(307, b"", f"Location: http://localhost:{other.port}/")])
    seen = await look(Http(url=server.url(), method="POST", body="password"), context)
    assert seen.reason is Reason.REDIRECT
    assert other.requests == []


@pytest.mark.parametrize("location", ["/", "ftp://127.0.0.1/", "http://[::1", "gopher:x", "http://h:99999/"])
async def test_redirects_that_lead_nowhere(serve: Any, context: Context, location: str) -> None:
    server = await serve([answer(302, b"", f"Location: {location}")])
    assert (await look(Http(url=server.url("/")), context)).reason is Reason.REDIRECT


async def test_too_many_redirects(serve: Any, context: Context) -> None:
    server = await serve(*([answer(302, b"", f"Location: /{number}")] for number in range(9)))
    seen = await look(Http(url=server.url("/start"), follow=3), context)
    assert seen.reason is Reason.REDIRECT
    assert len(server.requests) == 4


async def test_follow_0_judges_the_redirect(serve: Any, context: Context) -> None:
    server = await serve([answer(302, b"", "Location: /two")])
    seen = await look(Http(url=server.url(), follow=0), context)
    assert (seen.reason, seen.detail) == (Reason.STATUS, "status 302")


async def test_secrets_that_a_target_echoes_are_not_shown(serve: Any, context: Context) -> None:
    server = await serve([answer(500, b"you sent Bearer s3cr3t, that is s3cr3t\x1b[31m")])
    seen = await look(Http(url=server.url(), headers={"Authorization": Secret("Bearer s3cr3t")}), context)
    assert seen.evidence["excerpt"] == "you sent ***, that is ***\\x1b[31m"


# TLS


async def test_https(serve: Any, context: Context, authority: Any) -> None:
    server = await serve([answer()], tls=authority.server())
    seen = await look(Http(url=server.url(scheme="https"), ca_file=authority.file), context)
    assert seen.ok, seen
    assert list(seen.phases) == ["resolve", "connect", "tls", "send", "first_byte", "transfer"]
    assert seen.measurements["certificate_expires_in"] > 1e9
    assert seen.evidence["tls"] == "TLSv1.3"


@pytest.mark.parametrize(
    ("certificate", "trusted", "reason"),
    [
        ("expired", True, Reason.TLS_EXPIRED),
        ("other", True, Reason.TLS_NAME),
        ("good", False, Reason.TLS_UNTRUSTED),
    ],
)
async def test_certificates(
    serve: Any, context: Context, authority: Any, certificate: str, trusted: bool, reason: Reason
) -> None:
    server = await serve([answer()], tls=authority.server(certificate))
    ca_file = authority.file if trusted else None
    assert (await look(Http(url=server.url(scheme="https"), ca_file=ca_file), context)).reason is reason
    unverified = await look(Http(url=server.url(scheme="https"), verify=False), context)
    assert unverified.ok, unverified
    assert (unverified.measurements["certificate_expires_in"] < 0) is (certificate == "expired")


async def test_server_name(serve: Any, context: Context, authority: Any) -> None:
    server = await serve([answer()], tls=authority.server("other"))
    url = server.url(scheme="https")
    assert (await look(Http(url=url, ca_file=authority.file, server_name="other.example"), context)).ok


async def test_tls_where_there_is_none(serve: Any, make_context: Any) -> None:
    plain = await serve([b"220 mail.example.com ESMTP\r\n"], ask=False)
    assert (await look(Http(url=plain.url(scheme="https")), make_context())).reason is Reason.TLS_PROTOCOL
    silent = await serve([], ask=False, end="hang")
    assert (await look(Http(url=silent.url(scheme="https")), make_context(0.3))).reason is Reason.TLS_TIMEOUT


async def test_a_ca_file_that_is_not_there(serve: Any, context: Context) -> None:
    server = await serve([answer()])
    seen = await look(Http(url=server.url(scheme="https"), ca_file="/nowhere/ca.pem"), context)
    assert seen.reason is Reason.DENIED


# Us


@contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_out_of_descriptors(closed_port: int, context: Context) -> None:
    with no_descriptors():
        seen = await look(Http(url=f"http://127.0.0.1:{closed_port}/"), context)
    assert seen.reason is Reason.NO_DESCRIPTORS


async def test_a_server_that_does_not_read(make_context: Callable[..., Context]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        probe = Http(url=url, method="POST", body="x" * 30_000_000)
        probe._make_ask()  # so much takes long enough to put together that the look would be late
        seen = await look(probe, make_context(0.5))
    assert seen.reason is Reason.SEND_TIMEOUT


async def test_sockets_are_closed_when_a_look_is_cancelled(serve: Any, context: Context) -> None:
    server = await serve([], end="hang")
    look = asyncio.create_task(Http(url=server.url()).look(context))
    await server.asked.wait()
    assert _connections_to(server.port) == 1
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert _connections_to(server.port) == 0


def _connections_to(port: int) -> int:
    """Sockets of this process that are connected to a port, counted by asking each descriptor for its peer."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as copy:
            count += copy.getpeername()[1:2] == (port,)
    return count


async def _look_while_the_loop_stands_still(parts: list[bytes], context: Context) -> tuple[Any, float]:
    """A server in a thread answers while the loop is held for 0.3 s from when the request has arrived."""
    loop = asyncio.get_running_loop()
    held, answered = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        answered.wait(5)
        until = perf_counter() + 0.3
        while perf_counter() < until:
            pass

    def talk(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.recv(65536)
            loop.call_soon_threadsafe(hold)
            held.wait(5)
            for part in parts:
                peer.sendall(part)
            answered.set()
            peer.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, args=(listener,))
        thread.start()
        seen = await Http(url=f"http://127.0.0.1:{listener.getsockname()[1]}/").look(context)
        thread.join(5)
    return seen, 0.3


async def test_a_busy_agent_does_not_make_a_target_look_slow(context: Context) -> None:
    seen, stall = await _look_while_the_loop_stands_still([answer()], context)
    assert seen.ok, seen
    assert seen.measurements["first_byte_time"] < stall / 2


async def test_a_figure_nobody_can_know_is_void(context: Context) -> None:
    seen, _ = await _look_while_the_loop_stands_still([b"HTTP/1.1 200 OK\r\n", b"Content-Length: 0\r\n\r\n"], context)
    assert seen.reason is Reason.LATE
    assert "response_time" not in seen.measurements


async def test_a_deadline_noticed_late_is_our_fault(serve: Any, make_context: Callable[..., Context]) -> None:
    server = await serve([], end="hang")
    look = asyncio.create_task(Http(url=server.url()).look(make_context(0.2)))
    await server.asked.wait()
    until = perf_counter() + 0.5
    while perf_counter() < until:
        pass
    assert (await look).reason is Reason.LATE


# Fields


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"url": "ftp://x/"}, "url"),
        ({"url": "http://user:pw@/"}, "url"),
        ({"url": "http://h:0/"}, "url"),
        ({"url": "http://h/a b"}, "url"),
        ({"url": "http://h/", "method": "GE T"}, "method"),
        ({"url": "http://h/", "headers": {"a b": Secret("x")}}, "headers.a b"),
        ({"url": "http://h/", "headers": {"a": Secret("hush\r\nb: c")}}, "headers.a"),
        ({"url": "http://h/", "headers": {"Content-Length": Secret("5")}}, "headers.Content-Length"),
        ({"url": "http://h/", "follow": -1}, "follow"),
        ({"url": "http://h/", "max_bytes": 0}, "max_bytes"),
    ],
)
def test_bad_fields_are_named_and_secrets_are_not_shown(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(BadField) as raised:
        Http(**fields)
    assert raised.value.field == at
    assert "pw" not in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"status": ("20",)}, "status"),
        ({"status": ("299-200",)}, "status"),
        ({"body": "("}, "body"),
        ({"json": ("queue < 1",)}, "json"),
        ({"headers": {"X": "("}}, "headers.X"),
    ],
)
def test_bad_expectations_are_named(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(BadField) as raised:
        Expect(**fields)
    assert raised.value.field == at


def test_bad_fields_are_told_all_at_once() -> None:
    with pytest.raises(BadField) as raised:
        Http(url="ftp://x/", method="GE T", follow=-1)
    assert [bad.field for bad in raised.value.all] == ["url", "method", "follow"]


@pytest.mark.parametrize(("written", "sent"), [("get", "GET"), ("Post", "POST"), ("GET", "GET"), ("purge", "purge")])
def test_a_standard_method_is_sent_in_upper_case(written: str, sent: str) -> None:
    assert Http(url="http://h/", method=written).method == sent


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("www.example.com", ": write https://www.example.com"),
        ("www.example.com:8443/token?key=hush", ": write https://www.example.com:8443"),
        ("user:hush@www.example.com", ""),
        ("ftp://www.example.com", ""),
    ],
)
def test_a_url_without_a_scheme_is_told_what_to_write(url: str, advice: str) -> None:
    with pytest.raises(BadField) as raised:
        Http(url=url)
    assert str(raised.value) == f"the URL begins with neither http:// nor https://{advice}"


def test_a_port_out_of_range_is_said_to_be() -> None:
    with pytest.raises(BadField, match="is out of range: write one from 1 to 65535"):
        Tcp(address="mail.example.com:65536")
