"""Whatever the order in which a log is written, rotated, copied away, read, and the agent restarted: each line once.

What no reader can know is left out of the schedules: a file that is emptied before anything was read of it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from probes._logs.tail import LINGER
from tests.probes.test_follow import Reading

_MOST_UNSEEN = 3
"""Rotations between two turns: a turn comes every second."""


class Schedule(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(prefix="follow-")
        self.path = Path(self.folder.name) / "access.log"
        self.path.touch()
        self.clock = time.time_ns() + 10**12
        self.number = 0
        self.written: list[bytes] = []
        self.half = b""
        self.seen: Counter[bytes] = Counter()
        self.unseen = 0
        self.vouched = False
        """Whether a whole line of the present file was read."""
        self.reading = Reading(self.path)

    def teardown(self) -> None:
        if self.half:
            self.end_line()
        self.turn(4096)
        for _ in range(3):
            self.seen.update(self.reading.read(after=LINGER + 1))
        self.reading.tail.close()
        self.folder.cleanup()
        assert self.seen == Counter(self.written)

    def _write(self, path: Path, data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)
        self.clock += 1  # the disk's clock is coarse, and these tests are quick
        os.utime(path, ns=(self.clock, self.clock))

    def _shift(self) -> None:
        for old in range(12, 0, -1):
            if (before := self.path.with_name(f"access.log.{old}")).exists():
                before.rename(self.path.with_name(f"access.log.{old + 1}"))

    def _lines(self, count: int) -> bytes:
        lines = [b"line %d" % number for number in range(self.number, self.number + count)]
        self.number += count
        self.written += lines
        return b"".join(b"%s\n" % line for line in lines)

    @precondition(lambda self: not self.half)
    @rule(count=st.integers(1, 200))
    def write(self, count: int) -> None:
        self._write(self.path, self._lines(count))

    @precondition(lambda self: not self.half)
    @rule()
    def half_a_line(self) -> None:
        self.half = b"half %d " % self.number
        self.number += 1
        self._write(self.path, self.half)

    @precondition(lambda self: self.half)
    @rule()
    def end_line(self) -> None:
        self.written.append(self.half + b"whole")
        self.half = b""
        self._write(self.path, b"whole\n")

    @rule(most=st.sampled_from([100, 1000, 4096]))
    def turn(self, most: int) -> None:
        self.seen.update(self.reading.read(after=1.0, most=most))
        self.unseen = 0
        self.vouched = self.vouched or self.reading.tail.positions[-1].at > 0

    @rule()
    def one_slice(self) -> None:
        self.reading.lines.clear()
        self.reading.tail.turn(100, self.reading.now)
        self.seen.update(self.reading.lines)

    @precondition(lambda self: self.unseen < _MOST_UNSEEN and not self.half)
    @rule(late=st.booleans())
    def rename(self, late: bool) -> None:
        self._shift()
        old = self.path.with_name("access.log.1")
        self.path.rename(old)
        if late:
            self._write(old, self._lines(2))
        self.path.touch()
        self._write(self.path, self._lines(1))
        if late:
            self._write(old, self._lines(2))
        self.unseen += 1
        self.vouched = False

    @precondition(lambda self: self.vouched and not self.half and self.unseen == 0)
    @rule()
    def copy_and_truncate(self) -> None:
        self._shift()
        self._write(self.path.with_name("access.log.1"), self.path.read_bytes())
        os.truncate(self.path, 0)
        self._write(self.path, b"")
        self.unseen += 1
        self.vouched = False

    @rule()
    def restart(self) -> None:
        self.reading.restart()

    @invariant()
    def nothing_twice(self) -> None:
        assert not self.seen or max(self.seen.values()) == 1


TestSchedules = Schedule.TestCase
TestSchedules.settings = settings(max_examples=150, stateful_step_count=30, suppress_health_check=list(HealthCheck))
