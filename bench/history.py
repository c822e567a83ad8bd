"""What the past weighs after a year, and how long its upkeep holds anything."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import time
from argparse import Namespace
from collections.abc import Awaitable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from bench._core import THREADS, kept_from, read
from bench._line import Figure, Line, percentile, run
from bench._many import multiply
from monitor.app import SWITCH_INTERVAL
from monitor.core.history import Retention
from monitor.core.model import State
from monitor.core.quantise import figure
from monitor.core.rows import Rows, mark_of, to_millis
from monitor.recorder import PAUSE
from monitor.store._files import HISTORY
from monitor.store._history import History
from monitor.store._history_file import LONG_POINTS, PAGE, RAW, SHORT_POINTS, connect
from monitor.store.sqlite import SqliteStore

RAW_LIMIT, WHOLE_LIMIT, PAUSE_LIMIT = 100.0, 250.0, 10.0
"""MB of raw samples and of all, and ms that upkeep may delay a look (the project's own goals)."""
UPKEEP = 3 * 3600.0
"""Seconds of looks that there are to be sealed, of some of the checks: more than there is time for."""
BEAT = 0.005
"""Seconds between two beats of the loop that is felt for."""
CHECKS = 1_000
EVERY = 15.0
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STRIDE = 600.0
"""Seconds of made-up time between two batches of the last days; an agent writes one every 15 s."""
DAY = 86_400.0
AS_LIVED = 3
"""Days at the end that are written as an agent does."""
_UP, _DOWN = (mark_of(state, scheduled=True, full=True) for state in (State.UP, State.DOWN))

T = TypeVar("T")


@dataclass(slots=True)
class Pauses:
    """In ms."""

    kept: list[float] = field(default_factory=list)
    """At each beat: what our threads kept the loop from its turn."""
    worst: dict[str, float] = field(default_factory=dict)
    """The longest of each kind of work."""

    async def of(self, what: str, work: Awaitable[T]) -> T:
        before = time.perf_counter()
        done = await work
        self.worst[what] = max(self.worst.get(what, 0.0), (time.perf_counter() - before) * 1000)
        return done


def measure(options: Namespace) -> Line:
    """A year of a few checks every 15 s, sealed by the store's own code; a file of 1,000 such checks; then the upkeep
    of that file, beside a loop that would take looks."""
    days, checks, tended, seconds = (5, 1, 32, 1.0) if options.quick else (400 + 30, 2, 320, 60.0)
    with TemporaryDirectory(prefix="brownout-bench-") as name:
        folder, raw, whole = _years(Path(name), checks, days)
        found = asyncio.run(_upkeep(folder, days, tended, seconds))
    return Line("history", _figures(raw, whole, found), f"{checks} checks for {days} days, as a file of {CHECKS:,}")


def _figures(raw: float, whole: float, found: dict[str, Pauses]) -> tuple[Figure, ...]:
    with_, without = found["with"], found["without"]
    return (
        Figure("raw", raw, "MB", RAW_LIMIT),
        Figure("in_all", whole, "MB", WHOLE_LIMIT),
        Figure("loop_kept_by_upkeep_p99", percentile(with_.kept, 99), "ms", PAUSE_LIMIT),
        Figure("without_p99", percentile(without.kept, 99), "ms"),
        Figure("worst", max(with_.kept), "ms"),
        Figure("without_worst", max(without.kept), "ms"),
        Figure("worst_slice", with_.worst["slice"], "ms"),
    )


# --- a year -------------------------------------------------------------------------------------------------------


def _year(folder: Path, number: int, days: int) -> list[tuple[float, float]]:
    """Bytes of raw samples and in all that one check comes to, every thirty days and at the end.

    Days are written and sealed at once, and their pages given back; the last `AS_LIVED` as an agent writes them, so
    that the file is at the end what it would be.
    """
    folder.mkdir()
    target, told = _Target(random.Random(100 + number), number), []
    with closing(connect(folder / HISTORY, timedelta(seconds=1))) as db:
        history = History(db, Retention())
        empty = _size(db)[1]
        second, end = 0.0, days * DAY
        while second < end:
            step = DAY if second < end - AS_LIVED * DAY else STRIDE
            rows = Rows[str]()
            target.fill(rows, second, second + step)
            second += step
            now = BEGAN + timedelta(seconds=second)
            history.record(rows, now)
            while history.tend(now):
                pass
            if step == DAY:
                db.executescript("PRAGMA incremental_vacuum")
            if second % (30 * DAY) == 0 or second == end:
                told.append(_size(db, empty))
                raw, whole = (size * CHECKS / 1e6 for size in told[-1])
                day = f"# check {number}, day {second / DAY:.0f}"
                print(f"{day}: raw {raw:.1f} MB, in all {whole:.1f} MB", file=sys.stderr, flush=True)
    return told


def _years(folder: Path, checks: int, days: int) -> tuple[Path, float, float]:
    """The history of `CHECKS` checks after all those days; MB of its raw samples, and in all."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        runs = [pool.submit(_year, folder / f"year {number}", number, days) for number in range(checks)]
        for run_ in runs:
            run_.result()
    whole = folder / "whole"
    whole.mkdir()
    raw, all_ = multiply([folder / f"year {number}" / HISTORY for number in range(checks)], whole / HISTORY, CHECKS)
    return whole, raw / 1e6, all_ / 1e6


class _Target:
    """A target with its own pace, noise, daily rhythm and accidents."""

    def __init__(self, random_: random.Random, number: int) -> None:
        self.name = f"check {number}"
        self._random = random_
        self._phase = random_.uniform(0, EVERY)
        self._median = random_.uniform(0.04, 0.4)
        self._noise = random_.uniform(0.15, 0.5)
        self._dynamic = number % 2 == 1

    def fill(self, rows: Rows[str], since: float, until: float) -> None:
        count = int(since / EVERY)
        while (due := count * EVERY + self._phase) < until:
            count += 1
            if due >= since:
                self._look(rows, due)

    def _well(self, due: float) -> bool:
        """A quarter of an hour of outage every ten days; other failures come alone, and change no state."""
        return (due + self._phase * 1e5) % 864_000 > 900

    def _look(self, rows: Rows[str], due: float) -> None:
        draw = self._random
        failed = draw.random() < 0.002 or not self._well(due)
        rush = 1.3 if 9 <= due / 3600 % 24 < 17 else 1.0
        seconds = draw.lognormvariate(0, self._noise) * self._median * rush
        began = int((due + draw.expovariate(1000)) * 10) * 100
        ended = max(int((due + seconds + 0.002) * 10) * 100, began)
        names = ("certificate_expires_in",) if failed else ("response_time", "body_size", "certificate_expires_in")
        rows.append(
            self.name, to_millis(BEGAN) + began, began, ended - began, int(EVERY * 1000),
            _UP if self._well(due) else _DOWN, "first_byte_timeout" if failed else "", names,
        )  # fmt: skip
        expires = figure(90 * 86_400 - due % (60 * 86_400))
        size = figure(draw.gauss(18_000, 400)) if self._dynamic else 18_200.0
        rows.values.extend((expires,) if failed else (figure(seconds), size, expires))


def _size(db: sqlite3.Connection, empty: float = 0.0) -> tuple[float, float]:
    """Bytes of raw samples, with their part of what the file takes besides; and of the whole file."""
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    [batches] = db.execute("SELECT COALESCE(SUM(LENGTH(looks)), 0) FROM batches").fetchone()
    [raw] = db.execute(
        f"SELECT (SELECT COALESCE(SUM(LENGTH(body)), 0) FROM {RAW})"
        f" + (SELECT COALESCE(SUM(LENGTH(body)), 0) FROM growing WHERE kind = '{RAW}')"
    ).fetchone()
    [rest] = db.execute(
        f"SELECT (SELECT COALESCE(SUM(LENGTH(body)), 0) FROM {SHORT_POINTS})"
        f" + (SELECT COALESCE(SUM(LENGTH(body)), 0) FROM {LONG_POINTS})"
        f" + (SELECT COALESCE(SUM(LENGTH(body)), 0) FROM growing WHERE kind <> '{RAW}')"
    ).fetchone()
    [pages] = db.execute("PRAGMA page_count").fetchone()
    whole = pages * PAGE - empty
    return whole * (batches + raw) / max(batches + raw + rest, 1), whole


# --- upkeep of a whole history ------------------------------------------------------------------------------------


async def _upkeep(folder: Path, days: int, tended: int, seconds: float) -> dict[str, Pauses]:
    """Hours of all checks are sealed and pruned, as the recorder has it done, while the loop beats; and what it is
    like without. Milliseconds that our own threads kept the loop from its turn, whatever other programs did."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    store = SqliteStore(folder, retention=Retention())
    await store.open()
    now = days * DAY
    for part in range(0, int(UPKEEP), 600):
        rows = Rows[str]()
        for number in range(tended):
            _Target(random.Random(number), number).fill(rows, now + part, now + part + 600)
        await store.record(rows, BEGAN + timedelta(seconds=now + part + 600))
    found = {}
    for kind in ("without", "with"):
        pauses, clock = Pauses(), time.monotonic() + seconds
        pulse = asyncio.create_task(_feel(pauses))
        slices = 0
        while time.monotonic() < clock:
            if kind == "with":
                slices += await pauses.of("slice", store.tend(BEGAN + timedelta(seconds=now + UPKEEP)))
            await asyncio.sleep(PAUSE)
        pulse.cancel()
        print(f"# {kind} upkeep: {slices} slices", file=sys.stderr, flush=True)
        found[kind] = pauses
    await store.close()
    return found


async def _feel(pauses: Pauses) -> None:
    before = read()
    while True:
        await asyncio.sleep(BEAT)
        after = read()
        pauses.kept.append(kept_from(before, after, BEAT)[THREADS] * 1000)
        before = after


if __name__ == "__main__":
    sys.exit(run(measure))
