"""What the past weighs after a year, and how long its upkeep holds anything."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import time
from argparse import Namespace
from collections.abc import Awaitable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from bench._line import Figure, Line, run
from monitor.config.load import load
from monitor.core.history import Retention
from monitor.core.model import Change, Check, Look, Moment, State, Transition, Verdict
from monitor.core.quantise import figure, quantised
from monitor.core.rows import Rows, mark_of, to_millis
from monitor.kinds import installed_kinds
from monitor.recorder import Recorder
from monitor.store._files import HISTORY
from monitor.store._history import History
from monitor.store._history_file import LONG_POINTS, PAGE, RAW, SHORT_POINTS, connect
from monitor.store.sqlite import SqliteStore
from probes.contract import Observation

RAW_LIMIT, WHOLE_LIMIT, PAUSE_LIMIT = 100.0, 250.0, 10.0
"""MB of raw samples and of all, and ms that a commit of the journal may take longer (the project's own goals)."""
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
    """The longest of each kind of work, in ms."""

    worst: dict[str, float] = field(default_factory=dict)

    async def of(self, what: str, work: Awaitable[T]) -> T:
        before = time.perf_counter()
        done = await work
        self.worst[what] = max(self.worst.get(what, 0.0), (time.perf_counter() - before) * 1000)
        return done


def measure(options: Namespace) -> Line:
    """A year of a few checks every 15 s, written by the store's own code and scaled to 1,000; then hours of 1,000
    checks through the recorder, sealed and pruned while the journal commits."""
    days, checks, hours = (5, 1, 1.0) if options.quick else (400 + 30, 2, 3.5)
    with TemporaryDirectory(prefix="brownout-bench-") as name:
        raw, whole, growth = _years(Path(name), checks, days)
        pauses = asyncio.run(_hours(Path(name) / "hours", hours, 40 if options.quick else CHECKS))
    figures = (
        Figure("raw", raw, "MB", RAW_LIMIT),
        Figure("in_all", whole, "MB", WHOLE_LIMIT),
        Figure("growth_in_the_last_30_days", growth, "MB"),
        Figure("worst_slice_of_upkeep", pauses.worst["tend"], "ms"),
        Figure("worst_batch", pauses.worst["record"], "ms"),
        Figure("worst_commit_of_the_journal_meanwhile", pauses.worst["commit"], "ms"),
        Figure("and_without", pauses.worst["commit alone"], "ms"),
        Figure("worst_delay_of_the_loop_meanwhile", pauses.worst["loop"], "ms"),
    )
    how = (
        f"{checks} checks for {days} days, sizes times {CHECKS // checks}; lognormal times, 0.2 % of looks fail; "
        f"{hours:g} h of {40 if options.quick else CHECKS:,} checks for the pauses"
    )
    return Line("history", figures, how)


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


def _years(folder: Path, checks: int, days: int) -> tuple[float, float, float]:
    """MB of raw samples, MB in all, and by how much that grew since the last full month; for `CHECKS` checks."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        runs = [pool.submit(_year, folder / f"year {number}", number, days) for number in range(checks)]
        told = [run.result() for run in runs]
    whole = [sum(sizes[1] for sizes in each) * CHECKS / checks / 1e6 for each in zip(*told, strict=True)]
    raw = sum(each[-1][0] for each in told) * CHECKS / checks / 1e6
    return raw, whole[-1], whole[-1] - whole[-2] if len(whole) > 1 else whole[-1]


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


# --- some hours of everything ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Clock:
    seconds: float = 0.0

    def now(self) -> Moment:
        return Moment(BEGAN + timedelta(seconds=self.seconds), self.seconds)


async def _hours(folder: Path, hours: float, count: int) -> Pauses:
    """The recorder and the store as they run in an agent, but for the time between batches."""
    pauses, clock = Pauses(), _Clock()
    store = SqliteStore(folder, retention=Retention(raw=timedelta(hours=1)))  # so that there is something to prune
    await store.open()
    recorder = Recorder(store, clock, lost=lambda _: None)
    check = _check(folder)
    checks = [_named(check, f"check {number}") for number in range(count)]
    draw = random.Random(5)
    async with asyncio.TaskGroup() as group:
        pulse = group.create_task(_feel(pauses))
        journal = group.create_task(_commit(store, pauses, "commit alone"))
        await asyncio.sleep(3)
        journal.cancel()
        journal = group.create_task(_commit(store, pauses, "commit"))
        while clock.seconds < hours * 3600:
            clock.seconds += EVERY
            for number, item in enumerate(checks):
                recorder.take(item, quantised(_look(item, clock, number / count, draw), item), State.UP)
                if number % 50 == 0:
                    await asyncio.sleep(0)
            await pauses.of("record", recorder.settle())
            if clock.seconds % 3600 < EVERY:  # what has become due since
                await _tended(store, clock.now().at, pauses)
        pulse.cancel()
        journal.cancel()
    await store.close()
    return pauses


async def _tended(store: SqliteStore, now: datetime, pauses: Pauses) -> None:
    while True:
        if not await pauses.of("tend", store.tend(now)):
            return
        await asyncio.sleep(0.002)


def _check(folder: Path) -> Check:
    file = folder.with_suffix(".yaml")
    file.write_text("checks: [{name: home, probe: http, url: 'http://127.0.0.1/', every: 15s}]\n", encoding="utf-8")
    return load(file, kinds=installed_kinds(), env={"HOME": str(folder)}).checks["home"]


def _named(check: Check, name: str) -> Check:
    return Check(
        name, name, name, check.probe, check.every, check.timeout, check.conditions, check.impact, check.confirm,
        check.recover,
    )  # fmt: skip


def _look(check: Check, clock: _Clock, offset: float, draw: random.Random) -> Look:
    seconds = draw.lognormvariate(-2, 0.4)
    began, ended = (
        Moment(BEGAN + timedelta(seconds=tick), tick)
        for tick in (clock.seconds + offset * EVERY, clock.seconds + offset * EVERY + seconds)
    )
    phases = {"connect": 0.01, "first_byte": seconds - 0.02, "transfer": 0.01}
    measured = {f"{name}_time": length for name, length in phases.items()} | {
        "response_time": seconds,
        "body_size": 5e3,
    }
    return Look(check.id, Observation(measured, phases=phases), began, ended, limit=10.0)


async def _commit(store: SqliteStore, pauses: Pauses, what: str) -> None:
    """A transition every 20 ms, and how long the slowest took."""
    for seq in _count():
        told = Transition("check", what, seq, BEGAN, BEGAN, "up", "down", Verdict(State.DOWN, None, "refused"))
        await pauses.of(what, store.commit([Change(transitions=(told,))], frozenset()))
        await asyncio.sleep(0.02)


async def _feel(pauses: Pauses) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        late = (time.perf_counter() - before - 0.005) * 1000
        pauses.worst["loop"] = max(pauses.worst.get("loop", 0.0), late)


def _count() -> Iterator[int]:
    seq = 0
    while True:
        seq += 1
        yield seq


if __name__ == "__main__":
    sys.exit(run(measure))
