"""How the engine serves passive probes: looks that are asked for, memory that is kept at once, tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from monitor.clock import SystemClock
from monitor.config.load import load
from monitor.config.model import ConfigError
from monitor.core.judgement import Judgement
from monitor.kinds import installed_kinds
from monitor.presence import BEAT, GAP, Attendance, Listener
from monitor.runner import Order, Runner
from monitor.scheduler import Scheduler
from monitor.store.contract import StoreError
from monitor.writer import FLUSH_EVERY, KEEP_EVERY
from probes.contract import Reason, Secret
from probes.heartbeat import Heartbeat
from tests.core.builders import check
from tests.pipelines import Bench, in_bench, raising
from tests.scheduling import Notes, Taken
from tests.simulation import NoNames, NoTls
from tests.virtual_time import VirtualClock, run


@dataclass
class Asked:
    scheduler: Scheduler
    taken: Taken

    def extra(self) -> list[float]:
        return [round(at, 2) for at, _, scheduled in self.taken.began if not scheduled]


def looking(test: Callable[[Asked], Awaitable[None]], judge: Callable[[Order, int], Judgement]) -> None:
    async def main() -> None:
        taken = Taken(judge=judge)
        scheduler = Scheduler(
            [check("a")], taken, taken.pass_over, lambda _: 2.0, VirtualClock(), limit=10, limit_per_host=4,
            observer=Notes(),
        )  # fmt: skip
        running = asyncio.create_task(scheduler.run())
        await test(Asked(scheduler, taken))
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    run(main())


def test_a_look_that_is_asked_for_is_taken_at_once() -> None:
    async def test(here: Asked) -> None:
        here.scheduler.ask("a")  # not begun yet
        here.scheduler.ask("nobody")
        await asyncio.sleep(40)
        assert here.extra() == []
        here.scheduler.ask("a")
        await asyncio.sleep(0.01)
        assert here.extra() == [40]

    looking(test, lambda order, number: Judgement())


def test_a_storm_of_news_is_two_looks_a_second_and_the_last_is_seen() -> None:
    async def test(here: Asked) -> None:
        await asyncio.sleep(40)
        for _ in range(1000):
            here.scheduler.ask("a")
            await asyncio.sleep(0.0021)
        asked = asyncio.get_running_loop().time()
        await asyncio.sleep(0.6)
        assert 4 <= len(here.extra()) <= 7
        assert here.extra()[-1] >= asked - 0.0021

    looking(test, lambda order, number: Judgement())


def test_news_right_after_a_look_that_calls_off_others_is_not_lost() -> None:
    async def test(here: Asked) -> None:
        await asyncio.sleep(1)
        beat = here.taken.began[-1][0]
        following = next(iter(at for at in [beat + 30 * n for n in range(1, 9)] if at > 1))
        await asyncio.sleep(following - 1 - 0.3)
        for _ in range(2):
            here.scheduler.ask("a")  # the second is planned for half a second later: after the beat
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.4)
        here.scheduler.ask("a")
        await asyncio.sleep(0.6)
        assert here.extra()[-1] > following

    looking(test, lambda order, number: Judgement())


def test_a_moment_that_is_known_beforehand_is_looked_at() -> None:
    async def test(here: Asked) -> None:
        await asyncio.sleep(100)
        scheduled = [at for at, _, planned in here.taken.began if planned]
        assert here.extra()[:3] == [pytest.approx(at + 7.5, abs=0.02) for at in scheduled[:3]]

    looking(test, lambda order, number: Judgement(again=7.5) if order.scheduled else Judgement())


def test_a_known_moment_does_not_put_off_what_is_being_confirmed() -> None:
    async def test(here: Asked) -> None:
        await asyncio.sleep(40)
        here.scheduler.ask("a")
        await asyncio.sleep(3.5)
        assert here.extra()[-4:] == [40, 41, 42, 43]

    looking(test, lambda order, number: Judgement(again=20) if order.scheduled else Judgement(pace=1.0))


# --- memory that is kept at once ---


def test_what_must_be_kept_is_in_the_journal_before_the_answer() -> None:
    async def test(here: Bench) -> None:
        here.begin()
        here.watched.judges["a"].memory["ping"] = 1.0
        assert await here.pipeline.writer.keep("a", 2.0)
        assert here.shelf.checks["a"].snapshot["memory"] == {"ping": 1.0}
        assert asyncio.get_running_loop().time() == 0

    in_bench(test)


def test_a_storm_is_ten_writes_a_second_and_all_are_answered() -> None:
    async def test(here: Bench) -> None:
        here.begin()

        async def ping(number: int) -> bool:
            await asyncio.sleep(number / 1000)
            here.watched.judges["a"].memory["ping"] = float(number)
            return await here.pipeline.writer.keep("a", 2.0)

        assert all(await asyncio.gather(*(ping(number) for number in range(1000))))
        assert here.shelf.checks["a"].snapshot["memory"] == {"ping": 999.0}
        assert len(here.store.times("save")) <= 1 / KEEP_EVERY + 2

    in_bench(test)


def test_it_is_never_ahead_of_the_events() -> None:
    """The transition is committed first; and with a commit that hangs, the answer comes without the journal."""

    async def test(here: Bench) -> None:
        gate = asyncio.Event()
        here.store.trouble = lambda call, number: cast(Awaitable[None], gate.wait()) if call == "commit" else None
        here.begin()
        for _ in range(4):
            await asyncio.sleep(1)
            await here.look(fails=Reason.REFUSED)
        assert not await here.pipeline.writer.keep("a", 2.0)
        assert here.store.times("save") == []
        waiting = asyncio.create_task(here.pipeline.writer.keep("a", 2.0))
        await asyncio.sleep(1)
        gate.set()
        assert await waiting
        assert [name for name, *_ in here.store.calls][:2] == ["commit", "save"]

    in_bench(test)


def test_a_journal_that_fails_is_said_and_tried_again() -> None:
    async def test(here: Bench) -> None:
        here.begin()
        here.store.trouble = raising(StoreError("the disk is full"), 1, on="save")
        here.watched.judges["a"].memory["ping"] = 1.0
        assert not await here.pipeline.writer.keep("a", 2.0)
        await asyncio.sleep(FLUSH_EVERY + 2)
        assert here.shelf.checks["a"].snapshot["memory"] == {"ping": 1.0}

    in_bench(test)


def test_what_is_waited_for_is_kept_when_the_agent_stops() -> None:
    async def test(here: Bench) -> None:
        here.watched.judges["a"].memory["ping"] = 1.0
        waiting = asyncio.create_task(here.pipeline.writer.keep("a", 2.0))
        await asyncio.sleep(0)
        await here.pipeline.writer.settle()
        assert await waiting
        assert here.shelf.checks["a"].snapshot["memory"] == {"ping": 1.0}

    in_bench(test)


# --- since when the agent has been there ---


def test_presence_goes_on_until_there_is_a_gap() -> None:
    tick = [50.0]
    here = Attendance(SystemClock(), lambda: tick[0])
    for _ in range(10):
        tick[0] += BEAT + GAP / 2
        now = here.read()
    assert now.now - now.since == pytest.approx(10 * (BEAT + GAP / 2), abs=0.01)
    assert here.read().name == now.name
    before = now.name
    tick[0] += GAP + 1
    now = here.read()
    assert now.now - now.since == pytest.approx(0, abs=0.01)
    assert now.name != before
    tick[0] += 1
    here.turned_away(Listener.INNER)
    tick[0] += 3
    now = here.read()
    assert now.now - now.since == pytest.approx(3, abs=0.01)
    assert now.turned_away
    tick[0] += GAP + 1
    assert not here.read().turned_away, "this was a gap"


def test_who_is_turned_away_in_the_world_counts_only_where_pings_come() -> None:
    tick = [50.0]
    here = Attendance(SystemClock(), lambda: tick[0])
    before = here.read()
    here.turned_away(Listener.PUBLIC)
    assert here.read().name == before.name
    here.heard(Listener.PUBLIC)
    here.turned_away(Listener.PUBLIC)
    assert here.read().name != before.name


def test_while_our_own_network_is_gone_nothing_can_arrive() -> None:
    tick = [50.0]
    here = Attendance(SystemClock(), lambda: tick[0])
    before = here.read()
    assert here.reachable() is not None
    here.cut_off(yes=True)
    assert here.reachable() is None
    assert here.read().name == before.name, "what arrives all the same is heard"
    here.cut_off(yes=False)
    found = here.reachable()
    assert found is not None
    assert found.name != before.name


async def test_a_passive_check_is_not_asked_while_nothing_can_arrive() -> None:
    heartbeat = check("job", probe=Heartbeat(token=Secret("0123456789abcdef"), period=timedelta(hours=1)))
    runner = Runner(SystemClock(), NoNames(), NoTls(), presence=lambda: None)
    memory: dict[str, float | str] = {}
    look = await runner.look(Order(heartbeat, 0.0, 5.0, scheduled=True), memory)
    assert look.observation.reason is Reason.OWN_NETWORK
    assert memory == {}


# --- tokens in the configuration ---


def faults(folder: Path, *checks: str) -> list[str]:
    file = folder / "checks.yaml"
    file.write_text("checks:\n" + "".join(f"  - {{{text}}}\n" for text in checks))
    try:
        load(file, kinds=installed_kinds(), env={"HOME": str(folder), "SHORT": "tooshort"})
    except ConfigError as error:
        return [str(fault) for fault in error.faults]
    return []


def test_two_checks_with_one_token_are_a_fault_that_names_both_and_not_the_token(tmp_path: Path) -> None:
    token = "0123456789abcdef0123"
    beat = f"probe: heartbeat, token: {token}, period: 1h"
    [told] = faults(tmp_path, f"name: a, {beat}", f"name: b, {beat}, enabled: false")
    assert '"b" has the token of "a"' in told
    assert token not in told
    assert faults(tmp_path, f"name: a, {beat}", f"name: b, {beat}, slug: b", f"name: c, {beat}, slug: c") == []
    pushed = f"probe: push, token: {token}, figures: {{orders: count}}"
    assert faults(tmp_path, f"name: a, {beat}", f"name: b, {pushed}") == [], "another door"


def test_a_token_that_is_none_is_told_without_showing_it(tmp_path: Path) -> None:
    for token in ('"${SHORT}"', "tooshort", '"tooshort but long enough"'):
        [told] = faults(tmp_path, f"name: a, probe: heartbeat, token: {token}, period: 1h")
        assert "openssl rand -hex 16" in told
        assert "tooshort" not in told


def test_conditions_of_a_push_speak_of_its_own_figures(tmp_path: Path) -> None:
    beginning = "name: a, probe: push, token: 0123456789abcdef, figures: {queue_age: seconds}"
    assert faults(tmp_path, f"{beginning}, degraded: queue_age > 60s") == []
    [told] = faults(tmp_path, f"{beginning}, degraded: queue_ag > 60s")
    assert "queue_age" in told
    assert faults(tmp_path, f"{beginning}, degraded: queue_age > 60") != []
