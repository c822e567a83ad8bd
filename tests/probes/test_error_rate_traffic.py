"""When silence is a finding: simulated weeks, a look each 15 seconds or minute, no clock but the test's."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from probes.error_rate._counts import Counts
from probes.error_rate._traffic import Habit, Traffic
from probes.error_rate.source import Tally

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
MONDAY = 4 * DAY
"""A Monday, midnight UTC: Unix time began on a Thursday."""

Rate = Callable[[float], float]


class Service:
    """Requests a second at a time of the week, come by chance; `see` goes through time and tells each finding."""

    def __init__(self, rate: Rate, habit: Habit = Habit.LEARNED, start: float = MONDAY) -> None:
        self.rate = rate
        self.memory: dict[str, float | str] = {}
        self.now = start
        self._habit = habit
        self._random = random.Random(1)

    def see(self, seconds: float, *, silent: bool = False, step: float = MINUTE) -> list[float]:
        """Go on for so long; what `stopped_for` was whenever it was not 0."""
        told = []
        end = self.now + seconds
        while self.now < end:
            self.now += step
            due = 0.0 if silent else self.rate(self.now) * step
            traffic = Traffic(self.memory, self._habit)
            traffic.see(self.now, self._poisson(due), step)
            if traffic.stopped_for:
                told.append(traffic.stopped_for)
        return told

    def _poisson(self, due: float) -> float:
        if due > 30:
            return float(round(self._random.gauss(due, due**0.5)))
        count, product = 0, self._random.random()
        while product > math.exp(-due):
            count, product = count + 1, product * self._random.random()
        return float(count)


def steady(rate: float) -> Rate:
    return lambda now: rate


def _hour(now: float) -> float:
    return now % DAY / HOUR


def _weekend(now: float) -> bool:
    return (now - MONDAY) % (7 * DAY) >= 5 * DAY


def by_day(now: float) -> float:
    """An office's tool: 2 requests a second from 8:00 to 18:20, on working days."""
    return 2.0 if 8 <= _hour(now) < 18 + 1 / 3 and not _weekend(now) else 0.0


def test_nothing_is_told_in_the_first_day() -> None:
    service = Service(steady(10.0))
    assert service.see(20 * HOUR) == []
    assert service.see(2 * HOUR, silent=True) == []


def test_a_busy_service_that_stops_is_told_within_a_minute() -> None:
    service = Service(steady(10.0))
    service.see(2 * DAY)
    told = service.see(5 * MINUTE, silent=True, step=15.0)
    assert told[0] <= 30
    assert told[-1] == pytest.approx(5 * MINUTE)
    assert service.see(MINUTE) == []


def test_a_service_of_few_requests_takes_longer() -> None:
    service = Service(steady(0.2))
    service.see(2 * DAY)
    told = service.see(30 * MINUTE, silent=True)
    assert 100 < told[0] < 10 * MINUTE


def test_a_service_of_hardly_any_requests_is_never_told() -> None:
    service = Service(steady(0.002))
    assert service.see(9 * DAY) == []
    assert service.see(5 * HOUR, silent=True) == []


def test_nights_and_weekends_that_are_silent_by_habit_are_never_told() -> None:
    service = Service(by_day)
    assert service.see(28 * DAY, step=5 * MINUTE) == []


def test_the_same_silence_by_day_is_told() -> None:
    service = Service(by_day)
    service.see(8 * DAY + 12 * HOUR, step=2 * MINUTE)  # Tuesday noon
    assert service.see(10 * MINUTE, silent=True)[-1] == pytest.approx(10 * MINUTE)


def test_a_silence_that_was_a_finding_does_not_become_a_habit() -> None:
    service = Service(steady(10.0))
    service.see(8 * DAY)
    assert service.see(3 * HOUR, silent=True)
    assert service.see(DAY) == []
    service.see(6 * DAY - 3 * HOUR)
    assert service.see(HOUR, silent=True)  # the same hour, a week later


def test_a_silence_of_a_whole_day_is_the_new_habit() -> None:
    service = Service(steady(10.0))
    service.see(3 * DAY)
    told = service.see(3 * DAY, silent=True)
    assert max(told) <= DAY
    assert service.see(DAY, silent=True) == []


def test_a_steady_service_needs_ten_minutes_and_no_habits() -> None:
    service = Service(steady(10.0), Habit.STEADY)
    assert service.see(5 * MINUTE, step=15.0) == []
    assert service.see(MINUTE, silent=True, step=15.0) == []
    service.see(10 * MINUTE, step=15.0)
    assert service.see(MINUTE, silent=True, step=15.0)[0] == 15.0
    slow = Service(steady(0.01), Habit.STEADY)
    assert slow.see(7 * DAY) == []


def test_what_is_kept_is_small() -> None:
    service = Service(steady(12345.678))
    service.see(8 * DAY)
    assert sum(len(name) + len(str(value)) for name, value in service.memory.items()) < 2500


# --- what windows get -------------------------------------------------------------------------------------------


def _take(memory: dict[str, float | str], total: float, seconds: float, *, scheduled: bool = True) -> Tally | None:
    return Counts(memory).take(Tally(total, total / 10, seconds), scheduled=scheduled)


def test_what_extra_looks_count_is_the_next_scheduled_looks_as_well() -> None:
    memory: dict[str, float | str] = {}
    assert _take(memory, 100, 15) == Tally(100, 10, 15)
    assert _take(memory, 50, 1, scheduled=False) == Tally(50, 5, 1)
    assert _take(memory, 10, 1, scheduled=False) == Tally(60, 6, 2)
    assert _take(memory, 40, 13) == Tally(100, 10, 15)
    assert _take(memory, 40, 15) == Tally(40, 4, 15)


def test_what_has_piled_up_while_nobody_looked_is_not_told_as_if_it_were_now() -> None:
    memory: dict[str, float | str] = {}
    assert _take(memory, 100, 15) is not None
    assert _take(memory, 1e6, 4000) is None
    assert _take(memory, 100, 15) is not None


def test_a_check_that_looks_seldom_is_used_to_long_spans() -> None:
    memory: dict[str, float | str] = {}
    assert _take(memory, 100, 7200) is None
    assert _take(memory, 100, 7200) is not None
