"""Windows that recur, over a year: what may be written does not hang on the day, and no clock makes a hole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitor.config.maintenance import must_leave_gaps
from monitor.core.maintenance import Scope, Window
from probes._passive.schedule import cron
from probes.contract import BadField

BERLIN = "Europe/Berlin"
DAYS = [datetime(2027, month, 20, 12, tzinfo=UTC).timestamp() for month in (1, 2, 3, 6, 9, 10)]


def allowed(expression: str, hours: float) -> set[bool]:
    """Whether it may be written, on any day."""
    found = set()
    for near in DAYS:
        try:
            must_leave_gaps(cron(expression, BERLIN, near), timedelta(hours=hours), near)
        except BadField:
            found.add(False)
        else:
            found.add(True)
    return found


@pytest.mark.parametrize(
    ("expression", "hours", "may"),
    [
        ("0 2 * * *", 23.5, True),
        ("0 2 * * *", 24, False),
        ("0 0 * * mon-fri", 24, True),
        ("0 3 * * sun", 167, True),
        ("0 3 * * sun", 168, False),
        ("0 0 1 * *", 30 * 24, True),
        ("0 0 1 * *", 31 * 24, False),
        ("30 * * * *", 0.9, True),
        ("30 * * * *", 1, False),
        ("0 0 1 1 *", 360 * 24, True),
        ("0 0 1 1 *", 366 * 24, False),
    ],
)
def test_what_is_right_in_winter_is_right_in_summer(expression: str, hours: float, may: bool) -> None:
    assert allowed(expression, hours) == {may}


def held(window: Window, begin: str, minutes: int, step: int = 1) -> list[bool]:
    begun = datetime.fromisoformat(begin).timestamp()
    times = [begun + 60 * minute for minute in range(0, minutes, step)]
    spans = [window.span(at) for at in times]
    return [span is not None and span.holds(at) for at, span in zip(times, spans, strict=True)]


def test_runs_that_come_closer_in_spring_leave_no_hole() -> None:
    """On the next morning one begins half an hour before the other has ended."""
    near = DAYS[0]
    window = Window("w", Scope(("home",)), schedule=cron("0 2 * * *", BERLIN, near), lasts=23.5 * 3600)
    assert held(window, "2027-03-28T00:00Z", 90) == [True] * 30 + [False] * 30 + [True] * 30
    assert all(held(window, "2027-03-28T23:30Z", 120))
    assert held(window, "2027-03-30T00:00+02:00", 150) == [True] * 90 + [False] * 30 + [True] * 30


def test_days_that_follow_one_another_are_one_window() -> None:
    window = Window("w", Scope(("home",)), schedule=cron("0 0 * * mon-fri", BERLIN, DAYS[0]), lasts=86400.0)
    assert all(held(window, "2027-10-25T00:00+02:00", 5 * 1440, step=20))
    assert not any(held(window, "2027-10-30T00:00+02:00", 1440, step=20))
