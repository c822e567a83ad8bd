"""Extra looks are numbered, so that each begins with another address of its target."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from monitor.core.judgement import Judgement
from monitor.runner import Order
from monitor.scheduler import Scheduler
from tests.core.builders import check
from tests.test_scheduler import Notes
from tests.virtual_time import VirtualClock, run


def test_each_extra_look_has_a_number_of_its_own_also_where_several_are_launched_at_once() -> None:
    orders: list[Order] = []

    async def take(order: Order) -> Callable[[], Judgement]:
        orders.append(order)
        await asyncio.sleep(1.5)
        burst = (0.5, 0.5, 0.5, 0.7) if order.scheduled else ()
        return lambda: Judgement(burst=burst, pace=None if len(orders) > 12 else 1.0)

    async def main() -> None:
        scheduler = Scheduler(
            [check()], take, lambda _order: Judgement(), lambda _name: 2.0, VirtualClock(),
            limit=500, limit_per_host=8, observer=Notes(),
        )  # fmt: skip
        running = asyncio.create_task(scheduler.run())
        await asyncio.sleep(120)
        running.cancel()
        await asyncio.wait((running,))

    run(main())
    turns = [order.turn for order in orders if not order.scheduled]
    assert len(turns) >= 8
    assert turns == list(range(1, len(turns) + 1))
    assert {order.turn for order in orders if order.scheduled} == {0}
