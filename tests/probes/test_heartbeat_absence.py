"""Nobody was there to hear: restarts, pauses and clocks that are set make no false alarm, and hide no dead job."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from probes.heartbeat import Heartbeat
from tests.probes.passive_life import TOKEN, Life

HOUR, MINUTE = 3600.0, 60.0


def hourly(every: float = 30.0) -> Life:
    """A job that pings at each full hour; it is 12:00 and it has pinged."""
    life = Life(Heartbeat(token=TOKEN, period=timedelta(hours=1), grace=timedelta(minutes=10)), every=every)
    life.send()
    return life


def nightly(start: str = "2026-03-02T04:00") -> Life:
    life = Life(Heartbeat(token=TOKEN, schedule="0 3 * * *", grace=timedelta(minutes=10)), start)
    life.send()
    return life


def states(life: Life) -> list[str]:
    return [state for _, state in life.told]


@pytest.mark.parametrize("off", [20.0, 15 * MINUTE, 2.5 * HOUR, 3 * 24 * HOUR])
@pytest.mark.parametrize("how", ["killed", "paused", "rebooted"])
def test_a_ping_that_was_due_while_nobody_was_there_is_no_alarm_and_a_dead_job_is_found(off: float, how: str) -> None:
    life = hourly()
    life.live(HOUR - 10)
    getattr(life, how)(off)
    back = life.up - life.epoch if how != "rebooted" else HOUR - 10 + off
    assert "not_listening" in life.seen.evidence
    assert "missing_for" not in life.seen.measurements, "nobody knows"
    life.live(HOUR - 60)
    assert states(life) == ["up"]
    life.live(MINUTE * 6 + 10)
    assert life.told[1] == (pytest.approx(back + HOUR + 5 * MINUTE, abs=35), "degraded")
    life.live(MINUTE * 6)
    assert life.told[2] == (pytest.approx(back + HOUR + 10 * MINUTE, abs=35), "down")


def test_a_job_that_goes_on_after_the_restart_is_up_throughout() -> None:
    life = hourly()
    life.live(HOUR - 5)
    life.killed(10)
    for _ in range(5):
        life.live(HOUR - 10)
        life.send()
        assert life.figures["overdue"] == 0
        assert "not_listening" not in life.seen.evidence
        life.live(10)
    assert states(life) == ["up"]


def test_a_restart_when_nothing_was_due_delays_nothing() -> None:
    life = hourly()
    life.live(10 * MINUTE)
    life.killed(30)
    life.live(HOUR)
    assert life.told[1:2] == [(pytest.approx(HOUR + 5 * MINUTE, abs=3), "degraded")]


@pytest.mark.parametrize("between", [24 * MINUTE, 45 * MINUTE, 75 * MINUTE])
def test_restarts_again_and_again_do_not_hide_a_dead_job(between: float) -> None:
    life = hourly()
    for _ in range(6):
        life.live(between)
        life.killed(2)
    assert "down" in states(life)


def test_what_was_down_stays_down_over_a_restart_until_a_ping_comes() -> None:
    life = hourly()
    life.live(HOUR + 15 * MINUTE)
    assert states(life)[-1] == "down"
    life.killed(3 * HOUR)
    life.live(30 * MINUTE)
    assert life.state == "down"
    assert states(life)[-1] == "down"
    life.send()
    life.live(3)
    assert life.state == "up"


def test_what_was_late_is_neither_cleared_nor_raised_by_a_restart() -> None:
    life = hourly()
    life.live(HOUR + 7 * MINUTE)
    assert life.state == "degraded"
    life.killed(30)
    life.live(30 * MINUTE)
    assert states(life) == ["up", "degraded"], "the ping may have come meanwhile, or not"
    life.live(50 * MINUTE)
    assert states(life) == ["up", "degraded", "down"]


def test_a_failure_is_remembered_over_a_kill() -> None:
    life = hourly()
    life.send("7", b"out of memory")
    life.live(3)
    life.killed(60)
    life.live(60)
    assert life.state == "down"
    assert life.figures["exit_code"] == 7
    assert life.seen.evidence["said"] == "out of memory"


def test_a_night_that_was_slept_through_waits_for_the_next() -> None:
    life = nightly()
    life.live_until("2026-03-03T02:00")
    life.paused(2 * HOUR)
    life.live(20 * HOUR)
    assert states(life) == ["up"]
    life.live_until("2026-03-04T03:11")
    assert states(life) == ["up", "degraded", "down"]


def test_a_restart_just_before_the_time_does_not_excuse_it() -> None:
    life = nightly()
    life.live_until("2026-03-03T02:59:50")
    life.killed(5)
    life.live(15 * MINUTE)
    assert states(life) == ["up", "degraded", "down"]


def test_the_end_of_a_run_may_have_been_missed() -> None:
    life = Life(
        Heartbeat(
            token=TOKEN, period=timedelta(hours=6), max_runtime=timedelta(minutes=30), grace=timedelta(minutes=5)
        )
    )
    life.send("start")
    life.live(25 * MINUTE)
    life.killed(3 * MINUTE)
    life.live(2 * HOUR)
    assert life.figures["overrun_for"] == 0
    assert states(life) == ["up"]
    life.send()
    assert life.figures["run_time"] == pytest.approx(148 * MINUTE, abs=1)


# --- clocks that are set ---


@pytest.mark.parametrize("step", [-400 * 24 * HOUR, -HOUR, -30.0, 30.0, HOUR, 400 * 24 * HOUR])
@pytest.mark.parametrize("when", [0.0, 30 * MINUTE, HOUR - 5])
def test_a_clock_that_is_set_makes_no_hourly_job_late(step: float, when: float) -> None:
    life = hourly()
    life.live(when)
    life.set_clock(step)
    life.live(HOUR - when)
    life.send()
    life.live(HOUR - 1)
    assert states(life) == ["up"]
    assert life.figures["last_ping_age"] == pytest.approx(HOUR - 1, abs=1)
    life.live(12 * MINUTE)
    assert life.told[1:] == [
        (pytest.approx(2 * HOUR + 5 * MINUTE, abs=3), "degraded"),
        (pytest.approx(2 * HOUR + 10 * MINUTE, abs=3), "down"),
    ]


def test_the_ping_comes_first_after_the_clock_was_set() -> None:
    life = hourly()
    life.send("start")
    life.live(20)
    life.set_clock(7 * HOUR)
    life.send()
    assert life.figures["run_time"] == pytest.approx(20, abs=1)
    assert life.figures["overdue"] == 0


@pytest.mark.parametrize(("step", "at"), [(2 * HOUR, "2026-03-03T02:00"), (-2 * HOUR, "2026-03-03T04:00")])
def test_a_time_that_the_clock_skips_or_repeats(step: float, at: str) -> None:
    life = nightly()
    life.live_until("2026-03-03T02:00")
    if step < 0:
        life.live_until("2026-03-03T03:01")
        life.send()
        life.live_until(at)
    life.set_clock(step)
    life.live(20 * HOUR)
    assert states(life) == ["up"]
    life.live(7 * HOUR)
    assert states(life) == ["up", "degraded", "down"]


def test_a_machine_that_comes_up_with_a_wrong_clock() -> None:
    life = nightly()
    life.live(HOUR)
    life.rebooted(60, clock=-3650 * 24 * HOUR)
    life.live(20)
    life.set_clock(3650 * 24 * HOUR)
    life.live_until("2026-03-03T03:01")
    assert states(life) == ["up"]
    life.send()
    life.live_until("2026-03-04T03:11")
    assert states(life) == ["up", "degraded", "down"]


def test_a_machine_that_boots_again_and_again_is_not_taken_for_a_clock_that_was_set() -> None:
    """Each boot looks like the one before: the same uptime, another time."""
    life = hourly(every=300.0)
    life.live(HOUR / 2)
    life.rebooted(6)
    life.live(200)
    life.rebooted(3 * HOUR)
    life.live(HOUR)
    assert states(life) == ["up"]
    life.live(20 * MINUTE)
    assert states(life) == ["up", "degraded", "down"]


def test_a_clock_that_was_far_ahead_does_not_put_off_the_alarm_for_a_year() -> None:
    life = nightly("2027-03-02T04:00")
    life.set_clock(-365 * 24 * HOUR)
    life.live(48 * HOUR)
    assert states(life) == ["up", "degraded", "down"]


def following(kind: str, at: float, chance: random.Random) -> float:
    """When a job pings after `at`: by the clock, by cron, or always so long after the last time; a bit unevenly."""
    late = chance.uniform(0, 4 * MINUTE)
    return at + HOUR + late if kind == "drifting" else (at // HOUR + 1) * HOUR + late


@pytest.mark.parametrize("kind", ["punctual", "drifting", "cron"])
@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_a_job_that_pings_is_never_late(kind: str, seed: int) -> None:
    """Kills, pauses, reboots and clock steps at random; the job pings on time, whether anybody is there or not."""
    chance = random.Random(f"{kind} {seed}")
    plan = {"schedule": "0 * * * *"} if kind == "cron" else {"period": timedelta(hours=1)}
    life = Life(Heartbeat(token=TOKEN, grace=timedelta(minutes=10), **plan), every=300.0)  # type: ignore[arg-type]
    life.send()
    passed, due = 0.0, following(kind, 0.0, chance)
    while passed < 48 * HOUR:
        ends = passed + chance.uniform(1, 90 * MINUTE)
        while due <= ends:
            life.live(due - passed)
            life.send()
            passed, due = due, following(kind, due, chance)
        life.live(ends - passed)
        if kind != "cron" and chance.random() < 0.3:
            life.set_clock(chance.choice([-2 * HOUR, -5, 5, 3 * HOUR]))
            life.live(1)
            ends += 1
        off = chance.choice([1.0, 6.0, 5 * MINUTE, 3 * HOUR])
        getattr(life, chance.choice(["killed", "paused", "rebooted"]))(off)
        passed = ends + off
        while due <= passed:
            due = following(kind, due, chance)  # nobody heard it
    assert set(states(life)) == {"up"}
    life.live(3 * HOUR)
    assert states(life) == ["up", "degraded", "down"], "and once it is dead, that is found"


# --- connections that were turned away ---


@pytest.mark.parametrize("every", [2.0, 61.0, 601.0])
def test_a_flood_of_connections_excuses_one_ping_and_no_more(every: float) -> None:
    life = hourly()
    for _ in range(round(3 * HOUR / every)):
        life.live(every)
        life.turned_away()
    assert states(life) == ["up", "degraded", "down"]
    assert HOUR + 10 * MINUTE < life.told[-1][0] <= 2 * HOUR + 10 * MINUTE + every + 31


def test_a_ping_that_was_turned_away_is_no_alarm_each_time_anew_for_a_job_that_pings() -> None:
    life = hourly()
    for _ in range(3):
        life.live(HOUR)
        life.turned_away()  # its ping, and it is not sent again
        life.live(HOUR)
        life.send()
    assert states(life) == ["up"]


def test_a_gap_excuses_though_somebody_was_turned_away_before() -> None:
    life = hourly()
    life.live(HOUR)
    life.turned_away()
    life.live(HOUR)
    life.killed(20)
    life.live(HOUR - MINUTE)
    assert states(life) == ["up"]
