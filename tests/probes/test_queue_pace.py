"""What looks in a row tell of a queue: rates, the forecast, and since when nothing moves."""

from __future__ import annotations

from typing import Any

import pytest

from probes.queue.backend import Backlog
from probes.queue.pace import LONGEST, Memory, judge_pace


class Seen:
    """Backlogs, looked at one after the other."""

    def __init__(self, every: float = 10.0) -> None:
        self.memory: Memory = {}
        self.at = 1_800_000_000.0
        self.every = every

    def see(
        self, depth: int, lag: float | None = None, *, after: float | None = None, **more: Any
    ) -> dict[str, float]:
        self.at += self.every if after is None else after
        return judge_pace(Backlog(depth=depth, lag=lag, **more), self.memory, self.at)


def test_the_first_look_has_no_rates() -> None:
    figures = Seen().see(5, 3.0, workers=1, completed=100.0)
    assert figures == {"stalled_for": 0.0, "no_workers_for": 0.0}


def test_rates_of_a_counter_and_what_follows_from_it() -> None:
    seen = Seen()
    for turn in range(30):
        figures = seen.see(20 + turn, 2.0, completed=50.0 * turn, in_flight=5)
    assert figures["drain_rate"] == pytest.approx(5.0)
    assert figures["growth_rate"] == pytest.approx(0.1)
    assert figures["arrival_rate"] == pytest.approx(5.1)


def test_the_other_counter_will_do() -> None:
    seen = Seen()
    for turn in range(30):
        figures = seen.see(20 + turn, 2.0, arrived=51.0 * turn, in_flight=turn % 2)
    assert figures["arrival_rate"] == pytest.approx(5.1)
    assert figures["drain_rate"] == pytest.approx(5.0, abs=0.05)


def test_without_a_counter_there_is_the_growth_alone() -> None:
    seen = Seen()
    seen.see(10)
    figures = seen.see(30)
    assert figures["growth_rate"] == pytest.approx(2.0)
    assert not figures.keys() & {"arrival_rate", "drain_rate"}


def test_a_counter_that_was_set_back_counts_from_nothing() -> None:
    seen = Seen()
    seen.see(10, 1.0, completed=1_000_000.0)
    figures = seen.see(10, 1.0, completed=20.0)
    assert figures["drain_rate"] == pytest.approx(2.0)
    assert seen.see(10, 1.0)["growth_rate"] == 0, "and one that is gone is no counter"


def test_the_forecast_is_of_the_pace_of_minutes_not_of_one_look() -> None:
    seen = Seen()
    for turn in range(40):
        figures = seen.see(10_000 - 100 * turn, 300.0)
    assert figures["drain_time"] == pytest.approx(6_100 / 10, rel=0.01)
    figures = seen.see(6_500, 300.0)  # a batch of 500 jobs
    assert figures["drain_time"] < 1_500


@pytest.mark.parametrize("counted", [True, False])
def test_a_backlog_that_grows_has_a_forecast_with_a_bound(counted: bool) -> None:
    seen = Seen()
    for turn in range(20):
        more = {"completed": 10.0 * turn} if counted else {}
        figures = seen.see(1_000 + 50 * turn, 200.0, **more)
    assert figures["drain_time"] == LONGEST


def test_there_is_no_forecast_before_half_a_minute_and_none_is_needed_for_an_empty_queue() -> None:
    seen = Seen()
    assert seen.see(0, 0.0)["drain_time"] == 0
    assert "drain_time" not in seen.see(10, 1.0)
    assert "drain_time" not in seen.see(20, 1.0)
    seen.see(30, 1.0)
    assert "drain_time" in seen.see(40, 1.0)


@pytest.mark.parametrize("counted", [True, False])
def test_a_busy_queue_that_keeps_up_is_no_backlog(counted: bool) -> None:
    """Its depth goes up and down by chance, which would be a forecast of hours or of never."""
    seen = Seen()
    for turn in range(30):
        more = {"completed": 200.0 * turn} if counted else {}
        figures = seen.see(40 + turn % 3, 2.0, **more)
    assert figures["drain_time"] == pytest.approx(2.0, rel=0.1)


def test_one_job_now_and_then_is_no_backlog_for_ever() -> None:
    seen = Seen()
    for _ in range(60):
        seen.see(0, 0.0, completed=7.0)
    assert seen.see(1, 0.5, completed=7.0)["drain_time"] == 0.5
    assert seen.see(1, 60.5, completed=7.0, after=60.0)["drain_time"] == LONGEST, "unless it stays"


