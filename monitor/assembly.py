"""The parts of an agent, made and joined: the one place that names the concrete sinks, web server and outbox.

When they start and end is `monitor.app`'s; the list of them, and the journal, are in `monitor.parts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from random import Random
from typing import TextIO

import httpx

from monitor.actions import Actuator
from monitor.announcing import Announcer, Silencer
from monitor.calendars import Calendars
from monitor.clock import Clock
from monitor.config.model import Config
from monitor.core.lived import Definition
from monitor.core.model import Event, Journal
from monitor.core.world import World
from monitor.deadman import Deadman
from monitor.doors import doors_of
from monitor.drilling import Drills
from monitor.invitations import Invitations
from monitor.listeners import Listeners
from monitor.outbox import Outbox, Outcome
from monitor.parts import Parts, lookout_of, open_at, plan_of
from monitor.pipeline import Pipeline
from monitor.postmaster import Postmaster
from monitor.presence import Attendance, Listener, uptime
from monitor.recorder import Recorder
from monitor.reload import Reloader
from monitor.responding import Responder
from monitor.runner import Runner
from monitor.scheduler import Scheduler
from monitor.sinks.contract import Nature, Sink
from monitor.standing import Standing
from monitor.store.contract import Delivery
from monitor.store.lasting import LastingStore
from monitor.telemetry import Telemetry
from monitor.upkeep import Upkeep
from monitor.web import Feed, Post, Steering, View

KEEP_PATIENCE = 2.0
"""Seconds that whoever sent something waits for the journal; after that it is taken all the same."""


class Assembly:
    """One agent's parts, and what is in force."""

    world: World
    """Everything as it stands; there once the parts are joined. A reload brings another: ask for it anew each time,
    as for `config`, and keep neither. What a part has to take over is handed to its `adopt`."""
    parts: Parts

    def __init__(
        self,
        config: Config,
        *,
        store: LastingStore,
        sinks: Mapping[str, Sink] | None,
        clock: Clock,
        terminal: TextIO,
        upkeep: Upkeep,
        reloader: Reloader,
        standing: Standing,
    ) -> None:
        """`sinks` take the place of all those that the configuration names."""
        self.config = config
        self._store = store
        self._given_sinks = sinks
        self._clock = clock
        self._terminal = terminal
        self._upkeep = upkeep
        self._reloader = reloader
        self._standing = standing

    @property
    def sinks(self) -> Mapping[str, Sink]:
        return self.config.sinks if self._given_sinks is None else self._given_sinks

    def level_sinks(self) -> frozenset[str]:
        return frozenset(name for name, sink in self.sinks.items() if sink.nature is Nature.LEVEL)

    def join(
        self,
        journal: Journal,
        client: httpx.AsyncClient,
        runner: Runner,
        listeners: Listeners,
        attendance: Attendance,
    ) -> Parts:
        """Those that tell one another are joined by late calls: all are there before the first look."""
        agent = self.config.agent
        self._invitations = Invitations.of(agent.state_dir, journal.origin, agent.public_url)
        calendars = Calendars(self.config, client, self._clock)
        world = self.world = World(plan_of(self.config, calendars.shifts), journal, self._clock.now())
        telemetry = self._telemetry(world)
        outbox = self._outbox(client, telemetry, journal)
        recorder = Recorder(self._store, self._clock, telemetry.looks_lost, uptime=uptime)
        recorder.define(Definition(self._clock.now().at, world.plan))
        feed = Feed(self._store, lambda value: self.config.redactor.value(value))
        pipeline = self._pipeline(world, runner, attendance, outbox, telemetry, recorder, feed)
        self._store.everything = pipeline.writer.everything
        self._store.written_again = outbox.wake_all
        lookout = lookout_of(self.config, runner, self._clock, pipeline, world.sight, self._store, attendance)
        scheduler = self._scheduler(pipeline, telemetry)
        post = self._post(attendance, pipeline, scheduler)
        drills = Drills(pipeline, self._clock)
        actuator = Actuator(
            pipeline,
            lambda: self.config.actions,
            client,
            self._clock,
            lambda text: self.config.redactor.text(text),
            on_end=telemetry.acted,
        )
        view = self._view(telemetry, post, feed, pipeline, drills, actuator)
        sites = listeners.sites(view, self._turned_away)
        if (change := world.start(self._clock.now())) is not None:
            pipeline.writer.enter(change)
        others = (attendance, recorder, feed, lookout, drills, calendars, self._deadman(client, telemetry))
        self.parts = Parts(scheduler, pipeline, outbox, telemetry, sites, *others, actuator)
        return self.parts

    def _deadman(self, client: httpx.AsyncClient, telemetry: Telemetry) -> Deadman:
        return Deadman(
            lambda: self.config.agent.heartbeat,
            judges=lambda: self.world.judges.values(),
            troubles=lambda: self._standing.ailments(telemetry, self.world.sight, self.config.redactor.text),
            backlog=lambda: telemetry.backlog,
            client=client,
            clock=self._clock,
            redact=lambda text: self.config.redactor.text(text),
            on_result=telemetry.heartbeat,
        )

    def _telemetry(self, world: World) -> Telemetry:
        return Telemetry(
            world,
            clock=self._clock,
            version=version("brownout"),
            vantage=self.config.agent.vantage.name,
            redact=self.config.redactor.value,
            journal=lambda: self._store.condition,
            outlook=lambda: self.parts.lookout.outlook,
            sinks=lambda: self.parts.outbox.states,
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
            level_sinks=self.level_sinks(),
            wake=outbox.wake,
            observer=telemetry,
            presence=attendance.read,
            record=recorder.take,
            publish=lambda events: self._committed(feed, events),
            ask=lambda check: self.parts.scheduler.ask(check),
            follow=lambda check, judgement: self.parts.scheduler.follow(check, judgement),
            vouch=lambda look, check: self.parts.lookout.vouch(look, check),
        )

    def _outbox(self, client: httpx.AsyncClient, telemetry: Telemetry, journal: Journal) -> Outbox:
        return Outbox(
            self._store,
            self.sinks,
            client=client,
            terminal=self._terminal,
            clock=self._clock,
            random=Random(),  # noqa: S311  (jitter, not secrets)
            notes=journal.notes,
            invite=self._invitations.inviting,
            open_at=lambda: open_at(self.world),
            on_result=lambda *attempt: self._attempted(telemetry, *attempt),
        )

    def _committed(self, feed: Feed, events: Sequence[Event]) -> None:
        feed.publish(events)
        self.parts.telemetry.told(events)
        self.parts.drills.told(events)
        self.parts.actuator.told(events)

    def _attempted(
        self, telemetry: Telemetry, delivery: Delivery, outcome: Outcome, seconds: float, error: str
    ) -> None:
        telemetry.delivery(delivery.sink, outcome, seconds)
        self.parts.drills.settled(delivery, outcome, seconds, error)

    def _scheduler(self, pipeline: Pipeline, telemetry: Telemetry) -> Scheduler:
        limits = self.config.agent.limits
        return Scheduler(
            self.config.checks.values(),
            pipeline.look,
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
        self.parts.attendance.turned_away(listener)
        self.parts.telemetry.turned_away(listener)

    def _view(
        self,
        telemetry: Telemetry,
        post: Post,
        feed: Feed,
        pipeline: Pipeline,
        drills: Drills,
        actuator: Actuator,
    ) -> View:
        agent = self.config.agent
        return View(
            world=lambda: self.world,
            records=self._store,
            telemetry=telemetry,
            health=lambda: self._standing.health(telemetry, self.world.sight, self.config.redactor.text),
            clock=self._clock,
            version=version("brownout"),
            vantage=agent.vantage.name,
            started=self._clock.now().at,
            listen_host=agent.listen.host,
            public_url=agent.public_url,
            redact=self.config.redactor.value,
            post=post,
            tokens=lambda: self.config.agent.tokens,
            protected=lambda: self.config.agent.protected,
            feed=feed,
            announcements=Announcer(pipeline),
            silencer=Silencer(pipeline),
            doors=doors_of(pipeline, self._invitations, lambda: self.config.agent.hooks),
            responses=Responder(pipeline),
            drills=drills,
            acting=actuator,
            mail=Postmaster(
                lambda: self.parts.outbox, self._store, lambda: self.sinks, self._clock, agent.vantage.name
            ),
            steering=Steering(self._reloader.as_json, self._reloader.wait),
        )
