"""The scheduler under another plan, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.core.judgement import Judgement
from monitor.core.model import Check
from monitor.room import Room
from monitor.scheduler import Scheduler
from probes.contract import Probe
from tests.core.builders import check
from tests.scheduling import Hosted, Taken
from tests.scheduling import Notes as Seen
from tests.virtual_time import VirtualClock, run


async def end(running: asyncio.Task[None]) -> None:
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def scheduled(checks: list[Check], taken: Taken, seconds: float, *steps: tuple[float, list[Check]], limit: int = 500,
              later: int | None = None) -> list[tuple[float, Probe]]:  # fmt: skip
    """Run over `seconds`; at each step other checks are looked at. The probes that were let go, and when."""
    released: list[tuple[float, Probe]] = []

    def release(probe: Probe) -> None:
        released.append((round(asyncio.get_running_loop().time(), 1), probe))

    async def main() -> None:
        scheduler = Scheduler(
            checks, taken, taken.pass_over, lambda _: 2.0, VirtualClock(),
            limit=limit, limit_per_host=8, observer=Seen(), released=release,
        )  # fmt: skip
        running, watched = asyncio.create_task(scheduler.run()), checks
        for at, others in steps:
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            scheduler.adopt([item.id for item in watched], others)
            scheduler.resize(later or limit, 8)
            watched = others
        await asyncio.sleep(seconds - asyncio.get_running_loop().time())
        await end(running)

    run(main())
    return released


def test_what_is_unchanged_keeps_its_place_and_what_is_new_is_looked_at_at_once() -> None:
    alone, taken = Taken(), Taken()
    home = check("home")
    scheduled([home], alone, 200)
    scheduled([home, check("old")], taken, 200, (70.5, [replace(home, labels={"a": "b"}), check("new")]))
    assert taken.at("home") == alone.at("home")
    assert taken.at("new")[0] == pytest.approx(70.5)
    assert all(at < 70.5 for at in taken.at("old"))


def test_another_interval_is_a_new_place() -> None:
    taken = Taken()
    scheduled([check("home")], taken, 200, (100.0, [check("home", every=timedelta(seconds=5))]))
    late = [at for at in taken.at("home") if at >= 100]
    assert late[0] == pytest.approx(100)
    assert len(late) == pytest.approx(21, abs=1)


def test_a_look_under_way_of_a_check_that_goes_ends_and_then_its_probe_is_let_go() -> None:
    old, new = Hosted(at="one"), Hosted(at="two")
    before, after = check("home", probe=old), check("home", probe=new)
    taken = Taken(lasts=5.0)
    assert scheduled([before], taken, 20.0, (1.0, [after])) == [(5.0, old)], "when its look has ended"
    assert taken.at()[1] == pytest.approx(1.0)


def test_what_waits_for_room_is_called_off_with_its_check() -> None:
    checks = [check(f"c{number}") for number in range(4)]
    taken = Taken(lasts=8.0)
    released = scheduled(checks, taken, 29.0, (2.0, checks[:1]), limit=1)
    begun = {name for at, name, _ in taken.began if at > 2.0}
    assert begun <= {"c0"}
    assert len(released) == 3


def test_more_room_lets_in_who_waits() -> None:
    checks = [check(f"c{number}") for number in range(4)]
    taken = Taken(lasts=9.0)
    scheduled(checks, taken, 3.0, (2.0, checks), limit=1, later=4)
    assert taken.most == 4


def test_extra_looks_of_a_check_that_goes_are_called_off() -> None:
    taken = Taken(judge=lambda _order, _number: Judgement(burst=(1.0, 2.0, 3.0), pace=1.0))
    scheduled([check("home")], taken, 60.0, (32.0, [check("other", every=timedelta(hours=1))]))
    assert all(at <= 32.0 for at in taken.at("home", scheduled=False))


def test_a_plan_before_the_first_look_is_the_one_that_counts() -> None:
    async def main() -> list[float]:
        taken = Taken()
        scheduler = Scheduler(
            [check("old")], taken, taken.pass_over, lambda _: 2.0, VirtualClock(),
            limit=5, limit_per_host=8, observer=Seen(),
        )  # fmt: skip
        scheduler.adopt(["old"], [check("home")])
        running = asyncio.create_task(scheduler.run())
        await asyncio.sleep(10)
        await end(running)
        assert taken.at("old") == []
        return taken.at("home")

    assert run(main())


def test_less_room_is_kept_to() -> None:
    room: Room[str] = Room(3, 3)
    assert [room.enter("h", 0, name) for name in "abc"] == [True] * 3
    assert not room.enter("h", 0, "d")
    assert room.resize(1, 1) == []
    assert [room.leave("h"), room.leave("h")] == [None, None]
    assert room.leave("h") == "d"
    assert not room.enter("h", 0, "e")
    assert not room.enter("other", 0, "f")
    assert room.resize(3, 2) == ["e", "f"]
