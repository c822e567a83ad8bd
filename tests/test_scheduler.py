"""The scheduler in virtual time: nothing here sleeps, a day of looks takes a second."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.core.judgement import Judgement
from monitor.runner import Order
from monitor.scheduler import FIRST_LOOKS_A_SECOND, Scheduler
from tests.core.builders import check
from tests.scheduling import Hosted, Notes, Taken, gaps, watch
from tests.virtual_time import VirtualClock, run


def test_looks_keep_to_a_fixed_grid() -> None:
    taken = Taken(lasts=3)
    notes = watch([check()], taken, 600)
    assert set(gaps(taken.at())[1:]) == {30}
    assert notes.skipped == 0
    assert max(notes.lateness) == 0


def test_a_check_is_looked_at_soon_after_the_start() -> None:
    taken = Taken()
    watch([check(f"c{n}", every=timedelta(hours=1)) for n in range(100)], taken, 100 / FIRST_LOOKS_A_SECOND + 0.01)
    assert {name for _, name, _ in taken.began} == {f"c{n}" for n in range(100)}


def test_the_first_look_and_the_first_beat_do_not_crowd() -> None:
    for name in ("a", "b", "c", "d", "e", "f"):
        taken = Taken()
        watch([check(name)], taken, 200)
        assert gaps(taken.at(name))[0] >= 15


def test_the_place_on_the_grid_is_stable_and_spread() -> None:
    checks = [check(f"c{n}") for n in range(300)]
    first, second = Taken(), Taken()
    watch(checks, first, 90)
    watch(reversed(checks), second, 90)

    def places(taken: Taken) -> dict[str, float]:
        return {name: round(at % 30, 3) for at, name, _ in taken.began if at > 40}

    assert places(first) == places(second)
    busiest = max(sum(1 for place in places(first).values() if int(place) == second) for second in range(30))
    assert busiest < 30, "300 checks over 30 s are about 10 a second"


def test_scheduled_looks_of_a_check_never_overlap_and_missed_beats_are_counted() -> None:
    taken = Taken(lasts=70)
    notes = watch([check()], taken, 600)
    assert taken.most == 1
    assert set(gaps(taken.at())[1:]) == {90}
    assert notes.skipped == pytest.approx(2 * len(taken.at()), abs=2)


def test_extra_looks_come_in_a_burst_then_at_a_pace_and_end() -> None:
    def judge(order: Order, number: int) -> Judgement:
        if number == 1:
            return Judgement(burst=(0.2, 0.5, 0.9), pace=1.0)
        return Judgement(pace=1.0) if number < 7 else Judgement()

    taken = Taken(judge=judge)
    watch([check(every=timedelta(hours=1))], taken, 60)
    first, extra = taken.at()[0], taken.at(scheduled=False)
    assert [round(at - first, 6) for at in extra] == [0.2, 0.5, 0.9, 1.9, 2.9, 3.9]


def test_extra_looks_overlap_a_slow_one() -> None:
    def judge(order: Order, number: int) -> Judgement:
        return Judgement(burst=(0.2, 0.5, 0.9), pace=1.0)

    taken = Taken(judge=judge, lasts=2.0)
    watch([check(every=timedelta(hours=1))], taken, 8)
    assert taken.most >= 3
    assert taken.most <= 10


def test_calling_off_drops_the_extra_looks_that_wait() -> None:
    def judge(order: Order, number: int) -> Judgement:
        return Judgement(burst=(0.2, 0.5, 0.9), pace=1.0) if number == 1 else Judgement()

    taken = Taken(judge=judge)
    watch([check(every=timedelta(hours=1))], taken, 60)
    assert len(taken.at(scheduled=False)) == 1


def test_extra_looks_have_their_own_limit() -> None:
    limits: list[float] = []

    def judge(order: Order, number: int) -> Judgement:
        limits.append(order.timeout)
        return Judgement(pace=1.0) if number == 1 else Judgement()

    watch([check(every=timedelta(hours=1))], Taken(judge=judge), 10)
    assert limits == [10.0, 2.0]


def test_the_global_limit_holds_and_waiting_looks_are_taken_in_turn() -> None:
    taken = Taken(lasts=0.5)
    watch([check(f"c{n}") for n in range(60)], taken, 25, limit=5)
    assert taken.most == 5
    assert len({name for _, name, _ in taken.began}) == 60


def test_a_look_that_found_no_room_for_a_whole_interval_is_passed_over_and_counted() -> None:
    taken = Taken(lasts=9.0)
    notes = watch([check(f"c{n}", every=timedelta(seconds=10)) for n in range(4)], taken, 120, limit=1)
    assert taken.most == 1
    assert notes.skipped > 10
    assert set(taken.passed_over) == {"c0", "c1", "c2", "c3"}
    assert {name for _, name, _ in taken.began} == {"c0", "c1", "c2", "c3"}, "and none starves"


def test_a_busy_host_does_not_hold_up_another() -> None:
    slow = [check(f"slow{n}", probe=Hosted("slow")) for n in range(20)]
    quick = check("quick", probe=Hosted("quick"))

    async def waits(order: Order) -> None:
        await asyncio.sleep(9 if order.check.id != "quick" else 0)

    taken = Taken(waits=waits)
    notes = watch([*slow, quick], taken, 300, limit_per_host=2)
    assert set(gaps(taken.at("quick"))[1:]) == {30}
    assert notes.skipped > 0


def test_extra_looks_have_room_of_their_own_and_settle_the_oldest_suspicion_first() -> None:
    """Thirty checks of one host that hangs: their scheduled looks fill all its room."""

    def judge(order: Order, number: int) -> Judgement:
        settled = sum(name == order.check.id for _, name, planned in taken.began if not planned) >= 5
        return Judgement() if settled else Judgement(burst=(0.2, 0.5, 0.9, 1.4), pace=1.0)

    async def waits(order: Order) -> None:
        await asyncio.sleep(order.timeout)

    taken = Taken(judge=judge, waits=waits)
    watch([check(f"c{n}", probe=Hosted()) for n in range(30)], taken, 40, limit_per_host=8)
    extras = [name for _, name, planned in taken.began if not planned]
    first = taken.began[0][1]
    settled_first = max(at for at, name, planned in taken.began if name == first and not planned)
    assert settled_first < 20
    assert len(extras) >= 8 / 2.0 * 20, "the room for extra looks is used"


def test_extra_looks_called_off_while_they_wait_are_not_taken() -> None:
    calls = {"a": 0}

    def judge(order: Order, number: int) -> Judgement:
        calls["a"] += order.check.id == "a"
        return Judgement(burst=(0.1, 0.2), pace=1.0) if calls["a"] < 2 else Judgement()

    taken = Taken(lasts=0.5, judge=judge)
    watch([check(name, probe=Hosted(), every=timedelta(hours=1)) for name in "ab"], taken, 20, limit_per_host=1)
    assert len(taken.at("a", scheduled=False)) + len(taken.at("b", scheduled=False)) <= 3


def test_extra_looks_that_are_late_are_left_out() -> None:
    """The loop stands still for a minute in a burst: its looks must not all come at once."""
    taken, notes = Taken(judge=lambda _order, _number: Judgement(burst=(0.2, 0.5, 0.9, 1.4), pace=1.0)), Notes()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        checks = [check(every=timedelta(hours=1))]
        scheduler = Scheduler(
            checks, taken, taken.pass_over, lambda _: 2.0, VirtualClock(), limit=9, limit_per_host=9, observer=notes
        )
        running = asyncio.create_task(scheduler.run())
        await asyncio.sleep(0.1)
        loop._jumping.time += 60  # type: ignore[attr-defined]
        await asyncio.sleep(0.5)
        assert taken.at(scheduled=False) == []
        await asyncio.sleep(2)
        running.cancel()

    run(main())
    assert notes.dropped == 4
    assert 1 <= len(taken.at(scheduled=False)) <= 3


def test_an_error_that_is_not_a_probes_own_ends_everything_loudly() -> None:
    def judge(order: Order, number: int) -> Judgement:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        watch([check()], Taken(judge=judge), 60)


def test_a_day_of_a_hundred_checks() -> None:
    taken = Taken(lasts=0.2)
    notes = watch([check(f"c{n}", every=timedelta(minutes=10)) for n in range(100)], taken, 86400)
    assert len(taken.began) == pytest.approx(100 * 144, rel=0.01)
    assert notes.skipped == 0


def test_after_a_pause_the_grid_goes_on_and_the_missed_beats_are_counted() -> None:
    """The loop stands still for five minutes, as with SIGSTOP."""
    taken, notes = Taken(), Notes()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        scheduler = Scheduler(
            [check()],
            taken,
            taken.pass_over,
            lambda _name: 2.0,
            VirtualClock(),
            limit=9,
            limit_per_host=9,
            observer=notes,
        )
        running = asyncio.create_task(scheduler.run())
        await asyncio.sleep(100)
        loop._jumping.time += 300  # type: ignore[attr-defined]
        await asyncio.sleep(100)
        running.cancel()

    run(main())
    assert notes.skipped in (9, 10)
    assert {round(at % 30, 6) for at in taken.at()[1:] if not 395 < at < 401} == {round(taken.at()[1] % 30, 6)}


def test_a_pause_makes_no_herd_and_an_agent_that_is_always_late_still_looks() -> None:
    taken, notes = Taken(), Notes()
    checks = [check(f"check {number}") for number in range(60)]

    async def main() -> None:
        jumping = asyncio.get_running_loop()._jumping  # type: ignore[attr-defined]
        scheduler = Scheduler(
            checks,
            taken,
            taken.pass_over,
            lambda _name: 2.0,
            VirtualClock(),
            limit=99,
            limit_per_host=99,
            observer=notes,
        )
        running = asyncio.create_task(scheduler.run())
        await asyncio.sleep(100)
        jumping.time += 300
        await asyncio.sleep(31)
        for _ in range(10):
            jumping.time += 60
            await asyncio.sleep(0.1)
        running.cancel()

    run(main())
    after = sorted(at for at, _, _ in taken.began if 400 <= at <= 431)
    assert len(after) in range(60, 64), "each has its next beat"
    assert max(sum(at <= other < at + 1 for other in after) for at in after) < 10, "and no two hands full at once"
    assert len([at for at, _, _ in taken.began if at > 431]) >= 60 * 4


def test_progress_is_told_even_when_nothing_is_due() -> None:
    told: list[float] = []

    async def main() -> None:
        scheduler = Scheduler(
            [replace(check(), every=timedelta(hours=1))],
            Taken(),
            Taken().pass_over,
            lambda _name: 2.0,
            VirtualClock(),
            limit=9,
            limit_per_host=9,
            observer=Notes(),
            progress=lambda: told.append(asyncio.get_running_loop().time()),
        )
        running = asyncio.create_task(scheduler.run())
        await asyncio.sleep(30)
        running.cancel()

    run(main())
    assert max(gaps(told)) <= 1.0
