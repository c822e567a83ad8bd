"""Wording, routing, identity, service logic: small pure functions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from monitor.core.condition import USUAL, Aggregate, Bound, Operator
from monitor.core.identity import deploy_id, event_id, incident_id, silence_id
from monitor.core.model import Impact, Incident, OutageRule, Service, ServiceState, State
from monitor.core.routing import ALWAYS, AllOf, AnyOf, Not, Route, Term, recipients
from monitor.core.service import ServiceStatus, judge_service
from monitor.core.wording import describe_failure, describe_threshold, quantity, seconds, size
from probes.contract import Observation, Reason, Unit
from tests.core.builders import above, moment


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 s"), (0.0000004, "0 µs"), (0.00025, "250 µs"), (0.23, "230 ms"), (2.4, "2.4 s"), (60, "1 min"),
        (200, "3 min 20 s"), (3600, "1 h"), (7500, "2 h 5 min"), (86400, "1 d"),
        (1_137_600, "13 d 4 h"), (-90, "-1 min 30 s"),
    ],
)  # fmt: skip
def test_seconds(value: float, shown: str) -> None:
    assert seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.8, Unit.SECONDS, "800 ms"), (0.123, Unit.RATIO, "12.3 %"), (1536, Unit.BYTES, "1.5 KiB"),
        (2048, Unit.BYTES_PER_SECOND, "2 KiB/s"), (3, Unit.PER_SECOND, "3/s"), (7, Unit.COUNT, "7"),
        (7.25, Unit.COUNT, "7.25"), (2.0**60, Unit.BYTES, "1.02e+03 PiB"),
    ],
)  # fmt: skip
def test_quantities(value: float, unit: Unit, shown: str) -> None:
    assert quantity(value, unit) == shown


def test_size_keeps_its_sign() -> None:
    assert size(-2048) == "-2 KiB"


def test_thresholds_in_words() -> None:
    plain = above(0.8)
    assert describe_threshold(plain, 2.4) == "response time 2.4 s, limit 800 ms"
    assert describe_threshold(plain, None) == "response time unknown, limit 800 ms"
    usual = above(0, bound=Bound(Operator.ABOVE, 3.0, USUAL))
    assert describe_threshold(usual, 2.4, 0.9) == "response time 2.4 s, limit 900 ms (3x usual)"
    assert describe_threshold(usual, 2.4) == "response time 2.4 s, limit unknown (3x usual)"
    several = above(0.8, for_looks=(3, 5))
    assert describe_threshold(several, 0.005) == (
        "response time beyond its limit of 800 ms in 3 of the last 5 looks (last: 5 ms)"
    )
    assert describe_threshold(above(0.8, for_span=timedelta(minutes=2)), 1) == (
        "response time 1 s, limit 800 ms for 2 min"
    )
    window = above(0.8, window=timedelta(minutes=5), aggregate=Aggregate.PERCENTILE, percentile=95)
    assert describe_threshold(window, 1) == "response time 1 s, limit 800 ms (p95 over 5 min)"
    ratio = above(0.01, window=timedelta(minutes=5), ratio_of=("errors", "requests"), measurement="error_rate")
    assert describe_threshold(ratio, 1).endswith("(over 5 min)")
    assert describe_threshold(above(0.8, window=timedelta(minutes=5)), 1).endswith("(mean over 5 min)")


def test_failures_in_words() -> None:
    refused = Observation(reason=Reason.REFUSED)
    assert describe_failure(refused, State.DOWN, 1.0) == "nothing listens on the port"
    status = Observation(reason=Reason.STATUS, detail="HTTP 500")
    assert describe_failure(status, State.DOWN, 1.0) == "the status is not one that was expected (HTTP 500)"
    assert describe_failure(status, State.DEGRADED, 1 / 3).startswith("33% of the latest looks failed, last: ")
    assert describe_failure(Observation(), State.DEGRADED, 0.5).endswith(Reason.FAILING.meaning)


FACTS = {"event": ["incident.opened"], "impact": ["outage"], "service": ["shop"], "label.tier": ["web", "db"]}


def test_terms_match_values_patterns_and_any_of_several() -> None:
    assert Term("service", "shop").matches(FACTS)
    assert Term("service", "sh*").matches(FACTS)
    assert Term("label.tier", "db").matches(FACTS)
    assert not Term("owner", "web").matches(FACTS)
    assert Term("service", "shop", negated=True).matches(FACTS) is False
    assert Term("owner", "web", negated=True).matches(FACTS)


def test_expressions_combine() -> None:
    shop, outage, web = Term("service", "shop"), Term("impact", "outage"), Term("owner", "web")
    assert AllOf((shop, outage)).matches(FACTS)
    assert not AllOf((shop, web)).matches(FACTS)
    assert AnyOf((web, outage)).matches(FACTS)
    assert Not(web).matches(FACTS)
    assert ALWAYS.matches(FACTS)
    assert AnyOf((shop, Not(AllOf((outage, web))))).fields() == {"service", "impact", "owner"}


def test_a_route_that_names_no_event_speaks_of_incidents_and_the_agent() -> None:
    route = Route(("pager",), Term("impact", "outage"))
    assert route.takes(FACTS)
    assert not route.takes(FACTS | {"event": ["check.changed"]})
    assert Route(("hook",), Term("event", "check.*")).takes(FACTS | {"event": ["check.changed"]})
    assert Route(("chat",)).takes({"event": ["agent.impaired"]})


def test_a_sink_gets_an_event_once_in_the_order_of_the_routes() -> None:
    routes = (Route(("pager", "chat")), Route(("chat", "hook")), Route(("mail",), Term("owner", "x")))
    assert recipients(routes, FACTS) == ("pager", "chat", "hook")


def test_ids_are_decided_not_drawn() -> None:
    assert event_id("a", "check.changed", "home", 1) == event_id("a", "check.changed", "home", 1)
    assert event_id("a", "x", "home", 1) != event_id("b", "x", "home", 1)
    assert event_id("a", "x", 11) != event_id("a", "x1", 1)
    assert incident_id("a", "shop", 1).startswith("inc_")
    assert deploy_id("a", "v42").startswith("dep_")
    assert silence_id("a", 1.0, "service = shop").startswith("s-")
    assert len(event_id("a")) <= 63
    assert "." not in event_id("a")


UP, DEGRADED, DOWN, UNKNOWN = State.UP, State.DEGRADED, State.DOWN, State.UNKNOWN
ANY, TWO = OutageRule(1, ("a", "b")), OutageRule(2, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("rule", "states", "expected"),
    [
        (ANY, (UP, UP, UP), ServiceState.OPERATIONAL),
        (ANY, (DOWN, UP, UP), ServiceState.OUTAGE),
        (ANY, (UP, UP, DOWN), ServiceState.DEGRADATION),
        (ANY, (DEGRADED, UP, UP), ServiceState.DEGRADATION),
        (ANY, (UP, UNKNOWN, UP), ServiceState.UNKNOWN),
        (ANY, (UP, UP, UNKNOWN), ServiceState.OPERATIONAL),
        (ANY, (UNKNOWN, UNKNOWN, UNKNOWN), ServiceState.UNKNOWN),
        (ANY, (DOWN, UNKNOWN, UNKNOWN), ServiceState.OUTAGE),
        (ANY, (DEGRADED, UNKNOWN, UP), ServiceState.DEGRADATION),
        (TWO, (DOWN, UP, UP), ServiceState.DEGRADATION),
        (TWO, (DOWN, DOWN, UP), ServiceState.OUTAGE),
        (TWO, (UP, UNKNOWN, UP), ServiceState.OPERATIONAL),
        (TWO, (UP, UNKNOWN, UNKNOWN), ServiceState.UNKNOWN),
        (OutageRule(1, ()), (DOWN, UP, UP), ServiceState.DEGRADATION),
        (OutageRule(1, ()), (UP, UP, UP), ServiceState.OPERATIONAL),
    ],
)
def test_a_service_in_three_valued_logic(
    rule: OutageRule, states: tuple[State, State, State], expected: ServiceState
) -> None:
    status = ServiceStatus(Service("shop", "Shop", ("a", "b", "c"), rule))
    assert judge_service(status, dict(zip("abc", states, strict=True))) is expected


def test_nothing_lasts_less_than_no_time_when_the_clock_was_set_back() -> None:
    began = moment(0).at
    incident = Incident("inc_1", ("shop",), "home", ("home",), Impact.OUTAGE, opened=began, since=began)
    assert incident.lasted(moment(60).at) == timedelta(minutes=1)
    assert incident.lasted(moment(-3600).at) == timedelta(0)
