"""Files of a check read in turns and handed over: with the span that counts stand for, by a thread that may hang."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from probes._logs.following import AWAY, FILES_MOST, Following, Handed
from probes._logs.open_file import BACKLOG
from probes._logs.reader import Reader
from probes._system.hang import Hung
from probes.contract import Reason

WALL = 1_700_000_000.0


class Lines:
    """Counts, and can hang where a disk would."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.count = 0
        self._gate = gate

    def take(self, lines: bytes, too_long: int) -> None:
        if self._gate is not None:
            self._gate.wait(20)
        self.count += lines.count(b"\n")

    def add(self, other: Lines) -> None:
        self.count += other.count


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.touch()
    return path


def write(path: Path, count: int) -> None:
    with path.open("a") as file:
        file.writelines(f"line {number}\n" for number in range(count))


def started(*patterns: Path | str, resume: str = "", now: float = 0.0, wall: float = WALL) -> Following[Lines]:
    following = Following([str(each) for each in patterns], Lines, 65_536)
    following.start(resume, now, wall)
    return following


def handed(following: Following[Lines], now: float, wall: float = WALL) -> Handed[Lines]:
    while following.turn(now):
        pass
    return following.hand_over(now, wall)


def test_counts_stand_for_the_time_since_the_last_ones(log: Path) -> None:
    following = started(log)
    first = handed(following, 0.01)
    assert (first.first, first.counts.count, first.seconds) == (True, 0, 0.0)
    write(log, 10)
    second = handed(following, 15.0)
    assert (second.first, second.counts.count, second.seconds) == (False, 10, pytest.approx(15.0))
    write(log, 1)
    assert handed(following, 15.1).seconds == 0.0, "too short for a rate"
    assert handed(following, 16.0).seconds == pytest.approx(1.0), "no time is lost"
    following.close()


def test_a_restart_counts_from_where_it_was_handed_over(log: Path) -> None:
    following = started(log)
    resume = handed(following, 1.0).resume
    write(log, 5)
    following.turn(2.0)  # read, but not handed over
    following.close()
    following = started(log, resume=resume, now=500.0, wall=WALL + 30)
    again = handed(following, 501.0, WALL + 31)
    assert (again.counts.count, again.first) == (5, False)
    assert again.seconds == pytest.approx(32, abs=1.1)
    following.close()


@pytest.mark.parametrize("later", [AWAY + 5, -60.0], ids=["long ago", "the clock was set back"])
def test_after_a_long_break_it_begins_anew(log: Path, later: float) -> None:
    following = started(log)
    resume = handed(following, 1.0).resume
    following.close()
    write(log, 5)
    following = started(log, resume=resume, wall=WALL + later)
    again = handed(following, 1.0)
    assert again.counts.count == 0
    assert again.first
    following.close()


def test_a_pause_of_the_machine_is_a_long_break(log: Path) -> None:
    following = started(log)
    handed(following, 1.0)
    write(log, 5)
    paused = handed(following, 1.0 + AWAY + 1)
    assert (paused.counts.count, paused.away) == (0, pytest.approx(AWAY + 1))
    write(log, 2)
    after = handed(following, 10.0 + AWAY)
    assert (after.counts.count, after.away) == (2, 0.0)
    assert after.seconds == pytest.approx(8.0)
    following.close()


def test_the_span_is_that_of_what_was_read(log: Path) -> None:
    following = started(log)
    handed(following, 0.0)
    with log.open("ab") as file:
        file.truncate(BACKLOG)
        file.seek(0, 2)
        file.write(b"a line\n" * 1000)
    following.turn(10.0)
    part = following.hand_over(10.0, WALL)
    assert part.seconds < 0.01, "next to nothing of it was read"
    rest = handed(following, 10.0)
    assert part.passed + rest.passed > 0
    assert part.seconds + rest.seconds == pytest.approx(10.0, rel=0.01)
    following.close()


