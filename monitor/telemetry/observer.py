"""Watches what the agent does and never takes part: whoever calls it goes on as if it were not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from monitor.clock import Clock
from monitor.core.flags import flags
from monitor.core.judge import Judge
from monitor.core.model import Event, Impact, Look
from monitor.core.portions import Portion
from monitor.core.sight import Outlook
from monitor.core.world import World
from monitor.sending import SinkCondition, SinkState
from monitor.store.contract import Backlog, JournalCondition, StoreError
from monitor.telemetry.agent import SENDING, AgentCollector, AgentFigures, Tally, age
from monitor.telemetry.exposition import Family
from monitor.telemetry.loop import LoopWatch
from monitor.telemetry.series import (
    CHECK_FAMILIES,
    CHECK_WRITERS,
    SERVICE_FAMILY,
    CheckSeries,
    Clean,
    ServiceSeries,
)

RENDER_SLICE = 64
"""Checks whose fixed text is written at a time (about 1 ms); looks go on in between."""
WRITE_SLICE = 250
"""Checks of which a family is written at a time: a millisecond at most, and up to 100 KB."""
REFUSED_FOR = 6 * 3600.0
"""Seconds for which a dead letter is told: a token that expired at night is still told in the morning."""
FULL_FOR = 300.0
"""Seconds for which a listener that turned somebody away is told."""
BACKLOG_EVERY = 10.0

_FLAGS = Family(
    "brownout_check_flag",
    "gauge",
    "1 while a check is in maintenance, flaps, or is suppressed (explained by another); else there is no sample.",
)
_INCIDENTS = Family("brownout_incidents_open", "gauge", "Open incidents, by impact.")
_UNACKNOWLEDGED = Family("brownout_incidents_unacknowledged", "gauge", "Open incidents that nobody has, by impact.")

_T = TypeVar("_T")


class Backlogs(Protocol):
    """What the telemetry needs of a store."""

    async def backlog(self) -> Mapping[str, Backlog]: ...


class Telemetry:
    """Counts, and renders `/metrics`. `redact` takes secrets out of a tree of JSON values.

    `watch_loop` and `watch_outbox` are coroutines for the app to run as long as the agent does.
    """

    def __init__(
        self,
        world: World,
        *,
        clock: Clock,
        version: str,
        vantage: str,
        redact: Callable[[Any], Any] = lambda value: value,
        journal: Callable[[], JournalCondition] = JournalCondition,
        outlook: Callable[[], Outlook] = Outlook,
        sinks: Callable[[], Mapping[str, SinkState]] = dict,
    ) -> None:
        """`journal` tells how the journal is, `outlook` how the agent itself is, and `sinks` how the sinks stand, at
        each scrape."""
        self._clock = clock
        self._clean = Clean(redact)
        self._figures = AgentFigures()
        self._checks: dict[str, CheckSeries] = {}
        self._services: dict[str, ServiceSeries] = {}
        self._loop = LoopWatch(self._figures, clock)
        """(when, beats begun, beats missed) where this window and the one before began."""
        self._refused: dict[str, float] = {}
        """When each sink had its last dead letter, in monotonic seconds."""
        self._full: dict[str, float] = {}
        """When each listener last turned somebody away, in monotonic seconds."""
        self._figures.config_loaded = clock.now().at.timestamp()
        self._registry = CollectorRegistry(auto_describe=False)
        identity = {"version": version, "vantage": vantage}
        self._registry.register(
            AgentCollector(
                self._figures, identity, lambda: clock.now().at, lambda: self.loop_lag, journal, outlook, sinks
            )
        )
        self._sinks = sinks
        ProcessCollector(registry=self._registry)
        self._world = world
        self._watch(world, world.judges, world.services)

    def adopt(self, world: World, portions: Iterable[Portion]) -> None:
        """Watch what a reload has put in the place of something else; the counters of checks that stay go on."""
        self._world = world
        for portion in portions:
            before = {name: self._checks.pop(name) for name in portion.before.checks}
            for name in portion.before.services:
                del self._services[name]
            self._watch(world, portion.after.checks, portion.after.services, before)

    def _watch(
        self,
        world: World,
        checks: Iterable[str],
        services: Iterable[str],
        before: Mapping[str, CheckSeries] = MappingProxyType({}),
    ) -> None:
        for name in checks:
            judge, known = world.judges[name], before.get(name)
            if known is not None and known.judge is judge and known.check is judge.check:
                self._checks[name] = known
                continue
            series = self._checks[name] = CheckSeries(judge)
            if known is not None:
                series.carry_on(known)
        for name in services:
            self._services[name] = ServiceSeries(world.services[name])

    def write_anew(self) -> None:
        """Forget what is kept as text: the redactor has learnt more secrets."""
        self._clean.forget()
        for series in self._checks.values():
            series.stale = True
        for told in self._services.values():
            told.forget_text()

    # What the others call. None of these waits, fails, or takes more than a microsecond or two.

    def look(self, look: Look, judge: Judge) -> None:
        """A look was judged."""
        series = self._checks.get(judge.check.id)
        if series is not None:
            series.count(look)

    def missed(self, beats: int = 1) -> None:
        """Scheduled looks were left out."""
        self._figures.missed += beats

    def late(self, seconds: float) -> None:
        """A look began so long after its planned time."""
        self._figures.lateness.add(seconds)

    def in_flight(self, looks: int) -> None:
        """So many looks are under way."""
        self._figures.in_flight = looks

    def extra_dropped(self) -> None:
        """An extra look was left out."""
        self._figures.extra_dropped += 1

    def committed(self, changes: int, seconds: float) -> None:
        """One commit made so many changes durable."""
        self._figures.commits.add(seconds)
        self._figures.changes += changes

    def commit_failed(self) -> None:
        self._figures.commit_failures += 1

    def reloaded(self, loaded: datetime, *, accepted: bool) -> None:
        """The configuration was read again; what is in force is from `loaded`."""
        self._figures.config_ok, self._figures.config_loaded = accepted, loaded.timestamp()
        self._figures.reloads["accepted" if accepted else "refused"] += 1

    def unstorable(self) -> None:
        """One change or one check's memory cannot be stored, and was given up."""
        self._figures.unstorable += 1

    def arrival(self, door: str, result: str) -> None:
        """Something was sent to the agent. Both words come from closed sets: they become labels."""
        arrivals = self._figures.arrivals
        arrivals[door, result] = arrivals.get((door, result), 0) + 1

    def heartbeat(self, to: str, said: str, result: str) -> None:
        """A dead man's switch was told of us. The words come from closed sets: they become labels."""
        beats = self._figures.heartbeats
        beats[to, said, result] = beats.get((to, said, result), 0) + 1

    def told(self, events: Iterable[Event]) -> None:
        """These were committed."""
        for event in events:
            if event.type.value.startswith("incident.") and not event.body.get("drill"):
                kind = event.body.get("update", {}).get("kind") or event.type.value.removeprefix("incident.")
                self._figures.incident_events[kind] += 1

    def hook(self, name: str, result: str) -> None:
        """Something was sent to a hook of the configuration. The result comes from a closed set."""
        hooks = self._figures.hooks
        hooks[name, result] = hooks.get((name, result), 0) + 1

    def acted(self, action: str, result: str) -> None:
        """A run of an action has ended. The result comes from a closed set."""
        runs = self._figures.action_runs
        runs[action, result] = runs.get((action, result), 0) + 1

    def api_refused(self, kind: str) -> None:
        """A request was not let in. The word comes from a closed set: it becomes a label."""
        refused = self._figures.api_refused
        refused[kind] = refused.get(kind, 0) + 1

    def turned_away(self, listener: str) -> None:
        """A connection found no room. The word comes from a closed set: it becomes a label."""
        away = self._figures.turned_away
        away[listener] = away.get(listener, 0) + 1
        self._full[listener] = self._clock.now().tick

    def redefined(self, sinks: Iterable[str]) -> None:
        """A reload has changed or removed these sinks: what the ones before refused is told no more."""
        for sink in sinks:
            self._refused.pop(sink, None)

    def looks_lost(self, looks: int) -> None:
        """The history had to do without some looks."""
        self._figures.looks_lost += looks

    def delivery(self, sink: str, outcome: str, seconds: float) -> None:
        """One attempt to deliver ended. `outcome` comes from a closed set: it becomes a label."""
        figures = self._figures
        figures.deliveries[sink, outcome] = figures.deliveries.get((sink, outcome), 0) + 1
        if sink not in figures.sending:
            figures.sending[sink] = Tally(SENDING)
        figures.sending[sink].add(seconds)
        if outcome == "dead":
            self._refused[sink] = self._clock.now().tick

    # What runs beside them.

    async def watch_loop(self) -> None:
        """Measure, for ever, how late the event loop wakes us."""
        await self._loop.watch()

    @property
    def loop_lag(self) -> float:
        """The worst lag (s) of the last 15 to 30 s."""
        return self._loop.lag

    @property
    def recent_beats(self) -> tuple[int, int]:
        """(looks begun, looks left out) in the last 30 to 60 s."""
        return self._loop.recent_beats

    @property
    def refusing_sinks(self) -> tuple[str, ...]:
        """The sinks that had a dead letter in the last six hours, as far as this agent has run; also those that have
        accepted others since, as that one is gone all the same."""
        since = self._clock.now().tick - REFUSED_FOR
        return tuple(sorted(sink for sink, at in self._refused.items() if at > since))

    def sinks_that_are(self, condition: SinkCondition) -> tuple[str, ...]:
        """The sinks in this condition now, by name."""
        return tuple(sorted(name for name, state in self._sinks().items() if state.condition is condition))

    @property
    def full_listeners(self) -> tuple[str, ...]:
        """The listeners that have turned somebody away in the last five minutes."""
        since = self._clock.now().tick - FULL_FOR
        return tuple(sorted(listener for listener, at in self._full.items() if at > since))

    async def watch_outbox(self, store: Backlogs) -> None:
        """Read, for ever, how the sinks stand: a scrape must not wait for the store."""
        while True:
            try:
                self._figures.backlog = dict(await store.backlog())
            except StoreError:
                # An old figure would look like a fresh one; the failing journal itself is told by its own series.
                self._figures.backlog = {}
            await asyncio.sleep(BACKLOG_EVERY)

    @property
    def backlog(self) -> Mapping[str, Backlog]:
        """How the sinks stood when it was read last; empty when it could not be."""
        return self._figures.backlog

    @property
    def outbox_oldest_age(self) -> float | None:
        """Seconds that the oldest undelivered event has waited, over all sinks; None when nothing waits."""
        now = self._clock.now().at
        waiting = [age(backlog, now) for backlog in self._figures.backlog.values() if backlog.oldest is not None]
        return max(waiting, default=None)

    # The scrape.

    async def metrics(self, *, openmetrics: bool = False) -> AsyncIterator[bytes]:
        """`/metrics`, piece by piece; between the pieces the loop is free."""
        checks = tuple(self._checks.values())
        async for _ in self._fixed(checks):
            await asyncio.sleep(0)
        for family, write in zip(CHECK_FAMILIES, CHECK_WRITERS, strict=True):
            yield family.heading(openmetrics=openmetrics)
            for part in _slices(checks, WRITE_SLICE):
                yield "".join(map(write, part)).encode()
                await asyncio.sleep(0)
        async for piece in self._flags(checks, openmetrics=openmetrics):
            yield piece
        async for piece in self._service_metrics(openmetrics=openmetrics):
            yield piece
        render = generate_openmetrics if openmetrics else generate_latest
        yield render(self._registry)

    async def _fixed(self, checks: Sequence[CheckSeries]) -> AsyncIterator[None]:
        """Of those that no scrape has seen yet, the text that stays."""
        written = 0
        for series in checks:
            if not series.stale:
                continue
            series.fix(self._clean)
            written += 1
            if written % RENDER_SLICE == 0:
                yield

    async def _flags(self, checks: Sequence[CheckSeries], *, openmetrics: bool) -> AsyncIterator[bytes]:
        yield _FLAGS.heading(openmetrics=openmetrics)
        for part in _slices(checks, WRITE_SLICE):
            world = self._world
            told = [series.flagged(_FLAGS.sample, found) for series in part if (found := flags(world, series.judge))]
            yield "".join(told).encode()
            await asyncio.sleep(0)

    async def _service_metrics(self, *, openmetrics: bool) -> AsyncIterator[bytes]:
        services = tuple(self._services.values())
        yield SERVICE_FAMILY.heading(openmetrics=openmetrics)
        incidents: dict[str, Impact] = {}
        for part in _slices(services, WRITE_SLICE):
            for series in part:
                if incident := series.status.incident:
                    incidents[incident.id] = incident.impact
            yield "".join([series.states(self._clean) for series in part]).encode()
            await asyncio.sleep(0)
        given = self._world.handling.acknowledgement
        nobodys = [impact for name, impact in incidents.items() if given(name) is None]
        for family, impacts in ((_INCIDENTS, list(incidents.values())), (_UNACKNOWLEDGED, nobodys)):
            lines = [f'{family.sample}{{impact="{impact.value}"}} {impacts.count(impact)}\n' for impact in Impact]
            yield family.heading(openmetrics=openmetrics) + "".join(lines).encode()


def _slices(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
