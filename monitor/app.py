"""The composition root: one agent from its start to its end, and what a reload brings into force.

Starting is all or nothing: what can be wrong (port, state directory, journal) is found before the first look. How the
parts are made and joined is in `monitor.assembly`; how they run side by side, and end in order, in `monitor.duty`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from importlib.metadata import version
from typing import TextIO

import structlog

from monitor import address, collector, heap
from monitor.assembly import Assembly
from monitor.clock import Clock, SystemClock
from monitor.config.model import Config
from monitor.core.lived import Definition, just_seen
from monitor.core.model import Journal
from monitor.core.world import World
from monitor.duty import Duty
from monitor.listeners import Listeners
from monitor.parts import lasting_store, plan_of
from monitor.presence import Attendance
from monitor.reload import Accepted, Ended, Reloaded, Reloader, tell_hints
from monitor.runner import new_runner
from monitor.sinks._http import new_client
from monitor.sinks.contract import Sink
from monitor.standing import Standing
from monitor.start import StartError, Stop
from monitor.store.contract import StoreError
from monitor.store.lasting import LastingStore
from monitor.systemd import Notifier, Watchdog
from monitor.takeover import PAUSE, Takeover
from monitor.upkeep import Upkeep

__all__ = ["Agent", "StartError"]

STOP = 4.0
"""Seconds that a stop takes at most, whatever hangs; the steps share them."""
CLOSE = 0.4
"""Seconds that probes get to be closed when the agent stops."""

SWITCH_INTERVAL = 0.0005
"""Seconds that a thread of ours may keep the interpreter while the loop waits for it; Python's own 5 ms are felt as
late looks whenever the history is sealed or a file is read again (docs/performance.md)."""

_log = structlog.get_logger("brownout")


class Agent:
    """One agent. The ports can be replaced, which is how tests crash it and the demo shows it."""

    def __init__(
        self,
        config: Config,
        *,
        load: Callable[[], Config] | None = None,
        store: LastingStore | None = None,
        sinks: Mapping[str, Sink] | None = None,
        clock: Clock | None = None,
        terminal: TextIO | None = None,
    ) -> None:
        """`load` reads the configuration again, for a reload; `sinks` take the place of all those that it names."""
        self._clock = clock or SystemClock()
        self._store = store or lasting_store(config)
        self._upkeep = Upkeep(config.checks.values())
        self._ending: Stop | None = None
        self._notifier = Notifier.from_environ(os.environ)
        self._reloader = Reloader(
            config, load or (lambda: config), self._adopt, self._told, self._notifier, self._clock
        )
        self.started = asyncio.Event()
        """Set once the agent looks and answers."""
        watchdog = Watchdog.from_environ(os.environ, self._notifier, self._clock)
        self._standing = Standing(self._clock, watchdog, self._store, self._reloader, self.started)
        self._assembly = Assembly(
            config,
            store=self._store,
            sinks=sinks,
            clock=self._clock,
            terminal=terminal or sys.stdout,
            upkeep=self._upkeep,
            reloader=self._reloader,
            standing=self._standing,
        )

    @property
    def world(self) -> World:
        """Everything as it stands; there once `started` is set. A reload brings another."""
        return self._assembly.world

    async def run(self, stop: asyncio.Event) -> None:
        """Start, watch until `stop` is set, stop in order. Raises `StartError`, or a group of what killed a part."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        async with AsyncExitStack() as stack:
            listeners = Listeners(self._assembly.config.agent)
            stack.callback(listeners.close)
            journal = await self._open_store(stack)
            client = await stack.enter_async_context(new_client())
            attendance = Attendance(self._clock)
            config = self._assembly.config
            runner = stack.enter_context(
                new_runner(self._clock, config.redactor.text, attendance.reachable, config.agent.resolver)
            )
            stack.push_async_callback(self._close_probes)
            gc.disable()
            parts = self._assembly.join(journal, client, runner, listeners, attendance)
            for site in parts.sites:
                await site.start()
                stack.push_async_callback(site.stop)
            # What is there now stays: looking through it for garbage would pause the loop, 100 ms with 1,000 checks.
            collector.begin()
            heap.trim()
            duty = Duty(parts, self._store, self._reloader, self._notifier)
            stack.callback(address.forget, self._assembly.config.agent.state_dir)
            await duty.serve(stop, partial(self._announce, listeners.urls(parts.sites)), self._begin_end)
            _log.info("stopped")

    @property
    def cut_short(self) -> bool:
        """Whether something hung when the agent stopped, and was given up: its thread may hang on."""
        return self._ending is not None and self._ending.cut_short

    def _begin_end(self) -> Stop:
        self._standing.stopping = True
        return self._end()

    def _end(self) -> Stop:
        """What the end may take, from its first step on."""
        self._ending = self._ending or Stop(STOP)
        return self._ending

    async def _close_probes(self) -> None:
        await self._end().give(CLOSE, "probes", self._upkeep.close())

    async def _close_store(self) -> None:
        await self._end().give(STOP, "journal", self._store.close())

    def reload(self) -> None:
        """Have the configuration read again; what becomes of it is told on the log, the page and in the API."""
        with suppress(Ended):
            self._reloader.ask()

    async def _adopt(self, found: Accepted) -> None:
        """Put another configuration into force, slice by slice: nobody sees half of a service."""
        assembly, config = self._assembly, found.config
        sinks, parts = assembly.sinks, assembly.parts
        assembly.config = config
        parts.feed.review()
        self._upkeep.adopt(config.checks.values())
        parts.telemetry.redefined(name for name, sink in sinks.items() if assembly.sinks.get(name) is not sink)
        parts.outbox.adopt(assembly.sinks)
        parts.scheduler.resize(config.agent.limits.looks, config.agent.limits.looks_per_host)
        if found.learnt:
            parts.telemetry.write_anew()
        parts.calendars.adopt(config)
        plan = plan_of(config, parts.calendars.shifts)
        level_sinks = assembly.level_sinks()
        now = self._clock.now()
        parts.recorder.define(Definition(now.at, plan, just_seen(assembly.world.judges, now)))
        takeover = Takeover(assembly.world, plan, found.portions, parts, level_sinks, self._clock)
        assembly.world = takeover.step()
        while not takeover.done:
            await asyncio.sleep(PAUSE)
            assembly.world = takeover.step()

    def _told(self, outcome: Reloaded) -> None:
        self._assembly.parts.telemetry.reloaded(self._reloader.loaded, accepted=outcome.accepted)

    async def _open_store(self, stack: AsyncExitStack) -> Journal:
        stack.push_async_callback(self._close_store)
        try:
            return await self._store.open()
        except StoreError as error:
            raise StartError(str(error)) from None

    def _announce(self, urls: Sequence[str]) -> None:
        config, (page, *public) = self._assembly.config, urls
        _log.info(
            "started",
            version=version("brownout"),
            checks=len(config.checks),
            page=page,
            **({"public_page": public[0]} if public else {}),
            state_dir=str(config.agent.state_dir),
        )
        address.tell(config.agent.state_dir, page)
        tell_hints(config)
        self._notifier.ready(f"watching {len(config.checks)} checks")
        self.started.set()