def test_no_more_files_than_it_may_follow(tmp_path: Path) -> None:
    for number in range(FILES_MOST + 10):
        (tmp_path / f"{number:03}.log").touch()
    following = started(tmp_path / "*.log")
    first = handed(following, 0.0)
    assert (first.files, first.matching) == (FILES_MOST, FILES_MOST + 10)
    following.close()


def test_a_file_that_a_pattern_fits_by_now_is_read_whole_and_one_that_was_there_is_not(tmp_path: Path) -> None:
    write(tmp_path / "a.log", 3)
    following = started(tmp_path / "*.log")
    assert handed(following, 0.0).counts.count == 0
    write(tmp_path / "b.log", 4)
    assert handed(following, 10.0).counts.count == 4
    (tmp_path / "a.log").unlink()
    (tmp_path / "b.log").unlink()
    assert handed(following, 100.0).trouble is None, "they may be in the middle of a rotation"
    handed(following, 200.0)
    gone = handed(following, 210.0)
    assert gone.files == 0
    assert gone.trouble is not None
    assert gone.trouble.reason is Reason.SOURCE
    following.close()


# --- the thread -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def reader(log: Path) -> AsyncIterator[Reader[Lines]]:
    reader = Reader([str(log)], Lines, 65_536)
    yield reader
    await reader.close()


async def test_it_reads_on_between_looks(reader: Reader[Lines], log: Path) -> None:
    await reader.hand_over("", 5.0)
    write(log, 100_000)
    assert (await reader.hand_over("", 5.0)).counts.count == 100_000
    assert (await reader.hand_over("", 5.0)).counts.count == 0


async def test_a_disk_that_hangs_holds_nobody(log: Path) -> None:
    gate = threading.Event()
    reader = Reader([str(log)], lambda: Lines(gate), 65_536)
    await reader.hand_over("", 5.0)
    write(log, 3)
    began = time.monotonic()
    with pytest.raises(Hung):
        await reader.hand_over("", 0.3)
    await asyncio.sleep(0.4)
    middle = time.monotonic()
    assert middle - began < 30
    with pytest.raises(Hung):
        await reader.hand_over("", 0.3)
    assert time.monotonic() - middle < 10
    gate.set()
    async with asyncio.timeout(10):
        count = 0
        while count < 3:
            try:
                count += (await reader.hand_over("", 5.0)).counts.count
            except Hung:
                await asyncio.sleep(0.02)
    assert count == 3, "what was read for those who gave up is not lost"
    await reader.close()


async def test_close_while_it_hangs_leaves_it_behind(log: Path) -> None:
    gate = threading.Event()
    reader = Reader([str(log)], lambda: Lines(gate), 65_536)
    await reader.hand_over("", 5.0)
    write(log, 1)
    with pytest.raises(Hung):
        await reader.hand_over("", 0.2)
    began = time.monotonic()
    await reader.close()
    assert time.monotonic() - began < 3.0
    gate.set()


async def test_what_nobody_waited_for_goes_to_the_next(reader: Reader[Lines], log: Path) -> None:
    await reader.hand_over("", 5.0)
    total = 0
    for _ in range(50):
        write(log, 100)
        asked = asyncio.create_task(reader.hand_over("", 5.0))
        await asyncio.sleep(0)
        asked.cancel()
        total += (await reader.hand_over("", 5.0)).counts.count
    total += (await reader.hand_over("", 5.0)).counts.count
    assert total == 5000


async def test_a_fault_of_ours_is_told_and_not_swallowed(log: Path) -> None:
    class Broken(Lines):
        def take(self, lines: bytes, too_long: int) -> None:
            raise ZeroDivisionError

    reader: Reader[Lines] = Reader([str(log)], Broken, 65_536)
    await reader.hand_over("", 5.0)
    write(log, 1)
    with pytest.raises(ZeroDivisionError):
        await reader.hand_over("", 5.0)
    assert (await reader.hand_over("", 5.0)).first
    await reader.close()
