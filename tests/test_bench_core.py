"""How the soak explains a late look: by what kept the loop from its core, and by nothing that it did itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from bench._core import COLLECTOR, GUESTS, PROCESSES, THREADS, Arrears, Reading, kept_from, read

REST = 0.01
START = Reading(at=100.0, ran=1.0, waited=2.0, others_ran=3.0, others_waited=4.0, stolen=5.0)


class Machine:
    """Readings of a machine on which nothing happens but what the test says."""

    def __init__(self) -> None:
        self.now = START

    def pass_(self, seconds: float, **grown: float) -> None:
        self.now = replace(
            self.now,
            at=self.now.at + seconds,
            **{name: getattr(self.now, name) + more for name, more in grown.items()},
        )


def kept(seconds: float, **grown: float) -> dict[str, float]:
    """What `kept_from` says of so many seconds, without what is zero."""
    machine = Machine()
    machine.pass_(seconds, **grown)
    found = kept_from(START, machine.now, REST)
    return {cause: round(held, 6) for cause, held in found.items() if held > 1e-9}


def test_a_core_that_is_taken() -> None:
    assert kept(0.11, waited=0.1) == {PROCESSES: 0.1}
    assert kept(0.11, waited=0.1, others_ran=0.03) == {PROCESSES: 0.07, THREADS: 0.03}
    assert kept(0.11, stolen=0.06) == {GUESTS: 0.06}


def test_blocked_behind_the_lock_of_the_interpreter() -> None:
    assert kept(0.11, others_ran=0.1) == {THREADS: 0.1}
    assert kept(0.11, others_waited=0.08, others_ran=0.02) == {PROCESSES: 0.08, THREADS: 0.02}


def test_nothing_is_counted_twice() -> None:
    found = kept(0.11, ran=0.02, waited=0.05, others_ran=0.2, others_waited=0.2, stolen=0.2)
    assert sum(found.values()) == pytest.approx(0.08)


def test_own_work_and_rest_are_no_excuse() -> None:
    assert kept(0.11, ran=0.1) == {}
    assert kept(REST) == {}
    assert kept(0.3) == {}, "blocked, and nobody knows by what"


def test_what_was_lost_counts_until_it_has_been_caught_up_with() -> None:
    machine = Machine()
    arrears = Arrears(REST, lambda: machine.now)

    def beat(seconds: float, **grown: float) -> float:
        machine.pass_(seconds, **grown)
        arrears.beat()
        return machine.now.at

    due = beat(REST) + 0.001
    beat(0.31, waited=0.3)
    began = beat(0.11, ran=0.1)  # behind: it does what it could not do before
    assert arrears.of(due, began)[PROCESSES] == pytest.approx(0.3)
    assert arrears.of(began - 0.05, began)[PROCESSES] == pytest.approx(0.3), (
        "due later, but it found the others there"
    )
    calm = beat(REST)
    later = beat(0.11, ran=0.1)
    assert arrears.of(calm + 0.001, later)[PROCESSES] == 0, "what holds the loop now is its own work"
    arrears.collected(0.2)
    last = beat(0.21, ran=0.2)
    assert arrears.of(later, last)[COLLECTOR] == pytest.approx(0.2)


def test_between_two_beats_it_is_read_anew() -> None:
    machine = Machine()
    arrears = Arrears(REST, lambda: machine.now)
    machine.pass_(0.2, waited=0.2)
    assert arrears.of(machine.now.at - 0.15, machine.now.at)[PROCESSES] == pytest.approx(0.2)


def test_a_real_core_that_another_process_wants() -> None:
    """The kernel's own figure: half of the time, or thereabouts, is the other's."""
    allowed = os.sched_getaffinity(0)
    core = {min(allowed)}
    greedy = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        assert greedy.stdout is not None
        greedy.stdout.readline()
        os.sched_setaffinity(greedy.pid, core)
        os.sched_setaffinity(0, core)
        before, give_up = read(), time.monotonic() + 20
        while (after := read()).waited - before.waited < 0.1 and time.monotonic() < give_up:
            pass
    finally:
        os.sched_setaffinity(0, allowed)
        greedy.kill()
        greedy.wait()
        greedy.stdout.close()
    assert kept_from(before, after, 0.0)[PROCESSES] >= 0.08
