"""Everything but sockets, in virtual time: scheduler, runner, core, journal and outbox over hours, in seconds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import ClassVar

from probes.contract import Context, Observation, Reason
from tests.core.builders import check
from tests.simulation import Simulated, Witness, simulate, simulated


@dataclass(frozen=True, slots=True)
class Neighbour(Simulated):
    """One of many at the same host and port."""

    kind: ClassVar[str] = "neighbour"

    @property
    def host(self) -> str | None:
        return "shared.example.com"

    async def look(self, context: Context) -> Observation:
        seen = await Simulated.look(self, context)
        return replace(seen, evidence={"address": "192.0.2.1:443"})


@dataclass(frozen=True, slots=True)
class Slowing(Simulated):
    """Twice as slow from the third to the fourth hour."""

    kind: ClassVar[str] = "slowing"

    async def look(self, context: Context) -> Observation:
        now = asyncio.get_running_loop().time()
        took = 0.2 * (2 if 7200 <= now < 10800 else 1) * Random(now).lognormvariate(0, 0.1)
        await asyncio.sleep(took)
        return Observation({"response_time": took})


def test_a_day_of_forty_checks_with_lost_packets_wakes_nobody() -> None:
    chance = Random(7)

    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if chance.random() < 0.001 else None

    every = timedelta(minutes=5)
    notebook, counter = simulate([simulated(f"c{n}", truth, every=every) for n in range(40)], 86400)
    assert notebook.told() == []
    assert 40 * 288 * 0.99 < counter.looks < 40 * 288 * 1.05
    assert counter.skipped == 0


def test_an_outage_is_told_within_seconds_of_its_first_failing_look_and_ends_once() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.REFUSED if 600 <= at < 1200 else None

    notebook, _ = simulate([simulated("home", truth)], 1800)
    assert notebook.told() == [
        ("incident.opened", "outage"),
        ("incident.updated", "degradation"),
        ("incident.resolved", "resolved"),
    ]
    opened, _, resolved = (at for at, _ in notebook.pages)
    assert 605 <= opened <= 600 + 30 + 6
    assert 1210 <= resolved <= 1200 + 30 + 45


def test_a_target_that_swallows_packets_is_told_too() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if at >= 600 else None

    notebook, _ = simulate([simulated("home", truth)], 900)
    assert notebook.told() == [("incident.opened", "outage")]
    assert notebook.pages[0][0] <= 600 + 30 + 8, "extra looks overlap the one that hangs"


def test_fifty_checks_of_one_silent_host_are_all_called_down_in_the_time_of_one() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if at >= 600 else None

    checks = [replace(simulated(f"c{n}", truth), probe=Neighbour(f"c{n}", truth)) for n in range(50)]
    notebook, counter = simulate(checks, 700)
    assert notebook.told() == [("incident.opened", "outage")] * 50
    assert notebook.pages[-1][0] <= 600 + 30 + 8, "the last one, as any of them alone"
    assert counter.looks < 50 * 24 + 50 * 60, "what is told counts as a look; nobody waits for a run of his own"


def test_a_host_that_takes_most_connections_is_not_dead_for_its_many_checks() -> None:
    chance = Random(5)

    def truth(name: str, at: float) -> Reason | None:
        return Reason.REFUSED if 600 <= at < 900 and chance.random() < 0.4 else None

    checks = [replace(simulated(f"c{n}", truth), probe=Neighbour(f"c{n}", truth)) for n in range(20)]
    notebook, _ = simulate(checks, 1000)
    outages = [page for _, page in notebook.pages if page["state"]["new"] == "outage"]
    assert not outages
    assert len(notebook.pages) >= 20


def test_a_third_of_requests_failing_is_a_degradation_and_no_outage() -> None:
    chance = Random(3)

    def truth(name: str, at: float) -> Reason | None:
        return Reason.STATUS if 600 <= at < 4200 and chance.random() < 1 / 3 else None

    notebook, _ = simulate([simulated("home", truth)], 6000)
    assert set(notebook.told()) == {("incident.opened", "degradation"), ("incident.resolved", "resolved")}
    assert notebook.pages[0][0] < 600 + 300
    assert len(notebook.pages) <= 6


def test_twice_as_slow_as_usual_is_a_degradation_within_seconds_and_ends_once() -> None:
    slowing = check("home", probe=Slowing("home", lambda name, at: None), usual="response_time")
    notebook, counter = simulate([slowing], 4 * 3600)
    assert notebook.told() == [("incident.opened", "degradation"), ("incident.resolved", "resolved")]
    (opened, event), (resolved, _) = notebook.pages
    assert opened <= 7200 + 30 + 20
    assert resolved <= 10800 + 30 + 45
    assert "usual is 200 ms ± " in event["sentence"]
    assert counter.looks < 4 * 120 * 1.2


def test_our_own_trouble_is_never_told_as_theirs() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.NO_ROUTE if 600 <= at < 1200 else None

    notebook, _ = simulate([simulated(f"c{n}", truth) for n in range(20)], 1800)
    assert notebook.told() == []


def test_to_ask_a_witness_first_delays_no_outage() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.REFUSED if at >= 600 else None

    told = []
    for number in range(4):
        notebook, _ = simulate([simulated(f"c{number}", truth)], 700, witnesses=Witness())
        assert notebook.told() == [("incident.opened", "outage")]
        told.append(notebook.pages[0][0] - 600)
    assert max(told) <= 30 + 5.5


def test_our_own_network_is_told_once_and_its_targets_never() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if 600 <= at < 900 else None

    notebook, _ = simulate(
        [simulated(f"c{n}", truth) for n in range(6)], 1800, events="agent.", witnesses=Witness((600, 900))
    )
    assert notebook.told() == [("agent.impaired", "impaired"), ("agent.recovered", "well")]


def test_a_real_outage_right_behind_our_own_is_told() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if 600 <= at < 900 or (name == "c0" and at >= 600) else None

    notebook, _ = simulate(
        [simulated(f"c{n}", truth) for n in range(5)], 1200, events="", witnesses=Witness((600, 900))
    )
    assert notebook.told() == [
        ("agent.impaired", "impaired"),
        ("agent.recovered", "well"),
        ("incident.opened", "outage"),
    ]
    assert notebook.pages[-1][0] <= 900 + 30 + 20


def test_a_blip_of_our_own_network_is_told_to_nobody() -> None:
    def truth(name: str, at: float) -> Reason | None:
        return Reason.CONNECT_TIMEOUT if 600 <= at < 605 else None

    notebook, _ = simulate(
        [simulated(f"c{n}", truth) for n in range(10)], 900, events="", witnesses=Witness((600, 605))
    )
    assert notebook.told() == []
