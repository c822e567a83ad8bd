"""Reload in virtual time: the reader of the file, and the parts that take over another plan while they work."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import structlog

from monitor.config.load import load
from monitor.config.model import Config, ConfigError, Fault
from monitor.core.judge import Judgement
from monitor.core.model import Check, Look
from monitor.core.succession import succeed
from monitor.core.world import World
from monitor.kinds import installed_kinds
from monitor.outbox import Outcome
from monitor.pipeline import Pipeline
from monitor.reload import Ended, Reloader
from monitor.reload import Outcome as Reloaded
from monitor.room import Room
from monitor.runner import Order, Runner
from monitor.scheduler import Scheduler
from monitor.store.memory import MemoryStore, Shelf
from monitor.systemd import Notifier
from monitor.upkeep import Upkeep
from probes.contract import Context, Measurement, Observation, Probe, Reason, Unit
from tests.core.builders import check, world
from tests.end_to_end.rig import until
from tests.store.made import event
from tests.test_outbox import FakeSink, accept, hang, refuse, working
from tests.test_pipeline import Notes
from tests.test_scheduler import Hosted, Taken
from tests.test_scheduler import Notes as Seen
from tests.virtual_time import VirtualClock, run

CHECKS = "checks: [{name: home, probe: tcp, address: '192.0.2.1:80'}]\n"


# --- reading the file ----------------------------------------------------------------------------------------------


class Told(Notifier):
    """A service manager that writes down what it hears."""

    def __init__(self) -> None:
        super().__init__(None)
        self.heard: list[str] = []

    def reloading(self, clock: Any) -> bool:
        self.heard.append("reloading")
        return True

    def ready(self, status: str = "") -> bool:
        self.heard.append(status)
        return True


@dataclass
class Desk:
    """A reloader, the file that it reads, and what it did."""

    folder: Path
    told: Told = field(default_factory=Told)
    adopted: list[Config] = field(default_factory=list)
    outcomes: list[Reloaded] = field(default_factory=list)
    readings: int = 0
    hold: threading.Event | None = None
    blow_up: Exception | None = None

    def __post_init__(self) -> None:
        self.write(CHECKS)
        self.reloader = Reloader(
            self.read(),
            self.again,
            lambda config, _: self.adopted.append(config),
            self.outcomes.append,
            self.told,
            VirtualClock(),
        )

    def write(self, text: str) -> None:
        (self.folder / "checks.yaml").write_text(text)

    def read(self) -> Config:
        return load(self.folder / "checks.yaml", kinds=installed_kinds(), env={"HOME": "/nonexistent"})

    def again(self) -> Config:
        self.readings += 1
        if self.hold is not None:
            assert self.hold.wait(20)
        if self.blow_up is not None:
            raise self.blow_up
        return self.read()


async def begin(desk: Desk) -> asyncio.Task[None]:
    return asyncio.create_task(desk.reloader.run())


async def end(running: asyncio.Task[None]) -> None:
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_a_good_file_is_taken_over(desk: Desk) -> None:
    running = await begin(desk)
    desk.write(CHECKS.replace("192.0.2.1", "192.0.2.2"))
    outcome = await desk.reloader.ask()
    assert (outcome.accepted, outcome.sentence, outcome.number) == (True, "1 check changed", 1)
    assert [config.checks["home"].probe.target for config in desk.adopted] == ["192.0.2.2:80"]
    assert desk.told.heard == ["reloading", "watching 1 checks"]
    assert desk.reloader.as_json()["reload"]["sentence"] == "1 check changed"
    await end(running)


async def test_a_bad_file_changes_nothing(desk: Desk) -> None:
    running = await begin(desk)
    before = desk.reloader.config
    desk.write("checks: [{name: home, probe: tpc}]\n")
    with structlog.testing.capture_logs() as logged:
        outcome = await desk.reloader.ask()
    assert not outcome.accepted
    assert desk.adopted == []
    assert desk.reloader.config is before
    assert desk.reloader.refused is outcome
    assert [line["event"] for line in logged] == ["config_fault", "reload_refused"]
    assert "checks.yaml:1:" in logged[0]["fault"]
    assert "refused for 1 fault" in desk.told.heard[-1], "systemd is told that the reload has ended, and how"
    desk.write(CHECKS)
    await desk.reloader.ask()
    assert desk.reloader.refused is None
    await end(running)


@pytest.mark.parametrize("error", [ValueError("a bug of a probe"), MemoryError(), OSError("gone")])
async def test_whatever_happens_while_it_is_read_is_a_refusal(desk: Desk, error: Exception) -> None:
    desk.blow_up = error
    running = await begin(desk)
    with structlog.testing.capture_logs() as logged:
        outcome = await desk.reloader.ask()
    assert "see the agent's log" in outcome.faults[0].message
    assert logged[0]["event"] == "config_bug"
    await end(running)


async def test_a_refused_file_leaves_nothing_in_memory(desk: Desk) -> None:
    running = await begin(desk)
    desk.write("checks: [{name: home, probe: tpc}]\n")
    await desk.reloader.ask()
    kept = gc.get_freeze_count()
    errors = sum(isinstance(item, ConfigError) for item in gc.get_objects())
    for _ in range(3):
        await desk.reloader.ask()
    gc.collect()
    assert gc.get_freeze_count() == kept
    assert sum(isinstance(item, ConfigError) for item in gc.get_objects()) <= errors
    await end(running)


async def test_who_asks_while_it_is_read_shares_the_next_reading(desk: Desk) -> None:
    desk.hold = threading.Event()
    running = await begin(desk)
    first = desk.reloader.ask()
    await until(lambda: desk.readings > 0, "the reading to begin")
    desk.write(CHECKS.replace("home", "front"))
    later = [desk.reloader.ask() for _ in range(5)]
    desk.hold.set()
    assert (await first).number == 1
    assert {(await waiting).number for waiting in later} == {2}
    assert desk.readings == 2
    assert list(desk.reloader.config.checks) == ["front"]
    await end(running)


async def test_a_stop_during_a_reload_takes_nothing_over(desk: Desk) -> None:
    desk.hold = threading.Event()
    running = await begin(desk)
    first = desk.reloader.ask()
    await until(lambda: desk.readings > 0, "the reading to begin")
    later = asyncio.create_task(desk.reloader.wait())
    await asyncio.sleep(0)
    await end(running)
    with pytest.raises(Ended):
        await first
    assert await later is None
    assert await desk.reloader.wait() is None
    desk.hold.set()
    assert desk.adopted == []


async def test_many_faults_are_counted_on_the_log_and_told_whole(desk: Desk) -> None:
    desk.blow_up = ConfigError(tuple(Fault("checks.yaml", line, 1, "", "bad") for line in range(1, 301)))
    running = await begin(desk)
    with structlog.testing.capture_logs() as logged:
        outcome = await desk.reloader.ask()
    assert len(logged) == 101
    assert logged[-1]["faults"] == len(outcome.as_json()["faults"]) == 300
    await end(running)


# --- the scheduler -------------------------------------------------------------------------------------------------


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
        running = asyncio.create_task(scheduler.run())
        for at, others in steps:
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            scheduler.adopt(others, later or limit, 8)
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
        scheduler.adopt([check("home")], 5, 8)
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


# --- the pipeline --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Aimed(Probe):
    kind: ClassVar[str] = "aimed"
    measurements: ClassVar[tuple[Measurement, ...]] = (Measurement("response_time", Unit.SECONDS, "how long"),)

    url: str

    @property
    def target(self) -> str:
        return self.url

    async def look(self, context: Context) -> Observation:
        raise AssertionError("the runner of the test looks")


class Slow:
    """A runner whose looks last until the test lets them end."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def look(self, order: Order, memory: Any) -> Look:
        began = VirtualClock().now()
        await self.go.wait()
        return Look(order.check.id, Observation({}, Reason.REFUSED), began, VirtualClock().now())


