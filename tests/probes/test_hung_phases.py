"""A look that runs into its limit tells how long it waited in the phase where it hung, and nothing of later ones."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from monitor.core.model import Look
from probes.contract import Context, Measurement, Reason
from probes.http import Http
from probes.registry import builtin
from probes.tcp import Tcp
from tests.core.builders import moment
from tests.probes.judged import Judged, look

LIMIT = 0.15
PHASES = ("connect", "tls", "first_byte", "transfer")


@pytest.fixture
def swallowing() -> Iterator[int]:
    """A port whose queue is full: Linux drops further attempts to connect."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def waited(seen: Any) -> dict[str, bool]:
    """By phase that was measured: whether it is where the look has waited."""
    figures = seen.measurements
    return {name: figures[f"{name}_time"] > LIMIT * 0.6 for name in PHASES if f"{name}_time" in figures}


async def test_for_a_connection(swallowing: int, make_context: Callable[..., Context]) -> None:
    for probe in (Http(url=f"http://127.0.0.1:{swallowing}/"), Tcp(address=f"127.0.0.1:{swallowing}")):
        seen = await look(probe, make_context(LIMIT))
        assert seen.reason is Reason.CONNECT_TIMEOUT
        assert waited(seen) == {"connect": True}
        assert seen.measurements["response_time"] >= LIMIT > seen.phases["resolve"]


async def test_for_a_handshake(serve: Any, make_context: Callable[..., Context]) -> None:
    server = await serve([], end="hang", ask=False)
    seen = await look(Http(url=server.url(scheme="https")), make_context(LIMIT))
    assert seen.reason is Reason.TLS_TIMEOUT
    assert waited(seen) == {"connect": False, "tls": True}


async def test_for_a_first_byte(serve: Any, make_context: Callable[..., Context]) -> None:
    server = await serve([], end="hang")
    seen = await look(Http(url=server.url()), make_context(LIMIT))
    assert seen.reason is Reason.FIRST_BYTE_TIMEOUT
    assert waited(seen) == {"connect": False, "first_byte": True}
    assert seen.measurements["first_byte_time"] <= seen.measurements["response_time"]


async def test_for_the_rest_of_an_answer(serve: Any, make_context: Callable[..., Context]) -> None:
    server = await serve([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"], end="hang")
    seen = await look(Http(url=server.url()), make_context(LIMIT))
    assert seen.reason is Reason.TRANSFER_TIMEOUT
    assert waited(seen) == {"connect": False, "first_byte": False, "transfer": True}


async def test_behind_a_redirect(serve: Any, make_context: Callable[..., Context]) -> None:
    """What the first hop took is in the phase as well."""
    server = await serve([b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"], [], end="hang")
    seen = await look(Http(url=server.url()), make_context(LIMIT))
    assert seen.reason is Reason.FIRST_BYTE_TIMEOUT
    assert waited(seen) == {"connect": False, "first_byte": True, "transfer": False}


async def test_a_refusal_is_no_wait(closed_port: int, make_context: Callable[..., Context]) -> None:
    seen = await look(Http(url=f"http://127.0.0.1:{closed_port}/"), make_context(LIMIT))
    assert waited(seen) == {}


async def test_a_window_over_a_phase_has_the_looks_that_hung(
    serve: Any, make_context: Callable[..., Context]
) -> None:
    """Good looks, then an application that takes connections and answers nobody."""
    fine = await serve([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])
    silent = await serve([], end="hang")
    judged = Judged(Http(url=fine.url()), degraded=("p95(first_byte, 5m) > 80ms, clear < 50ms",))
    threshold = judged.judge.thresholds[-1]
    for number in range(8):
        assert (await judged.see(make_context(), number * 30.0)).ok
    assert not threshold.active
    for number in (8, 9):
        seen = await look(Http(url=silent.url()), make_context(LIMIT))
        at = number * 30.0
        judged.judge.observe(Look("home", seen, moment(at), moment(at + LIMIT), limit=10.0))  # the whole of it
        assert threshold.active is (number == 9)
    assert threshold.value is not None
    assert threshold.value > 0.08


def _times() -> list[tuple[str, Measurement]]:
    kinds = ((kind, probe) for kind, probe in builtin().items())
    return [(kind, item) for kind, probe in kinds for item in probe.measurements if item.name.endswith("_time")]


@pytest.mark.parametrize(
    ("kind", "item"), _times(), ids=lambda value: value if isinstance(value, str) else value.name
)
def test_each_time_that_a_target_may_draw_out_says_so(kind: str, item: Measurement) -> None:
    """A figure that a look may not see the end of must say by which time-out; these are none."""
    told = {
        "resolve_time",  # the resolver's: a look that waits for it in vain tells nothing of its target
        "proxy_time",  # the proxy's: who waits for it in vain knows nothing of the target behind it
        "drain_time",  # a forecast
        "fork_time",  # told by the server
    }
    reported = item.name in told or (kind, item.name) == ("heartbeat", "run_time")
    assert (item.cut_by is None) is reported
