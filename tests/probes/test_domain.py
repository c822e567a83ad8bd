"""The probe `domain` against registries that a test scripts, over days that a test lets pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from probes.contract import BadField, Context, Reason
from probes.domain import KEPT, RETRY, Domain
from tests.probes.conftest import Serve
from tests.probes.judged import look

NOW = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def _answer(document: Any, status: str = "200 OK") -> list[bytes]:
    body = json.dumps(document).encode()
    return [f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body]


def _registered(days: float, *statuses: str) -> list[bytes]:
    end = datetime.fromtimestamp(NOW, UTC) + timedelta(days=days)
    events = [
        {"eventAction": "registration", "eventDate": "1999-01-01T00:00:00Z"},
        {"eventAction": "expiration", "eventDate": end.isoformat()},
    ]
    return _answer({"objectClassName": "domain", "status": list(statuses), "events": events})


async def test_the_registration_counts_down_and_the_registry_is_asked_seldom(serve: Serve, context: Context) -> None:
    server, clock = await serve(_registered(40, "client transfer prohibited"), _registered(400)), Clock()
    probe = Domain("example.com", rdap=server.url("/v1/"), _now=clock)
    first = await look(probe, context)
    assert first.ok, first
    assert first.measurements == {"expires_in": 40 * DAY, "held": 0.0, "answer_age": 0.0}
    assert server.requests[0].startswith(b"GET /v1/domain/example.com HTTP/1.1")
    clock.now += 3600
    assert (await look(probe, context)).measurements["expires_in"] == 40 * DAY - 3600
    assert len(server.requests) == 1
    clock.now += 6 * 3600
    assert (await look(probe, context)).measurements["expires_in"] > 390 * DAY
    assert len(server.requests) == 2


async def test_a_clock_that_was_far_ahead_does_not_silence_it(serve: Serve, context: Context) -> None:
    server, clock = await serve(_registered(400), _registered(40, "client hold")), Clock()
    probe = Domain("example.com", rdap=server.url(), _now=clock)
    clock.now += 3650 * DAY
    await look(probe, context)
    clock.now -= 3650 * DAY
    assert (await look(probe, context)).measurements["held"] == 1
    assert len(server.requests) == 2


async def test_what_is_known_survives_a_restart(serve: Serve, context: Context) -> None:
    server, clock = await serve(_registered(40)), Clock()
    await look(Domain("example.com", rdap=server.url(), _now=clock), context)
    again = await look(Domain("example.com", rdap=server.url(), _now=clock), context)
    assert again.ok
    assert len(server.requests) == 1


async def test_a_domain_on_hold_is_said_to_be(serve: Serve, context: Context) -> None:
    server = await serve(_registered(300, "Client Hold", "server transfer prohibited", "redemption period"))
    seen = await look(Domain("example.com", rdap=server.url(), _now=Clock()), context)
    assert seen.measurements["held"] == 2.0
    assert seen.evidence["held"] == "client hold, redemption period"


async def test_a_domain_that_is_gone_is_missing_until_it_is_there_again(serve: Serve, context: Context) -> None:
    server, clock = await serve(_answer({}, "404 Not Found"), _registered(365)), Clock()
    probe = Domain("example.com", rdap=server.url(), _now=clock)
    for _ in range(3):
        assert (await look(probe, context)).reason is Reason.MISSING
    assert len(server.requests) == 1
    clock.now += RETRY
    assert (await look(probe, context)).ok


@pytest.mark.parametrize("broken", [_answer({}, "500 Oops"), [b"garbage"], _answer([1]), [b""]])
async def test_a_registry_that_fails_is_not_held_against_the_domain(
    serve: Serve, context: Context, broken: list[bytes]
) -> None:
    server, clock = await serve(_registered(40), broken), Clock()
    probe = Domain("example.com", rdap=server.url(), _now=clock)
    assert (await look(probe, context)).ok
    clock.now += DAY
    seen = await look(probe, context)
    assert seen.ok
    assert seen.evidence["registry"].startswith("source: the registry")
    assert seen.measurements["answer_age"] == DAY
    clock.now += KEPT
    assert (await look(probe, context)).reason is Reason.SOURCE


async def test_a_registry_that_never_answered_cannot_tell(closed_port: int, context: Context, serve: Serve) -> None:
    probe = Domain("example.com", rdap=f"http://127.0.0.1:{closed_port}/", _now=Clock())
    for _ in range(2):
        seen = await look(probe, context)
        assert (seen.reason, "refused" in seen.detail) == (Reason.SOURCE, True)
    context.memory.clear()
    busy = await serve(_answer({}, "429 Slow down"))
    assert (await look(Domain("a.example", rdap=busy.url(), _now=Clock()), context)).reason is Reason.BLOCKED


async def test_a_registry_that_hangs_ends_with_the_look(
    serve: Serve, make_context: Callable[[float], Context]
) -> None:
    server = await serve([], end="hang")
    seen = await look(Domain("example.com", rdap=server.url(), _now=Clock()), make_context(0.3))
    assert seen.reason is Reason.SOURCE
    assert "first_byte_timeout" in seen.detail


async def test_the_list_of_servers_is_matched_by_its_longest_suffix(serve: Serve, context: Context) -> None:
    services = [
        [["uk"], ["https://wrong.example/"]],
        [["co.uk"], ["http://plain.example/", "https://127.0.0.1:1/rdap/"]],
        [["net", 7], None],
        "garbage",
    ]
    listed = await serve(_answer({"services": services}))
    seen = await look(Domain("shop.co.uk", bootstrap=listed.url(), _now=Clock()), context)
    assert seen.reason is Reason.SOURCE
    assert "127.0.0.1:1" in seen.detail
    context.memory.clear()
    seen = await look(Domain("shop.zz", bootstrap=listed.url(), _now=Clock()), context)
    assert (seen.reason, seen.detail) == (
        Reason.UNSUPPORTED,
        "the registry of .zz offers no RDAP; name a server with rdap:",
    )


@pytest.mark.parametrize("events", [[], [{"eventAction": "expiration", "eventDate": "soon"}], "x", [7]])
async def test_a_registry_that_keeps_the_end_to_itself(serve: Serve, context: Context, events: Any) -> None:
    server = await serve(_answer({"events": events}))
    seen = await look(Domain("example.de", rdap=server.url(), _now=Clock()), context)
    assert seen.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"domain": "example"}, "domain"),
        ({"domain": "https://example.com/"}, "domain"),
        ({"domain": "a..b"}, "domain"),
        ({"domain": "example.com", "refresh": timedelta(minutes=5)}, "refresh"),
        ({"domain": "example.com", "rdap": "rdap.example.com"}, "rdap"),
    ],
)
def test_bad_fields(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadField) as caught:
        Domain(**fields)
    assert caught.value.field == field


def test_names_of_the_whole_world() -> None:
    assert Domain("müller.de")._name == "xn--mller-kva.de"


def test_a_password_of_the_registry_is_not_shown() -> None:
    probe = Domain("example.com", rdap="https://me:tell-no-one@rdap.example/")
    assert "tell-no-one" not in repr(probe) + probe.target
