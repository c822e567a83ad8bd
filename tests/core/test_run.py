"""Runs of looks: how long they are, in whatever order their looks arrive."""

from __future__ import annotations

from monitor.core.run import LONGEST_GAP, Run
from tests.core.builders import START, look


def test_a_run_is_the_same_in_whatever_order_its_looks_arrive() -> None:
    looks = [look(at) for at in (0.0, 1.0, 2.5, 2.5)]
    for order in (looks, looks[::-1], [looks[2], looks[0], looks[1], looks[3]]):
        run = Run()
        for item in order:
            run.add(item)
        assert (run.looks, run.tick, run.last, run.at) == (4, 1000.0, 1002.5, START)
        assert run.span == 2.5


def made(*ats: float) -> Run:
    run = Run()
    for at in ats:
        run.add(look(at))
    return run


def test_runs_are_joined() -> None:
    assert_run(made(0), made(1, 3), 3, 3)
    assert_run(made(1, 3), made(0), 3, 3)
    assert_run(made(0, 2), made(1, 3), 4, 3)
    assert_run(made(0), made(60, 61), 3, LONGEST_GAP + 1)
    assert_run(Run(), made(60, 61), 2, 1)
    assert_run(made(60, 61), Run(), 2, 1)


def assert_run(run: Run, other: Run, looks: int, span: float) -> None:
    run.absorb(other)
    assert (run.looks, run.span, other.looks) == (looks, span, 0)
