"""When a disk will be full: told for what fills it, and for nothing else. Hours pass on a clock of the test's own."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from monitor.config.kinds import default_conditions
from monitor.core.judge import Judge
from monitor.core.model import Look
from probes._system.forecast import NOT_IN_SIGHT, forecast
from probes._system.mounts import Space, Watchers
from probes.contract import Context
from probes.host import Host
from tests.core.builders import check, moment

GB = 10**9
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
START = 1_700_000_000.0
Level = Callable[[float], float]
"""Bytes in use, so many seconds after the start."""


def _space(used: float, size: float = 100 * GB) -> Space:
    left = max(0, int(size - used))
    return Space(total=int(size), free=left, available=left, inodes=0, inodes_free=0)


def _run(used: Level, lasting: float, every: float = 30.0) -> list[tuple[float, float]]:
    """What was forecast, by second; every look of `lasting` seconds."""
    memory: dict[str, float | str] = {}
    found = []
    at = 0.0
    while at <= lasting:
        told = forecast({"/": _space(used(at))}, memory, START + at)
        if told is not None:
            found.append((at, told[0]))
        at += every
    return found


def _least(found: list[tuple[float, float]]) -> float:
    return min(seconds for _, seconds in found)


def test_a_log_that_has_gone_wild_is_told_within_minutes() -> None:
    """Half full and calm for a day, then a GB a minute: 50 minutes are left, and 40 of them are given notice."""
    found = _run(lambda at: 50 * GB + max(0.0, at - DAY) / MINUTE * GB, DAY + 30 * MINUTE)
    assert all(seconds == NOT_IN_SIGHT for at, seconds in found if at < DAY)
    first = next(at - DAY for at, seconds in found if seconds < 4 * HOUR)
    assert first <= 15 * MINUTE
    assert found[-1][1] == pytest.approx(20 * MINUTE, rel=0.1)


def test_a_steady_growth_is_told_hours_ahead() -> None:
    found = _run(lambda at: 50 * GB + at / HOUR * 2.5 * GB, 17 * HOUR)
    assert found[-1][1] == pytest.approx(3 * HOUR, rel=0.05)
    assert next(at for at, seconds in found if seconds < 4 * HOUR) == pytest.approx(16 * HOUR, abs=20 * MINUTE)


def test_growth_is_seen_through_noise() -> None:
    chance = random.Random(1)
    found = _run(lambda at: 50 * GB + at / HOUR * 2.5 * GB + chance.gauss(0, 0.2 * GB), 17 * HOUR)
    assert found[-1][1] == pytest.approx(3 * HOUR, rel=0.25)


@pytest.mark.parametrize(
    ("what", "used"),
    [
        ("nothing happens", lambda at: 97 * GB),
        ("noise", lambda at: 90 * GB + random.Random(at).gauss(0, 0.5 * GB)),
        ("a shrinking disk", lambda at: 95 * GB - at / DAY * GB),
        ("rotation every hour", lambda at: 85 * GB + at % HOUR / HOUR * 10 * GB),
        ("rotation every ten minutes", lambda at: 85 * GB + at % (10 * MINUTE) / (10 * MINUTE) * 10 * GB),
        ("rotation every six hours", lambda at: 80 * GB + at % (6 * HOUR) / (6 * HOUR) * 15 * GB),
        ("day and night", lambda at: 80 * GB + 10 * GB * math.sin(at / DAY * 2 * math.pi)),
        ("a large file comes and goes", lambda at: 60 * GB + (30 * GB if at % (5 * HOUR) < HOUR else 0)),
        ("a slow growth", lambda at: 50 * GB + at / DAY * GB),
    ],
)  # fmt: skip
def test_what_must_not_page(what: str, used: Level) -> None:
    found = _run(used, 1.5 * DAY, every=60.0)
    after = [(at, seconds) for at, seconds in found if at > 6.1 * HOUR]
    assert _least(after) > 4 * HOUR, what


def test_a_daily_rotation_is_known_from_the_second_day_on() -> None:
    """From 80 to 97 GB within a day, and back at midnight."""
    found = _run(lambda at: 80 * GB + at % DAY / DAY * 17 * GB, 2.5 * DAY, every=60.0)
    assert _least([(at, seconds) for at, seconds in found if at > DAY]) > 4 * HOUR
    higher = _run(
        lambda at: 80 * GB + (at % DAY if at < 2 * DAY else at - 2 * DAY) / DAY * 17 * GB, 3.1 * DAY, every=60.0
    )
    assert higher[-1][1] < 4 * HOUR, "a night without rotation: fuller than ever"


def test_after_a_clean_up_it_is_not_in_sight() -> None:
    found = _run(lambda at: 50 * GB + (at / HOUR * 2.5 * GB if at < 17 * HOUR else 0), 18 * HOUR)
    assert next(seconds for at, seconds in found if at >= 17 * HOUR + 2 * MINUTE) == NOT_IN_SIGHT


def test_a_larger_disk_and_a_clock_that_went_back_begin_anew() -> None:
    memory: dict[str, float | str] = {}
    for minute in range(30):
        told = forecast({"/": _space(90 * GB + minute * GB / 10)}, memory, START + minute * MINUTE)
    assert told is not None
    assert told[0] < 4 * HOUR
    told = forecast({"/": _space(93 * GB, 200 * GB)}, memory, START + 31 * MINUTE)
    assert told is None, "a disk that has grown has no past"
    assert forecast({"/": _space(93 * GB, 200 * GB)}, memory, START - DAY) is None
    assert forecast({}, memory, START) is None


def test_it_stays_small_and_quick() -> None:
    memory: dict[str, float | str] = {}
    began = time.process_time()
    for minute in range(300):
        spaces = {f"/srv/{number}": _space((50 + number) * GB + minute * GB / 60) for number in range(20)}
        forecast(spaces, memory, START + minute * MINUTE)
    spent = (time.process_time() - began) / 300
    text = str(memory["fill"])
    assert len(json.loads(text)) == 6
    assert len(text) < 12_000
    print(f"{spent * 1000:.2f} ms a minute for six disks, {len(text)} characters")
    assert spent < 0.2  # seconds of CPU; a few milliseconds where nothing else runs


async def test_from_up_to_degraded_and_back(context: Context) -> None:
    """The whole way: a log goes wild and is removed. Nothing else of this machine counts here."""
    at = 0.0

    class Filling:
        def space(self, path: str) -> Space:
            return _space(50 * GB + (max(0.0, at - HOUR) / MINUTE * GB if at < 1.4 * HOUR else 0))

    host = Host(disks=("/",), _watchers=Watchers(Filling()), _clock=lambda: START + at)
    conditions = [each for each in default_conditions(Host) if each.measurement == "disk_full_in"]
    judge = Judge(check("disk", *conditions, every=timedelta(seconds=60)), None, moment(0))
    states: list[tuple[str, float]] = []
    while at < 2 * HOUR:
        seen = await host.look(context)
        judge.observe(Look("disk", seen, moment(at), moment(at + 0.1), limit=10, scheduled=True))
        if not states or states[-1][0] != judge.state.value:
            states.append((judge.state.value, at / MINUTE))
        if judge.state.value == "degraded" and "disk_full_in" in seen.evidence:
            assert seen.evidence["disk_full_in"].startswith("/ (")
        at += MINUTE
    assert [state for state, _ in states] == ["up", "degraded", "up"]
    assert 60 < states[1][1] < 76, "told within a quarter of an hour"
    assert 84 <= states[2][1] < 90
