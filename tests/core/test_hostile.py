"""Targets, people and configurations that mean harm: what the core makes of them stops no page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.agenda import Agenda
from monitor.core.calm import Calm
from monitor.core.condition import Aggregate, Bound, Condition, Level, Operator
from monitor.core.failures import BURST
from monitor.core.judge import Judge
from monitor.core.maintenance import Scope, Span, Window, read_window
from monitor.core.model import Confirm, Moment, Recover, Service
from monitor.core.quantise import exact, quantised
from monitor.core.rollup import join, roll_up
from monitor.core.series import between
from monitor.core.unjudged import LASTING
from monitor.core.wording import quantity, seconds
from monitor.core.world import World
from probes.contract import Reason, Unit
from tests.core.builders import START, Watch, above, check, look, moment, world
from tests.core.calmly import T0, once
from tests.core.test_causes import tiers
from tests.core.test_past import BEGAN, columns_of
from tests.core.test_unjudged import blind, kinds
from tests.core.test_world import Story, begun, shop

CLAIMS = (math.nan, math.inf, -math.inf, -1e308, -1.0, 0.0, 5e-324, 1.0, 1e154, 1.79e308, 10**400, -(10**400))
FIVE = timedelta(minutes=5)


def conditions() -> tuple[Condition, ...]:
    over = {"window": FIVE}
    return (
        above(10, **over),
        above(10, Level.DOWN, **over, aggregate=Aggregate.PERCENTILE, percentile=95),
        above(10, **over, aggregate=Aggregate.RATE),
        above(10, **over, ratio_of=("response_time", "other")),
        above(0, bound=Bound(Operator.BELOW, 3.0, "other")),
        above(0, bound=Bound(Operator.ABOVE, 3.0, "other"), clear=Bound(Operator.BELOW, 1e6, "other")),
        above(0, bound=Bound(Operator.ABOVE, 3.0, "usual")),
    )


@given(st.lists(st.tuples(st.sampled_from(CLAIMS), st.sampled_from(CLAIMS)), min_size=3, max_size=12))
@settings(max_examples=20)
def test_whatever_a_target_claims_it_can_be_told_kept_and_read_again(claims: Sequence[tuple[float, float]]) -> None:
    watched = world(check("home", *conditions(), usual="response_time"))
    judge = watched.judges["home"]
    for number, (one, other) in enumerate(claims * 2):
        seen = quantised(look(30 * number, response_time=one, other=other), judge.check)
        change = watched.observe(seen).change
        for event in change.events if change else ():
            json.dumps(dict(event.body), allow_nan=False)
    record = judge.record(moment(9000))
    json.dumps(record.snapshot, allow_nan=False)
    again = Judge(judge.check, record, moment(9001))
    assert again.verdict == replace(judge.verdict, value=None, limit=None, measurement=None, condition=None)


def test_what_is_larger_than_any_figure_is_told_as_the_largest() -> None:
    watched = Watch(above(10, window=FIVE))
    for number in range(4):
        watched.see(30 * number, response_time=1.7e308)
    assert watched.state == "degraded"
    assert watched.judge.verdict.value == 1e300
    assert (exact(10**400), exact(-(10**400)), exact(7)) == (math.inf, -math.inf, 7.0)
    assert quantity(1e300, Unit.COUNT) == "1e+300"
    assert seconds(math.nan) == "nan s"


def test_huge_claims_are_rolled_up_like_any_other() -> None:
    points, _ = roll_up(columns_of([1.7e308, 1.7e308, -1.7e308, 1.7e308] * 40), FIVE, None, BEGAN + 40 * 60_000)
    [joined] = join(points, timedelta(hours=1))
    for point in (*points, joined):
        figures = point.figures["response_time"]
        assert figures.min == -1.7e308
        assert figures.mean == pytest.approx(0.85e308, rel=0.01)
        assert all(map(math.isfinite, (figures.p50, figures.p95, figures.p99)))
    assert between(-1.7e308, 1.7e308, 0.5) == 0.0


def test_an_unknown_that_lasts_is_told_at_its_time_however_that_rounds() -> None:
    """A difference of two ticks may be a little less than the span that was added: in a replay, where time stands
    until all that is due is done, that was a loop without end."""
    turned = next(at / 10 for at in range(900, 9000) if 1000 + at / 10 + LASTING - (1000 + at / 10) < LASTING)
    watched = world(check())
    watched.observe(look(0))
    blind(watched, turned - 60, turned - 30, turned)
    due = watched.next_due
    assert due is not None
    assert kinds(watched.elapse(Moment(moment(turned).at, due))) == ["agent.impaired"]
    assert watched.next_due is None


# --- configurations --------------------------------------------------------------------------------------------


def test_in_a_chain_beyond_measure_only_the_first_hundreds_are_walked_and_nobody_is_told_of_each() -> None:
    length = 215
    names = [f"c{number}" for number in range(length)]
    story = tiers({name: tuple(names[max(number - 1, 0) : number]) for number, name in enumerate(names)})
    for number, name in enumerate(names):
        story.kill(name, 30 + 4 * number)
    story.wait(9000)
    assert [name for name, _ in story.checks] == ["c0"]
    assert [kind for kind, _, _ in story.incidents if kind == "opened"] == ["opened"]
    assert story.world.judges["c214"].suppressed_by == "c14", "the farthest that is walked to"


class Counted:
    """Checks of which somebody counts how often their labels are asked for."""

    def __init__(self, watched: World) -> None:
        self.checks, self.services = watched.plan.checks, watched.plan.services
        self._plan = watched.plan
        self.asked = 0

    def labelled(self, labels: Iterable[tuple[str, str]]) -> Sequence[str]:
        self.asked += 1
        return self._plan.labelled(labels)


def test_windows_that_cover_the_same_cost_what_one_does() -> None:
    watched = world(*(check(f"c{number}", labels={"tier": "web"}) for number in range(20)), check("other"))
    calm = Calm(Agenda(), {}, moment(5))
    for number in range(200):
        calm.announce(once(0, 100 + number, f"c{number % 7}", "gone", name=f"w{number}", tier="web"))
    counted = Counted(watched)
    calm.cover((), counted)
    assert counted.asked == 1
    assert len(calm.covered) == 20
    assert {cover.window.id for cover in calm.covered.values()} == {"w199"}, "the one that ends last"


class Asked:
    """Every hour; counts how often it is asked."""

    text = "every hour"
    times = 0

    def after(self, at: float) -> float:
        self.times += 1
        return at - at % 3600 + 3600


def test_a_schedule_is_asked_again_when_its_span_is_over_or_the_clock_was_set_back() -> None:
    calm, schedule = Calm(Agenda(), {}, moment(0)), Asked()
    window = Window("w", Scope(("home",)), schedule=schedule, lasts=600.0)
    watched = world(check())

    def begins(at: float) -> float:
        [(_, span)] = calm.windows((window,), T0 + at)
        return span.begin - T0

    assert [begins(at) for at in (10, 599, 600, 3599, 4199)] == [0, 0, 3600, 3600, 3600]
    assert schedule.times == 2
    assert begins(-9000) == -7200
    assert schedule.times == 3
    calm.reconsider()
    assert begins(-9000) == -7200
    assert schedule.times == 4
    calm.moment = moment(10)
    calm.cover((window,), watched.plan)
    assert set(calm.covered) == {"home"}


def test_labels_of_the_service_count_and_all_must_hold() -> None:
    shop = Service("shop", "Shop", ("a", "b"), world(check("a")).plan.services["a"].outage, labels={"tier": "web"})
    plan = world(
        check("a", service="shop", labels={"zone": "x"}),
        check("b", service="shop", labels={"tier": "db", "zone": "x"}),
        services={"shop": shop},
    ).plan
    assert plan.labelled([("zone", "x")]) == ["a", "b"]
    assert plan.labelled([("tier", "web"), ("zone", "x")]) == ["a"]
    assert plan.labelled([("tier", "web"), ("zone", "y")]) == []


def test_a_window_whose_labels_nobody_has_written_is_none() -> None:
    window = Window("w", Scope(("home",)), Span(T0, T0 + 9))
    assert read_window("w", window.as_json()) == window
    with pytest.raises(TypeError):
        read_window("w", window.as_json() | {"labels": {"tier": ["web"]}})


# --- targets that know how they are judged ------------------------------------------------------------------------


def crash(watched: Watch, at: float, out: float, well: float) -> float:
    """Gone for so many seconds, well for so many, with the extra looks that are taken meanwhile."""
    for offset in (step for step in (0.0, *BURST, *range(6, 100)) if step < out):
        watched.see(at + offset, fails=Reason.REFUSED, scheduled=offset == 0)
    for second in range(int(well)):
        watched.see(at + out + second, scheduled=False)
    return at + out + well


def bursting() -> Watch:
    """A target that is known for its bursts, and so is given a minute."""
    watched = Watch(confirm=Confirm(), recover=Recover())
    watched.see(0)
    for hour in range(1, 96):
        crash(watched, hour * 3600, 4.9 if hour < 12 else 8.0, 45)
    assert watched.state == "up"
    assert watched.judge.confirmation(moment(96 * 3600).tick).span > 50
    return watched


def test_what_crashes_again_and_again_is_not_taken_for_bursts_for_ever() -> None:
    watched, at = bursting(), 97 * 3600.0
    for _ in range(5):
        at = crash(watched, at, 48, 12)
    assert watched.state == "degraded"
    assert [new for _, _, new in watched.transitions] == ["up", "degraded"]
    watched.restart(at)
    for _ in range(30):
        at = crash(watched, at, 48, 12)
    assert len(watched.transitions) == 2, "one trouble as long as it goes on"
    for second in range(60):
        watched.see(at + second, scheduled=False)
    assert watched.state == "up"
    crash(watched, at + 100, 1, 20)
    assert watched.state == "up", "what was told counts no more"


def test_short_failures_far_apart_are_borne_and_so_is_what_somebody_has_written() -> None:
    watched, at = bursting(), 97 * 3600.0
    for _ in range(6):
        crash(watched, at, 30, 45)
        at += 600
    assert watched.state == "up"
    patient = Watch(confirm=Confirm(span=timedelta(minutes=10)), recover=Recover())
    patient.see(0)
    for number in range(4):
        crash(patient, 100 + 100 * number, 90, 10)
    assert patient.state == "up"


def test_an_outage_that_was_told_does_not_make_a_lost_packet_a_second_one() -> None:
    watched = Watch(confirm=Confirm(), recover=Recover())
    watched.see(0)
    crash(watched, START.second + 30, 99, 60)
    assert [new for _, _, new in watched.transitions] == ["up", "down", "degraded", "up"]
    crash(watched, 200, 0.1, 20)
    assert watched.state == "up"


# --- ourselves -------------------------------------------------------------------------------------------------


def test_a_condition_of_ours_is_compared_with_what_is_known_only() -> None:
    watched = Watch(above(0, bound=Bound(Operator.ABOVE, 3.0, "other")))
    for number in range(4):
        watched.see(30 * number, response_time=5.0, other=math.inf)
    assert watched.state == "up"


def test_an_outage_that_gets_out_of_sight_is_not_told_to_be_none() -> None:
    story = begun(Story(shop()))
    story.kill("search", 30)
    story.kill("home", 60)
    assert story.told("incident")[-1] == ("incident.updated", "outage")
    for at in (100, 130, 160):
        story.see(at, "home", Reason.DNS_SERVFAIL)
    assert story.world.judges["home"].state == "unknown"
    assert story.world.services["shop"].state == "degradation", "that is known"
    assert story.told("incident")[-1] == ("incident.updated", "outage"), "who locks us out has not ended it"
    story.heal("home", 200)
    assert story.told("incident")[-1] == ("incident.updated", "degradation"), "now that is known"
    story.heal("search", 230)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")


def test_looks_that_cannot_tell_count_on_over_a_restart() -> None:
    watched = Watch()
    watched.see(0)
    watched.see(30, fails=Reason.DNS_SERVFAIL)
    watched.see(60, fails=Reason.DNS_SERVFAIL)
    watched.restart(70)
    watched.see(90, fails=Reason.DNS_SERVFAIL)
    assert watched.state == "unknown"
    assert watched.judge.since == moment(30).at
    record = watched.judge.record(moment(95))
    older = {name: kept for name, kept in record.snapshot.items() if name != "blind"}
    again = Judge(watched.judge.check, replace(record, snapshot=older), moment(96))
    assert (again.state, again.verdict.reason) == ("unknown", Reason.DNS_SERVFAIL), "as an older version kept it"
