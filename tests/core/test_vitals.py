"""The agent's own pulse: a pause, starvation, a clock that is set, a journal and descriptors that fail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from monitor.core.model import Moment
from monitor.core.sight import Trouble
from monitor.core.vitals import BEAT, GAP, SETTLED, WINDOW, Beat, Vitals
from tests.core.builders import moment


def beat(at: float, **fields: Any) -> Beat:
    return Beat(moment(at), 5000.0 + at, **fields)


def beating(*times: float) -> Vitals:
    vitals = Vitals(beat(times[0]))
    for at in times[1:]:
        vitals.beat(beat(at))
    return vitals


def regular(vitals: Vitals, since: float, until: float) -> None:
    for number in range(round((until - since) / BEAT)):
        vitals.beat(beat(since + (number + 1) * BEAT))


def troubles(vitals: Vitals) -> list[tuple[Trouble, str]]:
    return [(item.trouble, item.why) for item in vitals.ailments]


def test_a_regular_pulse_is_well() -> None:
    vitals = beating(0)
    regular(vitals, 0, 30)
    assert troubles(vitals) == []
    assert not vitals.doubtful(10, 12)


def test_a_pause_is_dated_back_and_over_soon() -> None:
    vitals = beating(0, 0.25, 60.25)
    [paused] = vitals.ailments
    assert (paused.trouble, paused.why, paused.since) == (Trouble.PAUSED, "for 1 min", moment(0.25))
    regular(vitals, 60.25, 60.25 + SETTLED)
    assert troubles(vitals) == []


def test_a_short_pause_is_no_trouble_to_speak_of_but_puts_time_limits_in_doubt() -> None:
    vitals = beating(0, 0.25, 0.25 + GAP / 2)
    assert troubles(vitals) == []
    assert vitals.doubtful(moment(0).tick, moment(GAP / 2).tick)
    assert not vitals.doubtful(moment(GAP).tick, moment(GAP + 1).tick - GAP + 0.2)


def test_a_beat_that_is_overdue_counts_before_it_comes() -> None:
    vitals = beating(0, 0.25)
    assert vitals.doubtful(moment(0.3).tick, moment(1.3).tick)
    assert not vitals.doubtful(moment(0.2).tick, moment(0.4).tick)


def test_a_machine_that_slept_says_so() -> None:
    vitals = beating(0)
    slept = Moment(moment(3600).at, moment(0.25).tick)
    vitals.beat(Beat(slept, 5000.0 + 3600))
    [paused] = vitals.ailments
    assert paused.why == "for 1 h, as its machine slept"
    assert paused.since.at == moment(0).at


def test_who_runs_half_of_the_time_is_starved_until_it_is_fed() -> None:
    vitals = beating(*range(0, 25, 1))
    assert vitals.ailments[0].trouble is Trouble.STARVED
    assert vitals.ailments[0].since.tick < moment(10).tick
    regular(vitals, 24, 24 + WINDOW / 2)
    assert vitals.ailments, "a moment's rest is no end"
    regular(vitals, 34, 34 + WINDOW)
    assert troubles(vitals) == []


def test_a_clock_that_is_set_is_noted() -> None:
    vitals = beating(0)
    vitals.beat(Beat(Moment(moment(0.25).at + timedelta(hours=1), moment(0.25).tick), 5000.25))
    assert troubles(vitals) == [(Trouble.CLOCK, "forward by 1 h")]
    vitals = beating(0)
    vitals.beat(Beat(Moment(moment(0.25).at - timedelta(minutes=2), moment(0.25).tick), 5000.25))
    assert troubles(vitals) == [(Trouble.CLOCK, "back by 2 min")]


def test_what_is_read_off_lasts_until_it_has_been_well_for_a_while() -> None:
    vitals = beating(0)
    vitals.beat(beat(0.25, journal="disk full"))
    vitals.beat(beat(0.5, journal="disk full", descriptors=False))
    assert troubles(vitals) == [(Trouble.JOURNAL, "disk full"), (Trouble.DESCRIPTORS, "")]
    regular(vitals, 0.5, SETTLED)
    assert len(troubles(vitals)) == 2
    regular(vitals, SETTLED, SETTLED + 1)
    assert troubles(vitals) == []


def test_a_clock_that_runs_backwards_loses_nothing() -> None:
    vitals = beating(10)
    vitals.beat(Beat(moment(5), 5000.0))
    assert [trouble for trouble, _ in troubles(vitals)] == [Trouble.CLOCK]
