"""The probe `grpc` against grpcio's own server and health service, and against ones that lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st

from probes.contract import BadField, Context, LookFailed, Reason, Secret
from probes.grpc import Grpc, _Call, _serving_status, health_request
from tests.probes.conftest import Authority, Serve
from tests.probes.judged import look

pytestmark = pytest.mark.both_loops

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class _Guarded(health.HealthServicer):  # type: ignore[misc]  # grpcio has no types
    """Wants a token for `guarded`, fails on `broken`, is slow on `slow`."""

    def Check(self, request, context):  # type: ignore[no-untyped-def]  # noqa: N802  (gRPC's name)
        if (
            request.service == "guarded"
            and ("authorization", "Bearer tell-no-one") not in context.invocation_metadata()
        ):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")
        if request.service == "broken":
            raise RuntimeError("database is gone")
        if request.service == "slow":
            time.sleep(1.0)
        return super().Check(request, context)


@dataclass
class Server:
    """A gRPC server that runs, and its health service to be turned."""

    port: int
    health: _Guarded

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


def _start(credentials: grpc.ServerCredentials | None = None, *, healthy: bool = True) -> tuple[grpc.Server, Server]:
    server = grpc.server(ThreadPoolExecutor(4))
    servicer = _Guarded()
    for name in ("", "shop.v1.Orders", "guarded", "slow"):
        servicer.set(name, SERVING)
    if healthy:
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    bind = "127.0.0.1:0"
    port = server.add_secure_port(bind, credentials) if credentials else server.add_insecure_port(bind)
    server.start()
    return server, Server(port, servicer)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    server, shown = _start()
    yield shown
    server.stop(None).wait()


async def test_a_server_that_serves(running: Server, context: Context) -> None:
    seen = await look(Grpc(running.address, service_name="shop.v1.Orders"), context)
    assert seen.ok, seen
    assert seen.evidence["health"] == "SERVING"
    figures = seen.measurements
    assert figures["response_time"] == pytest.approx(figures["connect_time"] + figures["call_time"])


async def test_turned_off_and_on_again(running: Server, context: Context) -> None:
    probe = Grpc(running.address)
    running.health.set("", NOT_SERVING)
    seen = await look(probe, context)
    assert (seen.reason, seen.detail) == (Reason.NOT_SERVING, "the server says NOT_SERVING")
    running.health.set("", SERVING)
    assert (await look(probe, context)).ok


@pytest.mark.parametrize(
    ("service", "reason"),
    [("nobody", Reason.MISSING), ("guarded", Reason.DENIED), ("broken", Reason.STATUS)],
)
async def test_the_code_of_a_refusal_is_a_reason(
    running: Server, context: Context, service: str, reason: Reason
) -> None:
    seen = await look(Grpc(running.address, service_name=service), context)
    assert seen.reason is reason, seen


async def test_metadata_is_sent(running: Server, context: Context) -> None:
    token = {"authorization": Secret("Bearer tell-no-one")}
    assert (await look(Grpc(running.address, service_name="guarded", metadata=token), context)).ok


async def test_a_server_without_a_health_service_cannot_tell(context: Context) -> None:
    server, shown = _start(healthy=False)
    seen = await look(Grpc(shown.address), context)
    server.stop(None).wait()
    assert seen.reason is Reason.UNSUPPORTED


async def test_a_slow_server_ends_with_the_look(running: Server, make_context: Callable[[float], Context]) -> None:
    seen = await look(Grpc(running.address, service_name="slow"), make_context(0.3))
    assert seen.reason is Reason.FIRST_BYTE_TIMEOUT
    assert seen.measurements["response_time"] >= 0.3


async def test_tls(authority: Authority, context: Context) -> None:
    pair = [((authority.folder / "good.key").read_bytes(), (authority.folder / "good.pem").read_bytes())]
    server, shown = _start(grpc.ssl_server_credentials(pair))
    seen = await look(Grpc(shown.address, tls=True, authority="localhost", ca_file=authority.file), context)
    untrusted = await look(Grpc(shown.address, tls=True, authority="localhost"), context)
    plain = await look(Grpc(shown.address), context)
    server.stop(None).wait()
    assert seen.ok, seen
    assert seen.measurements["certificate_expires_in"] > 0
    assert untrusted.reason is Reason.TLS_UNTRUSTED
    assert plain.reason in (Reason.EMPTY_REPLY, Reason.PROTOCOL, Reason.RESET)


@pytest.mark.parametrize(
    ("answer", "end", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "hang", Reason.PROTOCOL),
        (b"\0\0\0\x04\0\0\0\0\0", "reset", Reason.RESET),  # settings, and goodbye
        (bytes(range(256)) * 40, "hang", Reason.PROTOCOL),
    ],
)
async def test_lies_are_found_out(serve: Serve, context: Context, answer: bytes, end: str, reason: Reason) -> None:
    server = await serve([answer], end=end)
    seen = await look(Grpc(f"127.0.0.1:{server.port}"), context)
    assert seen.reason is reason, seen


@pytest.mark.parametrize(("start", "reason"), [(b"", Reason.EMPTY_REPLY), (b"\0\0", Reason.TRUNCATED)])
def test_an_answer_that_is_cut_off_is_told_from_none(start: bytes, reason: Reason) -> None:
    call = _Call()
    call.ask([(":method", "POST"), (":path", "/"), (":scheme", "http"), (":authority", "a")], b"")
    if start:
        call.take(start)
    assert call.cut_off().reason is reason


async def test_nobody_listens(closed_port: int, context: Context) -> None:
    assert (await look(Grpc(f"127.0.0.1:{closed_port}"), context)).reason is Reason.REFUSED


# --- the two messages ---------------------------------------------------------------------------------------------


@given(st.text(max_size=300))
def test_requests_are_what_protobuf_makes_of_them(service: str) -> None:
    ours = health_request(service)
    assert ours[5:] == health_pb2.HealthCheckRequest(service=service).SerializeToString()
    assert int.from_bytes(ours[1:5], "big") == len(ours) - 5


@given(st.sampled_from([0, 1, 2, 3]))
def test_answers_of_protobuf_are_read(status: int) -> None:
    message = health_pb2.HealthCheckResponse(status=status).SerializeToString()
    assert _serving_status(b"\0" + len(message).to_bytes(4, "big") + message) == status


@given(st.binary(max_size=40))
def test_garbage_is_refused_or_read_but_never_a_bug(body: bytes) -> None:
    with suppress(LookFailed):
        assert _serving_status(body) >= 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"address": "nowhere"}, "address"),
        ({"address": "a:1", "metadata": {"Bad Name": Secret("x")}}, "metadata.Bad Name"),
        ({"address": "a:1", "metadata": {"x": Secret("a\nb")}}, "metadata.x"),
        ({"address": "a:1", "service_name": "x" * 1001}, "service_name"),
    ],
)
def test_bad_fields(fields: dict[str, str], field: str) -> None:
    with pytest.raises(BadField) as caught:
        Grpc(**fields)  # type: ignore[arg-type]  # as a config may have it
    assert caught.value.field == field


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    probe = Grpc("a:1", metadata={"authorization": Secret("Bearer tell-no-one")})
    assert "tell-no-one" not in repr(probe) + probe.target