@pytest.mark.parametrize("after", [None, Aimed("http://new/")])
def test_a_look_of_what_has_gone_meanwhile_does_not_count(after: Probe | None) -> None:
    async def main() -> None:
        before = world(check("home", probe=Aimed("http://old/")))
        slow, store, notes = Slow(), MemoryStore(), Notes()
        await store.open()
        pipeline = _pipeline(before, slow, store, notes)
        order = Order(before.judges["home"].check, 0.0, 5.0, scheduled=True)
        look = asyncio.create_task(pipeline.take(order))
        await asyncio.sleep(1)
        plan = world(check("home", probe=after) if after else check("other")).plan
        now, _ = succeed(before, plan, VirtualClock().now())
        pipeline.adopt(now, frozenset())
        slow.go.set()
        assert await look == Judgement()
        assert notes.looks == 0
        assert all(judge.last is None for judge in now.judges.values())
        assert await pipeline.take(replace(order, check=check("gone"))) == Judgement()
        await pipeline.settle()

    run(main())


def test_a_look_of_what_was_only_described_otherwise_counts() -> None:
    async def main() -> None:
        probe = Aimed("http://same/")
        before = world(check("home", probe=probe))
        slow, store, notes = Slow(), MemoryStore(), Notes()
        await store.open()
        pipeline = _pipeline(before, slow, store, notes)
        look = asyncio.create_task(pipeline.take(Order(before.judges["home"].check, 0.0, 5.0, scheduled=True)))
        await asyncio.sleep(1)
        now, _ = succeed(before, world(check("home", probe=probe, owner="web")).plan, VirtualClock().now())
        pipeline.adopt(now, frozenset())
        slow.go.set()
        await look
        assert notes.looks == 1
        assert now.judges["home"].last is not None

    run(main())


