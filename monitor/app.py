"""The composition root: the one place that names the concrete sinks, web server and clock, and joins the parts.

Starting is all or nothing: what can be wrong (port, state directory, journal) is found before the first look. How the
parts run side by side, and end in order, is in `monitor.duty`; `monitor.parts` names the journal.
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
from random import Random
from typing import TextIO

import httpx
import structlog

from monitor import address
from monitor.announcing import Announcer
from monitor.clock import Clock, SystemClock
from monitor.config.model import Config
from monitor.core.lived import Definition, just_seen
from monitor.core.model import Journal
from monitor.core.world import World
from monitor.duty import Duty
from monitor.listeners import Listeners
from monitor.outbox import Outbox
from monitor.parts import Parts, lasting_store, lookout_of, plan_of
from monitor.pipeline import Pipeline
from monitor.presence import Attendance, Listener, uptime
from monitor.recorder import Recorder
from monitor.reload import Accepted, Ended, Reloaded, Reloader, tell_hints
from monitor.runner import Runner, new_runner
from monitor.scheduler import Scheduler
from monitor.sinks._http import new_client
from monitor.sinks.contract import Nature, Sink
from monitor.standing import Standing
from monitor.start import StartError, Stop
from monitor.store.contract import StoreError
from monitor.store.lasting import LastingStore
from monitor.systemd import Notifier, Watchdog
from monitor.takeover import PAUSE, Takeover
from monitor.telemetry import Telemetry
from monitor.upkeep import Upkeep
from monitor.web import Feed, Post, Steering, View

__all__ = ["Agent", "StartError"]

KEEP_PATIENCE = 2.0
"""Seconds that whoever sent something waits for the journal; after that it is taken all the same."""
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

    world: World
    """Everything as it stands; there once `started` is set. A reload brings another: ask for it anew each time, as
    for `_config`, and keep neither. What a part has to take over is handed to its `adopt`."""

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
        self._config = config
        self._clock = clock or SystemClock()
        self._store = store or lasting_store(config)
        self._given_sinks = sinks
        self._upkeep = Upkeep(config.checks.values())
        self._terminal = terminal or sys.stdout
        self._ending: Stop | None = None
        self._notifier = Notifier.from_environ(os.environ)
        self._reloader = Reloader(
            config, load or (lambda: config), self._adopt, self._told, self._notifier, self._clock
        )
        self.started = asyncio.Event()
        """Set once the agent looks and answers."""
        watchdog = Watchdog.from_environ(os.environ, self._notifier, self._clock)
        self._standing = Standing(self._clock, watchdog, self._store, self._reloader, self.started)

    async def run(self, stop: asyncio.Event) -> None:
        """Start, watch until `stop` is set, stop in order. Raises `StartError`, or a group of what killed a part."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        async with AsyncExitStack() as stack:
            listeners = Listeners(self._config.agent)
            stack.callback(listeners.close)
            journal = await self._open_store(stack)
            client = await stack.enter_async_context(new_client())
            attendance = Attendance(self._clock)
            runner = stack.enter_context(new_runner(self._clock, self._config.redactor.text, attendance.reachable))
            stack.push_async_callback(self._close_probes)
            gc.disable()
            self._parts = parts = self._assemble(journal, client, runner, listeners, attendance)
            for site in parts.sites:
                await site.start()
                stack.push_async_callback(site.stop)
            # What is there now stays: looking through it for garbage would pause the loop, 100 ms with 1,000 checks.
            gc.collect()
            gc.freeze()
            gc.enable()
            duty = Duty(parts, self._store, self._reloader, self._notifier)
            stack.callback(address.forget, self._config.agent.state_dir)
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

    @property
    def _sinks(self) -> Mapping[str, Sink]:
        return self._config.sinks if self._given_sinks is None else self._given_sinks

    def reload(self) -> None:
        """Have the configuration read again; what becomes of it is told on the log, the page and in the API."""
        with suppress(Ended):
            self._reloader.ask()

    async def _adopt(self, found: Accepted) -> None:
        """Put another configuration into force, slice by slice: nobody sees half of a service."""
        config, sinks, parts = found.config, self._sinks, self._parts
        self._config = config
        parts.feed.review()
        self._upkeep.adopt(config.checks.values())
        parts.telemetry.redefined(name for name, sink in sinks.items() if self._sinks.get(name) is not sink)
        parts.outbox.adopt(self._sinks)
        parts.scheduler.resize(config.agent.limits.looks, config.agent.limits.looks_per_host)
        if found.learnt:
            parts.telemetry.write_anew()
        plan, level_sinks = plan_of(config), self._level_sinks()
        now = self._clock.now()
        parts.recorder.define(Definition(now.at, plan, just_seen(self.world.judges, now)))
        takeover = Takeover(self.world, plan, found.portions, parts, level_sinks, self._clock)
        self.world = takeover.step()
        while not takeover.done:
            await asyncio.sleep(PAUSE)
            self.world = takeover.step()

    def _told(self, outcome: Reloaded) -> None:
        self._parts.telemetry.reloaded(self._reloader.loaded, accepted=outcome.accepted)

    def _level_sinks(self) -> frozenset[str]:
        return frozenset(name for name, sink in self._sinks.items() if sink.nature is Nature.LEVEL)

    async def _open_store(self, stack: AsyncExitStack) -> Journal:
        stack.push_async_callback(self._close_store)
        try:
            return await self._store.open()
        except StoreError as error:
            raise StartError(str(error)) from None

    def _assemble(
        self,
        journal: Journal,
        client: httpx.AsyncClient,
        runner: Runner,
        listeners: Listeners,
        attendance: Attendance,
    ) -> Parts:
        """Those that tell one another are joined by late calls: all are there before the first look."""
        world = self.world = World(plan_of(self._config), journal, self._clock.now())
        telemetry = self._telemetry(world)
        outbox = self._outbox(client, telemetry)
        recorder = Recorder(self._store, self._clock, telemetry.looks_lost, uptime=uptime)
        recorder.define(Definition(self._clock.now().at, world.plan))
        feed = Feed(self._store, lambda value: self._config.redactor.value(value))
        pipeline = self._pipeline(world, runner, attendance, outbox, telemetry, recorder, feed)
        self._store.everything = pipeline.writer.everything
        lookout = lookout_of(self._config, runner, self._clock, pipeline, world.sight, self._store, attendance)
        scheduler = self._scheduler(pipeline, telemetry)
        post = self._post(attendance, pipeline, scheduler)
        sites = listeners.sites(self._view(telemetry, post, feed, Announcer(pipeline)), self._turned_away)
        if (change := world.start(self._clock.now())) is not None:
            pipeline.writer.enter(change)
        return Parts(scheduler, pipeline, outbox, telemetry, sites, attendance, recorder, feed, lookout)

    def _telemetry(self, world: World) -> Telemetry:
        return Telemetry(
            world,
            clock=self._clock,
            version=version("brownout"),
            vantage=self._config.agent.vantage.name,
            redact=self._config.redactor.value,
            journal=lambda: self._store.condition,
            outlook=lambda: self._parts.lookout.outlook,
        )

    def _pipeline(
        self,
        world: World,
        runner: Runner,
        attendance: Attendance,
        outbox: Outbox,
        telemetry: Telemetry,
        recorder: Recorder,
        feed: Feed,
    ) -> Pipeline:
        return Pipeline(
            world,
            runner,
            self._store,
            self._clock,
            level_sinks=self._level_sinks(),
            wake=outbox.wake,
            observer=telemetry,
            presence=attendance.read,
            record=recorder.take,
            publish=feed.publish,
            ask=lambda check: self._parts.scheduler.ask(check),
            follow=lambda check, judgement: self._parts.scheduler.follow(check, judgement),
            vouch=lambda look, check: self._parts.lookout.vouch(look, check),
        )

    def _outbox(self, client: httpx.AsyncClient, telemetry: Telemetry) -> Outbox:
        return Outbox(
            self._store,
            self._sinks,
            client=client,
            terminal=self._terminal,
            clock=self._clock,
            random=Random(),  # noqa: S311  (jitter, not secrets)
            on_result=telemetry.delivery,
        )

    def _scheduler(self, pipeline: Pipeline, telemetry: Telemetry) -> Scheduler:
        limits = self._config.agent.limits
        return Scheduler(
            self._config.checks.values(),
            pipeline.take,
            pipeline.pass_over,
            lambda check: self.world.judges[check].extra_timeout,
            self._clock,
            limit=limits.looks,
            limit_per_host=limits.looks_per_host,
            observer=telemetry,
            progress=self._standing.progressed,
            released=self._upkeep.release,
            soft_deadline=pipeline.soft_deadline,
            overdue=pipeline.overdue,
        )

    def _post(self, attendance: Attendance, pipeline: Pipeline, scheduler: Scheduler) -> Post:
        return Post(
            attendance.read,
            keep=lambda check: pipeline.writer.keep(check, KEEP_PATIENCE),
            ask=scheduler.ask,
            open=lambda: not self._standing.stopping,
            heard=attendance.heard,
        )

    def _turned_away(self, listener: Listener) -> None:
        self._parts.attendance.turned_away(listener)
        self._parts.telemetry.turned_away(listener)

    def _view(self, telemetry: Telemetry, post: Post, feed: Feed, announcer: Announcer) -> View:
        agent = self._config.agent
        return View(
            world=lambda: self.world,
            records=self._store,
            telemetry=telemetry,
            health=lambda: self._standing.health(telemetry, self.world.sight, self._config.redactor.text),
            clock=self._clock,
            version=version("brownout"),
            vantage=agent.vantage.name,
            started=self._clock.now().at,
            listen_host=agent.listen.host,
            public_url=agent.public_url,
            redact=self._config.redactor.value,
            post=post,
            tokens=lambda: self._config.agent.tokens,
            protected=lambda: self._config.agent.protected,
            feed=feed,
            announcements=announcer,
            steering=Steering(self._reloader.as_json, self._reloader.wait),
        )

    def _announce(self, urls: Sequence[str]) -> None:
        config, (page, *public) = self._config, urls
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
