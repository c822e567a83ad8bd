"""Properties of what the core makes of figures and of its own trouble: every kind of window, every kind of nonsense,
looks that never come to an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import Any, ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.condition import Aggregate, Bound, Condition, Level, Operator
from monitor.core.judge import Judge
from monitor.core.model import Change, Check, Confirm, EventType, Look, Moment, Recover, Transition
from monitor.core.sight import Ailment, Trouble
from probes.contract import Measurement, Observation, Reason, Unit
from tests.core.builders import START, Still, above, check
from tests.core.test_properties import ANYTHING, FAILURES, Step, judged, looks_of, shop, steps

SHORT, LONG = timedelta(minutes=3), timedelta(hours=1)
"""At a look a second the first is kept sample by sample, the second in slices."""


@dataclass(frozen=True, slots=True)
class Timed(Still):
    """Its looks may run into their limit."""

    kind: ClassVar[str] = "timed"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("response_time", Unit.SECONDS, "how long", cut_by=Reason.TRANSFER_TIMEOUT),
    )


def windowed(window: timedelta) -> Iterator[Condition]:
    for aggregate in Aggregate:
        percentile = 95 if aggregate is Aggregate.PERCENTILE else None
        yield above(1, window=window, aggregate=aggregate, percentile=percentile, clear=Bound(Operator.BELOW, 0.5))
    yield above(5, Level.DOWN, window=window, aggregate=Aggregate.PERCENTILE, percentile=50)


def watched(*conditions: Condition) -> Check:
    every: dict[str, Any] = {"confirm": Confirm(), "recover": Recover(), "every": timedelta(seconds=1)}
    return check("home", *conditions, probe=Timed(), usual="response_time", **every)


EVERYTHING = watched(above(1), above(2, for_looks=(2, 3)), *windowed(SHORT), *windowed(LONG))


def dull(looks: Iterable[Look]) -> list[Look]:
    """All at one check, none twice."""
    return [replace(look, check="home") for look, _ in groupby(looks)]


@given(ANYTHING)
@settings(max_examples=20)
def test_no_figure_breaks_a_window_and_transitions_alternate(taken: list[Step]) -> None:
    looks, last = dull(looks_of(taken)), None
    for item in judged(EVERYTHING, looks, [max(len(looks), 1)]):
        assert item.old != item.new
        assert item.old == (last.new if last else "unknown")
        last = item


@given(steps(None, None, *FAILURES, odd=False), st.lists(st.integers(1, 30), min_size=1))
@settings(max_examples=20)
def test_batches_of_any_size_give_the_same_transitions_with_windows_too(taken: list[Step], sizes: list[int]) -> None:
    looks = dull(looks_of(taken))
    whole = [astuple_of(item) for item in judged(EVERYTHING, looks, [max(len(looks), 1)])]
    assert [astuple_of(item) for item in judged(EVERYTHING, looks, sizes)] == whole


def astuple_of(item: Transition) -> tuple[object, ...]:
    return item.seq, item.at, item.since, item.old, item.new, item.verdict.reason, item.verdict.condition


@given(steps(None, *FAILURES))
@settings(max_examples=20)
def test_no_threshold_is_crossed_without_a_figure_that_crosses_it(taken: list[Step]) -> None:
    """Quick answers, and looks that tell nothing or hang: nobody is told that it is slow."""
    quick = [replace(step, value=None if step.reason else 0.1) for step in taken]
    judge = Judge(EVERYTHING, None, Moment(START, 1000.0))
    for look in dull(looks_of(quick)):
        judge.observe(look)
        assert not any(item.active for item in judge.thresholds if item.condition.aggregate is not Aggregate.COUNT), (
            look
        )


@given(steps(*FAILURES, odd=False))
@settings(max_examples=20)
def test_what_is_slow_is_not_known_to_be_quick_because_it_hangs(taken: list[Step]) -> None:
    """Looks that time out, with a short limit or a full one, in any number: no threshold is told to be over."""
    slow = watched(above(3), *(above(3, window=window, aggregate=Aggregate.PERCENTILE, percentile=95)
                               for window in (SHORT, LONG)))  # fmt: skip
    judge = Judge(slow, None, Moment(START, 0.0))
    for number in range(5):
        at = Moment(START + timedelta(seconds=number * 20 - 100), 900.0 + number * 20)
        judge.observe(Look("home", Observation({"response_time": 4.0}), at, at, 10.0))
    assert all(item.active for item in judge.thresholds)
    for look in dull(looks_of(taken)):
        hangs = look.observation.reason if look.observation.reason is Reason.CONNECT_TIMEOUT else Reason.TLS_TIMEOUT
        seen = Observation({"response_time": look.limit} if look.scheduled else {}, hangs)
        judge.observe(replace(look, observation=seen))
        assert all(item.active for item in judge.thresholds)


TROUBLES = st.sampled_from((Trouble.NETWORK, Trouble.PAUSED, Trouble.JOURNAL))


@given(st.lists(st.tuples(ANYTHING, TROUBLES), max_size=4))
@settings(max_examples=12)
def test_our_own_trouble_at_any_moment_neither_pages_an_outage_nor_resolves_one(
    parts: list[tuple[list[Step], Trouble]],
) -> None:
    world, now = shop(), Moment(START, 1000.0)
    for taken, trouble in parts:
        apart = now.tick - 1000.0
        for look in looks_of(taken[:20]):
            ended = moved(look.ended, apart)
            world.observe(replace(look, began=moved(look.began, apart), ended=ended))
            now = ended if ended.tick > now.tick else now
        since = Moment(now.at - timedelta(seconds=10), now.tick - 10)
        for ailments in ([Ailment(trouble, since, "nobody answers")], []):
            neither_pages_nor_resolves(world.sighted(ailments, now))
            now = Moment(now.at + timedelta(seconds=20), now.tick + 20)


def moved(moment: Moment, apart: float) -> Moment:
    """The stories of all parts begin at tick 1,000: here, one after another."""
    return Moment(moment.at + timedelta(seconds=apart), moment.tick + apart)


def neither_pages_nor_resolves(change: Change | None) -> None:
    if change is None:
        return
    assert {item.new for item in change.transitions if item.kind in ("check", "service")} <= {"unknown"}
    told = {event.type for event in change.events}
    assert not told & {EventType.INCIDENT_OPENED, EventType.INCIDENT_RESOLVED}
    assert all(incident.resolved is None for incident in change.incidents)
