"""The outbox with other sinks, in virtual time; and the end of probes that were replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import structlog

from monitor.claiming import REMOVED
from monitor.core.model import Check
from monitor.outbox import Outcome
from monitor.start import Stop
from monitor.store.contract import Delivery
from monitor.store.memory import MemoryStore
from monitor.upkeep import PATIENCE, Upkeep
from probes.contract import Probe
from tests.core.builders import check
from tests.sending import FakeSink, accept, hang, refuse, working
from tests.store.made import event
from tests.virtual_time import run


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


def test_a_sink_that_is_removed_while_its_rows_are_claimed_is_told_none_of_them() -> None:
    class Slow(MemoryStore):
        meanwhile: Callable[[], None] | None = None

        async def claim(self, *given: Any, **more: Any) -> list[Delivery]:
            rows = await super().claim(*given, **more)
            if rows and self.meanwhile is not None:
                self.meanwhile()
            return rows

    async def main() -> None:
        store, sink = Slow(), FakeSink()
        async with working(store, hook=sink) as bench:
            store.meanwhile = lambda: bench.outbox.adopt({})
            await bench.tell(event("e1"))
            await asyncio.sleep(1)
            assert sink.names == []
            [letter] = await bench.store.dead_letters(10)
            assert letter.error == REMOVED

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


def test_probes_that_do_not_close_hold_nobody_up() -> None:
    """Side by side, and no longer than the stop may take; one that fails costs the others nothing."""

    class Hanging(Closing):
        async def close(self) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        good, loop = Closing(), asyncio.get_running_loop()
        probes = (Hanging(), Closing(_broken), good, Hanging())
        upkeep = Upkeep(check(str(number), probe=cast(Probe, probe)) for number, probe in enumerate(probes))
        await upkeep.close()
        assert (good.closed, loop.time()) == (1, PATIENCE)
        began, stop = loop.time(), Stop(4.0)
        for limit in (0.5, 3.0, 3.0):
            await stop.give(limit, "probes", upkeep.close())
        assert loop.time() - began == 4.0
        assert stop.cut_short

    with structlog.testing.capture_logs() as logged:
        run(main())
    assert [line["step"] for line in logged if line["event"] == "stop_cut_short"] == ["probes"] * 3


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