def test_where_neither_age_nor_throughput_is_known_only_a_clear_change_makes_a_forecast() -> None:
    seen = Seen()
    for turn in range(30):
        figures = seen.see(40 + turn % 3)
    assert "drain_time" not in figures
    for turn in range(30):
        figures = seen.see(40 + 10 * turn)
    assert figures["drain_time"] == LONGEST


def test_a_burst_is_a_backlog_at_once_where_completed_jobs_are_counted() -> None:
    seen = Seen()
    for turn in range(30):
        seen.see(0, 0.0, completed=10.0 * turn)
    figures = seen.see(100_000, 5.0, completed=300.0)
    assert figures["drain_time"] == LONGEST


def test_stalled_is_work_that_waits_while_nothing_moves() -> None:
    seen = Seen()
    seen.see(5, 1.0, completed=7.0)
    assert seen.see(5, 11.0, completed=7.0)["stalled_for"] == 10
    assert seen.see(9, 21.0, completed=7.0)["stalled_for"] == 20, "more arrives"
    assert seen.see(9, 31.0, completed=8.0)["stalled_for"] == 0, "one was completed"
    assert seen.see(9, 41.0, completed=8.0)["stalled_for"] == 10
    assert seen.see(8, 51.0, completed=8.0)["stalled_for"] == 0, "one was taken"
    assert seen.see(8, 61.0, completed=8.0)["stalled_for"] == 10
    assert seen.see(8, 2.0, completed=8.0)["stalled_for"] == 0, "the oldest is another one"
    assert seen.see(0, 0.0, completed=8.0)["stalled_for"] == 0
    assert seen.see(3, 4.0, completed=8.0, after=60.0)["stalled_for"] == 0, "it waits only since this look"


def test_workers_are_missed_only_while_work_waits() -> None:
    seen = Seen()
    seen.see(0, 0.0, workers=0)
    assert seen.see(0, 0.0, workers=0, after=3000.0)["no_workers_for"] == 0
    assert seen.see(1, 5.0, workers=0)["no_workers_for"] == 10
    assert seen.see(1, 15.0, workers=0)["no_workers_for"] == 20
    assert seen.see(1, 25.0, workers=1)["no_workers_for"] == 0
    assert "no_workers_for" not in seen.see(1, 35.0), "who cannot count them does not miss them"


def test_looks_in_quick_succession_lose_nothing() -> None:
    seen = Seen()
    seen.see(10, 1.0, completed=0.0)
    for _ in range(9):
        assert seen.see(10, 1.0, completed=30.0, after=0.1).get("drain_rate") is None
    assert seen.see(10, 1.0, completed=50.0, after=9.1)["drain_rate"] == pytest.approx(5.0)


@pytest.mark.parametrize("step", [7200.0, -600.0])
def test_after_a_long_gap_or_a_clock_set_back_everything_begins_anew(step: float) -> None:
    seen = Seen()
    for turn in range(10):
        seen.see(5, 10.0 * turn, workers=0, completed=1.0)
    figures = seen.see(5, 100.0, workers=0, completed=1.0, after=step)
    assert figures == {"stalled_for": 0.0, "no_workers_for": 0.0}
    assert seen.see(5, 110.0, workers=0, completed=1.0)["stalled_for"] == 10


def test_time_that_the_agent_did_not_see_is_no_standstill_and_no_lack_of_workers() -> None:
    seen = Seen()
    for turn in range(3):
        seen.see(5, 2.0, workers=2, completed=float(turn))
    for _ in range(2):
        figures = seen.see(5, None, workers=0, completed=2.0)
    assert figures["no_workers_for"] == figures["stalled_for"] == 20
    figures = seen.see(5, None, workers=0, completed=2.0, after=3000.0)
    assert figures["no_workers_for"] == figures["stalled_for"] == 20, "the agent was off, or its clock was set"
    figures = seen.see(5, None, workers=0, completed=2.0)
    assert figures["no_workers_for"] == figures["stalled_for"] == 30, "and goes on from there"


def test_looks_that_are_far_apart_by_plan_see_what_lasts() -> None:
    seen = Seen(every=600.0)
    for turn in range(3):
        figures = seen.see(5, None, workers=0, completed=2.0)
        assert figures["no_workers_for"] == figures["stalled_for"] == 600.0 * turn


def test_a_spoilt_memory_harms_nobody() -> None:
    seen = Seen()
    seen.memory.update(at="x", depth="y", lag="z", completed="!", seconds="?", moved_at="-", manned_at="-")
    seen.see(5, 1.0, completed=1.0, workers=0)
    assert seen.see(5, 11.0, completed=2.0, workers=0)["drain_rate"] == pytest.approx(0.1)
