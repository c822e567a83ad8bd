"""When a ping is due: spans, cron expressions, time zones, and the hours that clocks skip or repeat."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from probes._passive.schedule import Every, cron, span
from probes.heartbeat import Heartbeat
from tests.probes.passive_life import TOKEN, Life, utc

# Europe/Berlin: on 2026-03-29 the clocks go from 02:00 to 03:00, on 2026-10-25 from 03:00 back to 02:00.
BERLIN = "Europe/Berlin"


def runs(expression: str, start: str, count: int, zone: str = BERLIN) -> list[str]:
    """The next times in UTC."""
    plan, at, found = cron(expression, zone, 0.0), utc(start), []
    for _ in range(count):
        at = plan.after(at)
        found.append(datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M"))
    return found


def test_a_time_that_is_skipped_is_due_when_the_clocks_go_on() -> None:
    assert runs("30 2 * * *", "2026-03-27T12:00", 3) == ["03-28 01:30", "03-29 01:00", "03-30 00:30"]


def test_a_time_that_comes_twice_is_due_once() -> None:
    assert runs("30 2 * * *", "2026-10-24T12:00", 3) == ["10-25 00:30", "10-26 01:30", "10-27 01:30"]


@pytest.mark.parametrize("asked", ["2026-10-25T00:31", "2026-10-25T01:10", "2026-10-25T01:31"])
def test_asked_within_the_hour_that_comes_twice(asked: str) -> None:
    """01:10 UTC is 02:10 for the second time: by the hands of the clock 02:30 is still to come."""
    assert runs("30 2 * * *", asked, 1) == ["10-26 01:30"]


def test_what_is_due_all_the_time_goes_on_through_both() -> None:
    assert runs("*/30 * * * *", "2026-03-29T00:40", 3) == ["03-29 01:00", "03-29 01:30", "03-29 02:00"]
    assert runs("*/30 * * * *", "2026-10-25T00:10", 4) == ["10-25 00:30", "10-25 01:00", "10-25 01:30", "10-25 02:00"]


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("0 3 * * *", "03-03 03:00"),
        ("*/15 9-17 * * MON-FRI", "03-02 12:15"),
        ("0 0 1 * *", "04-01 00:00"),
        ("0 0 L * *", "03-31 00:00"),
        ("0 0 * * SUN#2", "03-08 00:00"),
        ("0 12 29 2 *", "02-29 12:00"),
    ],
)
def test_expressions(expression: str, due: str) -> None:
    assert runs(expression, "2026-03-02T12:00", 1, "UTC") == [due]


@pytest.mark.parametrize("day", range(0, 400, 7))
def test_every_time_lies_ahead_and_is_due_within_a_day_and_an_hour(day: int) -> None:
    plan = cron("30 2 * * *", BERLIN, 0.0)
    at = utc("2026-01-01T00:17") + day * 86400
    for _ in range(30):
        following = plan.after(at)
        assert 0 < following - at <= 25 * 3600
        at = following - 1 if at < following - 1 else following


def test_a_ping_a_little_early_is_that_of_the_coming_run() -> None:
    nightly, minutely = cron("0 3 * * *", "UTC", 0.0), cron("* * * * *", "UTC", 0.0)
    assert nightly.answered(utc("2026-03-02T02:59:40")) == utc("2026-03-03T03:00")
    assert nightly.answered(utc("2026-03-02T02:59:20")) == utc("2026-03-02T03:00")
    assert minutely.answered(utc("2026-03-02T03:00:40")) == utc("2026-03-02T03:01")
    assert minutely.answered(utc("2026-03-02T03:00:50")) == utc("2026-03-02T03:02")
    assert Every(60.0, 10.0).answered(100.0) == 160.0


def test_spans_for_people() -> None:
    assert [span(seconds) for seconds in (0, 0.5, 45, 90, 3600, 90_000)] == [
        "0s",
        "0.5s",
        "45s",
        "1m30s",
        "1h",
        "1d1h",
    ]


def nightly(schedule: str = "30 2 * * *") -> Heartbeat:
    return Heartbeat(token=TOKEN, schedule=schedule, timezone=BERLIN, grace=timedelta(minutes=20))


@pytest.mark.parametrize(
    ("start", "nights"),
    [
        ("2026-03-27T12:00", ["2026-03-28T01:32", "2026-03-29T01:02", "2026-03-30T00:32"]),
        ("2026-10-23T12:00", ["2026-10-24T00:32", "2026-10-25T00:32", "2026-10-26T01:32"]),
        # Where cron runs the job the second time that it is 02:30, it is late, and missing: Debian's does not.
    ],
)
def test_nights_when_the_clocks_change_alarm_nobody(start: str, nights: list[str]) -> None:
    life = Life(nightly(), start)
    for night in nights:
        life.live_until(night)
        life.send()
    life.live(12 * 3600)
    assert life.told == [(0, "up")]


def test_a_missed_night_is_told_after_the_time_of_the_zone() -> None:
    life = Life(nightly(), "2026-03-28T12:00")
    life.live_until("2026-03-29T01:09:30+00:00")
    assert life.told == [(0, "up")]
    life.live_until("2026-03-29T01:25:00+00:00")
    noon = 13 * 3600
    assert life.told[1:] == [
        (pytest.approx(noon + 600, abs=3), "degraded"),
        (pytest.approx(noon + 1200, abs=3), "down"),
    ]
    life.send()
    life.live(3)
    assert life.state == "up", "a job that comes late ends its trouble at once"
    life.live_until("2026-03-30T00:35")
    assert life.figures["overdue"] > 0, "and the next night is the next night"
