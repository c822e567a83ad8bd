"""The runner: whatever a probe does, the outcome is a look; time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from errno import EMFILE
from typing import Any, ClassVar, cast

import pytest
import structlog

from monitor.core.model import Look
from monitor.runner import GRACE, TRUSTED_LATENESS, Order, Runner
from probes.contract import Context, Measurement, Observation, Probe, Reason, Resolver, TlsContexts
from tests.core.builders import check
from tests.virtual_time import VirtualClock, run

Behaviour = Callable[[Context], Awaitable[Observation]]
FINE = Observation({"response_time": 0.1})


class Unused:
    """No probe here resolves a name or speaks TLS."""


@dataclass(frozen=True, slots=True)
class Acting(Probe):
    behaviour: Behaviour
    kind: ClassVar[str] = "acting"
    measurements: ClassVar[tuple[Measurement, ...]] = ()

    @property
    def target(self) -> str:
        return "nowhere"

    async def look(self, context: Context) -> Observation:
        return await self.behaviour(context)


def runner() -> Runner:
    return Runner(VirtualClock(), cast(Resolver, Unused()), cast(TlsContexts, Unused()))


def order(behaviour: Behaviour, *, due: float = 0.0, timeout: float = 5.0, scheduled: bool = True) -> Order:
    watched = check(probe=Acting(behaviour), timeout=timedelta(seconds=timeout))
    return Order(watched, due, timeout, scheduled)


def look(behaviour: Behaviour, **facts: Any) -> Look:
    async def main() -> Look:
        await asyncio.sleep(100)
        return await runner().look(order(behaviour, **facts), {})

    return run(main())


def takes(seconds: float, outcome: Observation) -> Behaviour:
    async def behave(context: Context) -> Observation:
        await asyncio.sleep(seconds)
        return outcome

    return behave


def returns(value: Any) -> Behaviour:
    async def behave(context: Context) -> Observation:
        return cast(Observation, value)

    return behave


def test_what_the_probe_saw_with_its_circumstances() -> None:
    taken = look(takes(1.5, FINE), due=99.9, scheduled=False)
    assert taken.observation is FINE
    assert taken.check == "home"
    assert (taken.began.tick, taken.ended.tick) == (100.0, 101.5)
    assert taken.lateness == pytest.approx(0.1)
    assert not taken.scheduled


def test_a_look_before_its_time_is_not_late() -> None:
    assert look(returns(FINE), due=100.5).lateness == 0.0


def test_the_probe_is_told_whether_windows_count_its_look() -> None:
    told: list[bool] = []

    async def behave(context: Context) -> Observation:
        told.append(context.scheduled)
        return FINE

    look(behave)
    look(behave, scheduled=False)
    assert told == [True, False]


def test_the_probe_is_handed_its_limit_and_the_memory_of_its_check() -> None:
    async def behave(context: Context) -> Observation:
        context.memory["seen"] = context.timeout
        return FINE

    async def main() -> None:
        memory: dict[str, float | str] = {}
        await runner().look(order(behave, timeout=3.0), memory)
        assert memory == {"seen": 3.0}

    run(main())


@pytest.mark.parametrize("error", [ZeroDivisionError("hunter2"), OSError(5, "hunter2"), KeyError("hunter2")])
def test_a_bug_in_a_probe_is_an_observation_and_is_logged_with_its_check(error: Exception) -> None:
    async def behave(context: Context) -> Observation:
        raise error

    with structlog.testing.capture_logs() as logged:
        taken = look(behave)
    assert taken.observation == Observation(reason=Reason.PROBE_BUG, detail=type(error).__name__)
    [line] = logged
    assert (line["event"], line["check"], line["probe"]) == ("probe_bug", "home", "acting")


@pytest.mark.parametrize(
    ("error", "detail"),
    [(OSError(EMFILE, "hunter2"), "no file can be opened"), (MemoryError(), "no memory can be had")],
)
def test_what_runs_out_in_a_probe_is_no_bug_of_it(error: Exception, detail: str) -> None:
    async def behave(context: Context) -> Observation:
        raise error

    async def main() -> None:
        memory: dict[str, float | str] = {"learned": "for weeks"}
        taken = await runner().look(order(behave), memory)
        assert taken.observation == Observation(reason=Reason.NO_DESCRIPTORS, detail=detail)
        assert memory == {"learned": "for weeks"}

    run(main())


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        {"response_time": 0.1},
        Observation({"response_time": cast(float, "0.1")}),
        Observation({cast(str, 5): 0.1}),
        Observation(phases={"dns": cast(float, None)}),
        Observation(evidence={"status": cast(str, 200)}),
        Observation(reason=cast(Reason, "refused")),
        Observation(detail=cast(str, b"refused")),
    ],
)
def test_what_is_no_observation_is_a_bug_in_the_probe(value: Any) -> None:
    with structlog.testing.capture_logs() as logged:
        taken = look(returns(value))
    assert taken.observation == Observation(reason=Reason.PROBE_BUG, detail="TypeError")
    assert len(logged) == 1


def test_a_probe_that_does_not_end_is_stopped() -> None:
    stopped = []

    async def behave(context: Context) -> Observation:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(asyncio.get_running_loop().time())
        return FINE

    taken = look(behave, timeout=2.0)
    assert taken.observation.reason is Reason.OVERRUN
    assert taken.observation.detail == "stopped after 2.5 s"
    assert stopped == [100.0 + 2.0 + GRACE]


def test_a_probe_that_reports_its_own_timeout_is_believed() -> None:
    refused = Observation({"response_time": 2.0}, Reason.CONNECT_TIMEOUT)
    assert look(takes(2.0 + TRUSTED_LATENESS - 0.01, refused), timeout=2.0).observation == refused


def test_a_failure_that_ended_long_after_its_limit_is_void() -> None:
    """The agent was paused: SIGSTOP, a suspended laptop, a starved machine."""

    async def main() -> Look:
        loop = asyncio.get_running_loop()

        async def behave(context: Context) -> Observation:
            loop._jumping.time += 400  # type: ignore[attr-defined]
            return Observation(reason=Reason.CONNECT_TIMEOUT)

        return await runner().look(order(behave, timeout=2.0), {})

    taken = run(main())
    assert taken.observation.reason is Reason.LATE
    assert taken.observation.detail == "the look ended 398.0 s after its limit"


def test_a_success_is_believed_however_late_we_notice_it() -> None:
    assert look(takes(2.4, FINE), timeout=2.0).observation is FINE


def test_cancelling_is_prompt_and_gets_through_to_the_probe() -> None:
    cleaned = []

    async def behave(context: Context) -> Observation:
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.append(True)
        return FINE

    async def main() -> float:
        looking = asyncio.create_task(runner().look(order(behave, timeout=3600), {}))
        await asyncio.sleep(1)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        return asyncio.get_running_loop().time()

    assert run(main()) == 1.0
    assert cleaned == [True]
