"""Figures that are where they have not been."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import ClassVar

from monitor.core.condition import Condition
from monitor.core.history import LONG, Figures, Point
from monitor.core.model import State
from monitor.core.novelty import FINDINGS_LIMIT, Finding, findings
from probes.contract import Measurement, Unit
from tests.core.builders import START, Still, above, check

Shape = Callable[[int], float]
NOISE = [Random(4).uniform(-5, 5) for _ in range(28 * 24)]


@dataclass(frozen=True, slots=True)
class Jobs(Still):
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("response_time", Unit.SECONDS, ""),
        Measurement("queue_depth", Unit.COUNT, ""),
        *(Measurement(f"m{number}", Unit.COUNT, "") for number in range(20)),
    )


def points(shape: Shape, hours: Iterable[int], name: str = "queue_depth") -> list[Point]:
    return [
        Point(START + hour * LONG, LONG, 60, 0, {State.UP: 3600.0}, {name: figures(shape(hour))}) for hour in hours
    ]


def figures(mean: float) -> Figures:
    return Figures(60, mean - 1, mean, mean + 1, mean, mean, mean)


def found(
    shape: Shape, hours: int = 300, name: str = "queue_depth", *conditions: Condition, usual: str | None = None
) -> list[Finding]:
    past = points(shape, range(hours), name)
    return findings(past, check("jobs", *conditions, probe=Jobs(), usual=usual), past[-1].at + LONG)


def steady(hour: int) -> float:
    return 100 + NOISE[hour]


def test_what_is_as_ever_is_not_told() -> None:
    assert found(steady) == []
    assert found(lambda hour: 7.0) == []
    assert found(lambda hour: 100 + 60 * math.sin(hour / 24 * math.tau) + NOISE[hour], 600) == []


def test_what_is_higher_than_ever() -> None:
    [finding] = found(lambda hour: 420 if hour == 299 else steady(hour))
    assert (finding.measurement, finding.unit, finding.value) == ("queue_depth", Unit.COUNT, 421)
    assert 93 < finding.low < finding.high < 107
    assert finding.since == START + 299 * LONG
    assert finding.why.startswith("queue depth 421; in 12 d 11 h it was between 9")


def test_what_is_lower_than_ever() -> None:
    [finding] = found(lambda hour: 20 if hour >= 298 else steady(hour))
    assert (finding.value, finding.since) == (19, START + 298 * LONG)


def test_what_stays_is_novel_no_longer() -> None:
    assert found(lambda hour: 420 if hour >= 240 else steady(hour)) == []


def test_what_comes_at_another_hour_of_the_week() -> None:
    def busy(hour: int, quiet: int) -> float:
        return 100 + NOISE[hour] + (200 if 9 <= hour % 24 < 17 and hour != quiet else 0)

    assert found(lambda hour: busy(hour, -1), 27 * 24) == []
    [finding] = found(lambda hour: busy(hour, 27 * 24 - 12), 27 * 24 - 11)
    assert "at this hour of the weeks before" in finding.why
    assert finding.value < -150


def test_what_is_known_too_shortly_or_is_long_past_or_has_a_threshold_is_not_told() -> None:
    def jump(hour: int) -> float:
        return 420 if hour == 299 else steady(hour)

    assert found(lambda hour: 420 if hour == 20 else steady(hour), 21) == []
    past = points(jump, range(300))
    assert findings(past, check("jobs", probe=Jobs()), past[-1].at + timedelta(hours=5)) == []
    assert findings([], check("jobs", probe=Jobs()), START) == []
    assert found(jump, 300, "queue_depth", above(3, measurement="queue_depth", unit=Unit.COUNT)) == []
    assert found(jump, 300, "response_time", usual="response_time") == []
    assert len(found(jump, 300, "response_time")) == 1


def test_not_more_is_told_than_a_person_reads() -> None:
    def all_of(hour: int) -> dict[str, Figures]:
        return {f"m{number}": figures(steady(hour) if hour < 299 else 400 + number) for number in range(20)}

    past = [Point(START + hour * LONG, LONG, 60, 0, {}, all_of(hour)) for hour in range(300)]
    told = findings(past, check("jobs", probe=Jobs()), past[-1].at)
    assert len(told) == FINDINGS_LIMIT
    assert told[0].measurement == "m19"
