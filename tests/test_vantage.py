"""The lookout, in virtual time: looks that wait for a witness, and what is made of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from monitor.core.model import Check, Look, Moment
from monitor.core.sight import Ailment, Sight, Trouble
from monitor.vantage import PATIENCE, Lookout
from monitor.witnesses import LIMIT
from probes.contract import Observation, Reason
from tests.core.builders import Still, check
from tests.virtual_time import VirtualClock, run


class Remote(Still):
    kind: ClassVar[str] = "remote"

    @property
    def host(self) -> str | None:
        return "203.0.113.9"


@dataclass
class World:
    """Witnesses that answer after a while, or not at all."""

    answers: bool | None = True
    delay: float = 0.05
    asked: int = 0
    reports: list[tuple[Ailment, ...]] = field(default_factory=list)
    journal: str = ""
    gateways: bool | None = None
    names: bool | None = None
    cable: str = ""
    heard: set[str] = field(default_factory=set)

    def report(self, ailments: Sequence[Ailment]) -> None:
        self.reports.append(tuple(ailments))

    @property
    def troubles(self) -> list[list[Trouble]]:
        return [[item.trouble for item in items] for items in self.reports]

    # What the lookout asks.

    async def reference(self, host: str, port: int) -> bool | None:
        self.asked += 1
        return await self._answer(self.answers)

    async def gateway(self) -> bool | None:
        return await self._answer(self.gateways)

    async def resolvers(self) -> bool | None:
        return await self._answer(self.names)

    def link(self) -> str:
        return self.cable

    async def _answer(self, answers: bool | None) -> bool | None:
        await asyncio.sleep(self.delay if answers else LIMIT)
        return answers


def lookout_of(world: World, sight: Sight | None = None, references: int = 2) -> Lookout:
    clock = VirtualClock()
    return Lookout(
        [(f"192.0.2.{number}", 53) for number in range(1, references + 1)],
        world,
        clock,
        world.report,
        sight or Sight(None, clock.now()),
        heard=world.heard.add,
        journal=lambda: world.journal,
        uptime=asyncio.get_running_loop().time,
    )


def now() -> Moment:
    return VirtualClock().now()


def seen(reason: Reason | None = Reason.CONNECT_TIMEOUT, *, took: float = 0.5, detail: str = "") -> Look:
    ended = now()
    began = Moment(ended.at, ended.tick - took)
    return Look("home", Observation({"response_time": took}, reason, detail), began, ended)


def home(**fields: Any) -> Check:
    return check("home", probe=fields.pop("probe", Remote()), **fields)


def living(scene: Any, *, world: World | None = None, **fields: Any) -> World:
    """Play a scene beside a lookout that runs."""
    there = world or World()

    async def main() -> None:
        lookout = lookout_of(there, **fields)
        running = asyncio.create_task(lookout.run())
        await asyncio.sleep(20)
        await scene(lookout, there)
        running.cancel()
        await asyncio.wait((running,))

    run(main())
    return there


def test_a_failed_look_waits_for_one_round_trip() -> None:
    async def scene(lookout: Lookout, world: World) -> None:
        look = seen()
        assert await lookout.vouch(look, home()) is look
        assert 0.05 <= now().tick - look.ended.tick < 0.2

    there = living(scene)
    assert there.reports == []
    assert there.heard == {"192.0.2.1:53", "192.0.2.2:53"}


def test_looks_that_need_no_witness_do_not_wait() -> None:
    async def scene(lookout: Lookout, world: World) -> None:
        world.answers = False
        for look in (seen(None), seen(Reason.STATUS), seen(Reason.DNS_SERVFAIL)):
            assert await lookout.vouch(look, home()) is look
        look = seen()
        assert await lookout.vouch(look, home(probe=Still())) is not look, "nobody knows where it looks"
        assert await lookout.vouch(seen(None), home(probe=Still())) is not None

    living(scene)


def test_silent_witnesses_make_it_ours_within_seconds_and_until_they_answer() -> None:
    async def scene(lookout: Lookout, world: World) -> None:
        world.answers = False
        look = seen(detail="203.0.113.9:443")
        began = now().tick
        ours = await lookout.vouch(look, home())
        assert 1.5 <= now().tick - began <= 2.5
        assert ours.observation.reason is Reason.OWN_NETWORK
        assert ours.observation.measurements == {}
        assert ours.observation.detail.endswith("answers (connect_timeout: 203.0.113.9:443)")
        assert world.troubles == [[Trouble.NETWORK]]
        assert (await lookout.vouch(seen(), home())).observation.reason is Reason.OWN_NETWORK
        fine = seen(None)
        assert await lookout.vouch(fine, home()) is fine
        world.answers = True
        await asyncio.sleep(5)
        assert world.troubles == [[Trouble.NETWORK], []]
        across = seen(None, took=6)
        assert (await lookout.vouch(across, home())).observation.reason is Reason.OWN_NETWORK
        later = seen()
        assert await lookout.vouch(later, home()) is later

    living(scene)


def test_many_looks_that_fail_share_the_questions() -> None:
    async def scene(lookout: Lookout, world: World) -> None:
        before = world.asked
        await asyncio.gather(*(lookout.vouch(seen(), check(f"c{n}", probe=Remote())) for n in range(100)))
        assert world.asked - before <= 4

    living(scene)


def test_looks_of_one_check_come_back_in_order() -> None:
    async def scene(lookout: Lookout, world: World) -> None:
        order = []

        async def taken(look: Look) -> None:
            order.append((await lookout.vouch(look, home())).observation.reason)

        world.delay = 0.3
        failed = asyncio.create_task(taken(seen()))
        await asyncio.sleep(0.01)
        await asyncio.gather(failed, taken(seen(None)), taken(seen(Reason.REFUSED)))
        assert order == [Reason.CONNECT_TIMEOUT, None, Reason.REFUSED]

    living(scene)


def test_no_look_waits_for_longer_than_its_patience() -> None:
    async def scene(lookout: Lookout, world: World) -> None:
        world.answers = None  # we could not even ask
        look = seen()
        assert await lookout.vouch(look, home()) is look
        assert now().tick - look.ended.tick <= PATIENCE + 0.1

    assert living(scene).reports == []


def test_without_references_nobody_waits() -> None:
    async def scene(lookout: Lookout, world: World) -> None:
        look = seen()
        assert await lookout.vouch(look, home()) is look
        assert now().tick == look.ended.tick

    living(scene, references=0)


def test_a_journal_that_cannot_be_written_is_trouble() -> None:
    async def scene(lookout: Lookout, world: World) -> None:
        world.journal = "the disk is full"
        await asyncio.sleep(3)
        world.journal = ""
        await asyncio.sleep(10)

    assert living(scene).troubles == [[Trouble.JOURNAL], []]


def test_what_the_agent_before_had_told_is_well_again_after_a_while() -> None:
    there = World()

    async def main() -> None:
        ailment = Ailment(Trouble.NETWORK, now(), "nobody answered")
        sight = Sight(None, now())
        sight.become([ailment], now(), "test")
        lookout = lookout_of(there, sight)
        running = asyncio.create_task(lookout.run())
        assert (await lookout.vouch(seen(), home())).observation.reason is Reason.OWN_NETWORK
        await asyncio.sleep(30)
        running.cancel()
        await asyncio.wait((running,))

    run(main())
    assert there.reports == [()]


def test_without_references_the_gateway_tells() -> None:
    async def scene(lookout: Lookout, world: World) -> None:
        look = seen()
        assert await lookout.vouch(look, home()) is look
        world.gateways = False
        ours = await lookout.vouch(seen(), home())
        assert ours.observation.detail.startswith("the gateway does not answer either")
        world.gateways = True
        await asyncio.sleep(5)
        assert world.troubles == [[Trouble.NETWORK], []]

    living(scene, world=World(gateways=True), references=0)


def test_without_any_witness_the_cable_tells() -> None:
    async def scene(lookout: Lookout, world: World) -> None:
        world.cable = "eth0 has no carrier"
        await asyncio.sleep(3)
        assert world.reports == [], "no look has failed"
        ours = await lookout.vouch(seen(), home())
        assert ours.observation.detail.startswith("eth0 has no carrier")
        world.cable = ""
        await asyncio.sleep(4)
        assert world.troubles == [[Trouble.NETWORK], []]
        look = seen()
        assert await lookout.vouch(look, home()) is look

    living(scene, references=0)


def test_a_resolver_that_falls_silent_is_trouble_once_a_look_lacks_a_name() -> None:
    async def scene(lookout: Lookout, world: World) -> None:
        world.names = False
        for _ in range(10):
            await lookout.vouch(seen(Reason.DNS_SERVFAIL), home())
            await asyncio.sleep(1)
        assert world.troubles == [[Trouble.RESOLVER]]
        world.names = True
        await asyncio.sleep(3)
        assert world.troubles == [[Trouble.RESOLVER], []]
        world.names = False
        await asyncio.sleep(20)
        assert len(world.troubles) == 2, "nobody has missed it yet"
        await asyncio.sleep(40)
        assert world.troubles[2:] == [[Trouble.RESOLVER]]

    living(scene, world=World(names=True))


def test_a_machine_that_starts_sooner_than_its_router_pages_nobody() -> None:
    there = World(answers=False)

    async def main() -> None:
        sight = Sight(None, now())
        sight.remember(["192.0.2.1:53"], now())
        lookout = lookout_of(there, sight)
        running = asyncio.create_task(lookout.run())
        await asyncio.sleep(1)
        assert (await lookout.vouch(seen(), home())).observation.reason is Reason.OWN_NETWORK
        there.answers = True
        await asyncio.sleep(10)
        running.cancel()
        await asyncio.wait((running,))

    run(main())
    assert there.troubles == [[Trouble.NETWORK], []]