def test_what_was_pending_is_committed_before_what_a_reload_changes() -> None:
    async def main() -> None:
        before = world(check("home", probe=Aimed("http://old/")))
        slow, shelf, notes = Slow(), Shelf(), Notes()
        store = MemoryStore(shelf)
        await store.open()
        pipeline = _pipeline(before, slow, store, notes)
        slow.go.set()
        for _ in range(3):
            await asyncio.sleep(1)
            await pipeline.take(Order(before.judges["home"].check, 0.0, 5.0, scheduled=True))
        assert pipeline.uncommitted, "an outage, not yet written down"
        now, change = succeed(before, world(check("other")).plan, VirtualClock().now())
        pipeline.adopt(now, frozenset())
        assert change is not None
        pipeline.enter(change)
        await pipeline.settle()
        kinds = [body["type"] for body in reversed(await store.events(10))]
        assert kinds.index("incident.opened") < kinds.index("incident.resolved")
        assert kinds.count("incident.opened") == kinds.count("incident.resolved") == 1
        assert all(incident.resolved for incident in shelf.incidents.values())

    run(main())


def _pipeline(watched: World, slow: Slow, store: MemoryStore, notes: Notes) -> Pipeline:
    runner = cast(Runner, slow)
    return Pipeline(
        watched, runner, store, VirtualClock(), level_sinks=frozenset(), wake=lambda _: None, observer=notes
    )


# --- the outbox ----------------------------------------------------------------------------------------------------


def test_a_new_sink_gets_a_lane() -> None:
    async def main() -> None:
        first, second = FakeSink(), FakeSink()
        async with working(hook=first) as bench:
            bench.outbox.adopt({"hook": first, "chat": second})
            await bench.tell(event("e1", sinks=("hook", "chat")))
            await asyncio.sleep(1)
            assert (first.names, second.names) == (["e1"], ["e1"])

    run(main())


def test_a_corrected_sink_is_tried_at_once_and_the_old_one_never_again() -> None:
    async def main() -> None:
        wrong, right = FakeSink([refuse()]), FakeSink([accept])
        async with working(hook=wrong) as bench:
            await bench.tell(event("e1"))
            await asyncio.sleep(300)
            tries = len(wrong.names)
            bench.outbox.adopt({"hook": right})
            await asyncio.sleep(0.1)
            assert right.names == ["e1"], "nobody waits for five minutes after having corrected the address"
            assert len(wrong.names) == tries

    run(main())


def test_a_removed_sink_ends_what_it_sends_and_what_waits_is_given_up() -> None:
    async def main() -> None:
        slow = FakeSink([hang])
        async with working(hook=slow) as bench:
            await bench.tell(event("e1"), event("e2"))
            await asyncio.sleep(1)
            bench.outbox.adopt({})
            await asyncio.sleep(120)
            assert slow.names == ["e1"], "nothing more is begun"
            letters = await bench.store.dead_letters(10)
            assert sorted(letter.delivery.event_id for letter in letters) == ["e1", "e2"]
            assert [outcome for _, outcome, _ in bench.results] == [Outcome.RETRIED]

    run(main())


def test_a_sink_that_comes_back_at_once_loses_nothing_and_doubles_nothing() -> None:
    async def main() -> None:
        first, again = FakeSink(), FakeSink()
        async with working(hook=first) as bench:
            await bench.tell(event("e1"))
            bench.outbox.adopt({})
            bench.outbox.adopt({"hook": again})
            await bench.tell(event("e2"))
            await asyncio.sleep(300)
            assert sorted(first.names + again.names) == ["e1", "e2"]
            assert await bench.store.dead_letters(10) == []

    run(main())


# --- closing probes ------------------------------------------------------------------------------------------------


class Closing:
    kind = "closing"

    def __init__(self, close: Callable[[], Any] = lambda: None) -> None:
        self.closed = 0
        self._close = close

    async def close(self) -> None:
        self.closed += 1
        self._close()


def _broken() -> None:
    raise RuntimeError("a bug")


async def test_probes_are_closed_once_and_not_while_another_check_has_them() -> None:
    kept, gone, broken = Closing(), Closing(), Closing(_broken)

    def checks(*probes: Closing) -> list[Check]:
        return [check(str(number), probe=cast(Probe, probe)) for number, probe in enumerate(probes)]

    upkeep = Upkeep(checks(kept, gone, broken))
    upkeep.adopt(checks(kept))
    with structlog.testing.capture_logs() as logged:
        for probe in (kept, gone, broken):
            upkeep.release(cast(Probe, probe))
        await upkeep.close()
    assert (kept.closed, gone.closed, broken.closed) == (1, 1, 1), "the kept one at the end only"
    assert [line["event"] for line in logged] == ["probe_bug"]
