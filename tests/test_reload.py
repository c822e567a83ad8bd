"""Reading the file again: one at a time, beside the looks, and all or nothing."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog

from monitor.config.load import load
from monitor.config.model import Config, ConfigError, Fault
from monitor.kinds import installed_kinds
from monitor.reload import Accepted, Ended, Reloaded, Reloader
from monitor.systemd import Notifier
from tests.end_to_end.rig import until
from tests.virtual_time import VirtualClock

CHECKS = "checks: [{name: home, probe: tcp, address: '192.0.2.1:80'}]\n"


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
            self.adopt,
            self.outcomes.append,
            self.told,
            VirtualClock(),
        )

    async def adopt(self, found: Accepted) -> None:
        self.adopted.append(found.config)

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
    desk.blow_up = ConfigError(tuple(Fault("checks.yaml", line, 1, "", "bad") for line in range(1, 301)), more=50)
    running = await begin(desk)
    with structlog.testing.capture_logs() as logged:
        outcome = await desk.reloader.ask()
    assert len(logged) == 101
    assert logged[-1]["faults"] == 350
    assert (len(outcome.as_json()["faults"]), outcome.as_json()["more_faults"]) == (300, 50)
    assert outcome.sentence.startswith("refused for 350 faults")
    await end(running)
