"""Tasks that take up one piece of work after another, and time limits that are queued."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from monitor.crew import IDLE, Crew
from monitor.grid import Slot
from monitor.hanging import Hanging
from monitor.limits import Limits
from tests.core.builders import check
from tests.virtual_time import run


def test_one_task_does_what_comes_one_after_another_and_several_what_comes_at_once() -> None:
    tasks: list[object] = []

    async def work(_number: int) -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(1)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            crew = Crew(work, group)
            for number in range(5):
                crew.begin(number)
                await asyncio.sleep(2)
            assert len(set(tasks)) == 1
            for number in range(IDLE + 3):
                crew.begin(number)
            await asyncio.sleep(2)
            assert len(set(tasks)) == IDLE + 3
            assert len(asyncio.all_tasks()) == IDLE + 1, "no more are kept than may come at once again"
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    run(main())


def test_a_task_that_dies_is_not_given_work() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        if number == 1:
            raise asyncio.CancelledError  # a stray one
        done.append(number)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            crew = Crew(work, group)
            for number in range(4):
                crew.begin(number)
                await asyncio.sleep(1)
            assert done == [0, 2, 3]
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    run(main())


def test_what_the_work_raises_ends_the_group() -> None:
    async def work(_number: int) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            Crew(work, group).begin(1)

    with pytest.raises(ExceptionGroup):
        run(main())


def limited(*waits: tuple[float, float, float]) -> list[tuple[float, str]]:
    """For each (begin, limit, lasts): when it ended, and how; in the order of the ends."""
    ends: list[tuple[float, str]] = []

    async def one(limits: Limits, begin: float, seconds: float, lasts: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(begin)
        limit = limits.begin(seconds)
        how = "in time"
        try:
            try:
                await asyncio.sleep(lasts)
            finally:
                limit.end()
        except asyncio.CancelledError:
            how = "struck" if limit.struck_alone else "cancelled"
        ends.append((round(loop.time(), 6), how))
        await asyncio.sleep(100)  # nothing comes after the end

    async def main() -> None:
        limits = Limits()
        await asyncio.gather(*(one(limits, *wait) for wait in waits))

    run(main())
    return ends


def test_limits_strike_on_time_each_by_itself() -> None:
    assert limited((0, 2.5, 9), (1, 2.5, 9), (1.5, 2.5, 0.1), (1.7, 0.3, 9)) == [
        (1.6, "in time"),
        (2.0, "struck"),
        (2.5, "struck"),
        (3.5, "struck"),
    ]


def test_a_limit_that_is_over_leaves_the_next_one_its_time() -> None:
    assert limited((0, 2, 1), (1, 2, 1.5), (2.4, 2, 9), (9, 2, 9)) == [
        (1.0, "in time"),
        (2.5, "in time"),
        (4.4, "struck"),
        (11.0, "struck"),
    ]


def test_whoever_else_cancels_is_heard() -> None:
    async def main() -> bool:
        limits = Limits()

        async def one() -> None:
            limit = limits.begin(5)
            try:
                await asyncio.sleep(9)
            finally:
                limit.end()
                assert not limit.struck_alone

        task = asyncio.create_task(one())
        await asyncio.sleep(1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert run(main())


def overdue(steps: Callable[[Hanging, Slot, Callable[[], float]], Awaitable[None]]) -> list[float]:
    """When the look of a slot was found to be overdue."""
    found: list[float] = []

    async def main() -> None:
        time = asyncio.get_running_loop().time
        await steps(Hanging(lambda _slot: found.append(round(time(), 6))), Slot(check(), 0.0), time)

    run(main())
    return found


def test_a_look_is_overdue_at_its_own_time_and_not_once_it_is_over() -> None:
    async def steps(hanging: Hanging, slot: Slot, time: Callable[[], float]) -> None:
        for soft, lasts in ((0.75, 2.0), (1.4, 3.0), (1.4, 1.0), (0.75, 0.2)):
            slot.began = time()
            again = hanging.watch(slot, slot.began, soft)
            ends = slot.began + lasts
            while again < min(ends, slot.began + 9):
                await asyncio.sleep(again - time())
                again = hanging.find(time())
            await asyncio.sleep(ends - time())
            slot.began = None
            assert hanging.find(time()) == float("inf")

    assert overdue(steps) == [0.75, 3.4]
