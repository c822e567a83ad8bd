"""An agent on duty: its parts run side by side until it is told to stop, and end in order.

A part that dies takes the others down, loudly. The end: no new looks, then the last changes into the journal, then
the sends under way, then the last looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from monitor import collector
from monitor.parts import Parts
from monitor.reload import Reloader
from monitor.start import Stop, cancelled, for_ever
from monitor.store.lasting import LastingStore
from monitor.systemd import Notifier

SETTLE = 1.5
"""Seconds that the last changes get to be written when the agent stops."""
DRAIN = 2.0
"""Seconds that sends under way get to finish when the agent stops."""
RECORD = 0.4
"""Seconds that the last looks get to be written then."""


class Duty:
    """`serve` returns when the end has come, in order or cut short."""

    def __init__(self, parts: Parts, store: LastingStore, reloader: Reloader, notifier: Notifier) -> None:
        self._parts = parts
        self._store = store
        self._reloader = reloader
        self._notifier = notifier

    async def serve(self, stop: asyncio.Event, begun: Callable[[], None], ending: Callable[[], Stop]) -> None:
        """Until `stop` is set. `begun` is called when all parts run, `ending` when they begin to end: it tells how
        long that may take. Raises a group of what killed a part."""
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(for_ever("scheduler", self._parts.scheduler.run()))
            committing = group.create_task(for_ever("pipeline", self._parts.pipeline.writer.run()))
            reloading = group.create_task(for_ever("reload", self._reloader.run()))
            others = [group.create_task(for_ever(name, part)) for name, part in self._others()]
            begun()
            await stop.wait()
            end = ending()
            await cancelled(reloading)
            self._notifier.stopping("stopping: no new looks; writing down and sending what is left")
            await cancelled(looking)
            await cancelled(committing)
            await self._finish(end)
            for task in others:
                await cancelled(task)

    def _others(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """The parts that go on until all is written and sent."""
        parts = self._parts
        yield "agenda", parts.pipeline.keep_time()
        yield "outbox", parts.outbox.run()
        yield "loop watch", parts.telemetry.watch_loop()
        yield "outbox watch", parts.telemetry.watch_outbox(self._store)
        yield "vantage", parts.lookout.run()
        yield "presence", parts.attendance.watch()
        yield "calendars", parts.calendars.run()
        yield "history", parts.recorder.run()
        yield "journal", self._store.run()
        yield "collector", collector.search()
        yield "actions", parts.actuator.run()
        yield "heartbeat", parts.deadman.run()

    async def _finish(self, end: Stop) -> None:
        parts = self._parts
        await end.give(SETTLE, "the last changes", parts.pipeline.writer.settle())
        # Slow clients wait beside slow sinks, not behind them.
        await asyncio.gather(parts.outbox.drain(DRAIN), *(site.stop() for site in parts.sites))
        await end.give(RECORD, "the last looks", parts.recorder.settle())
