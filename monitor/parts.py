"""What an agent is made of: the parts that run side by side, the plan, the stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from monitor.actions import Actuator
from monitor.calendars import Calendars
from monitor.clock import Clock
from monitor.config.model import Config
from monitor.core.event import Source
from monitor.core.handled import Updates
from monitor.core.plan import Plan
from monitor.core.rota import Directory, Shift
from monitor.core.sight import Ailment, Sight, Trouble
from monitor.core.world import World
from monitor.deadman import Deadman
from monitor.drilling import Drills
from monitor.outbox import Outbox
from monitor.pipeline import Pipeline
from monitor.presence import Attendance
from monitor.recorder import Recorder
from monitor.runner import Runner
from monitor.scheduler import Scheduler
from monitor.sinks.contract import Nature
from monitor.store.lasting import LastingStore
from monitor.store.sqlite import SqliteStore
from monitor.telemetry import Telemetry
from monitor.vantage import Lookout
from monitor.web import Feed, Site
from monitor.witnesses import Witnesses

LOCK_PATIENCE = timedelta(seconds=1)
"""How long another program may hold the journal until pages go out without it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs side by side."""

    scheduler: Scheduler
    pipeline: Pipeline
    outbox: Outbox
    telemetry: Telemetry
    sites: tuple[Site, ...]
    """The inner one, and that for the world, if there is one."""
    attendance: Attendance
    recorder: Recorder
    feed: Feed
    lookout: Lookout
    drills: Drills
    calendars: Calendars
    deadman: Deadman
    actuator: Actuator


def lasting_store(config: Config) -> LastingStore:
    agent = config.agent
    return LastingStore(
        SqliteStore(agent.state_dir, vantage=agent.vantage.name, retention=agent.history, busy_timeout=LOCK_PATIENCE)
    )


def lookout_of(
    config: Config,
    runner: Runner,
    clock: Clock,
    pipeline: Pipeline,
    sight: Sight,
    store: LastingStore,
    attendance: Attendance,
) -> Lookout:
    """Tells the pipeline of the agent's own trouble, and passive probes that nothing can arrive."""

    def report(ailments: Sequence[Ailment]) -> None:
        attendance.cut_off(yes=any(item.trouble is Trouble.NETWORK for item in ailments))
        pipeline.sighted(ailments)

    attendance.cut_off(yes=sight.has(Trouble.NETWORK) is not None)
    return Lookout(
        config.agent.vantage.reference,
        Witnesses(runner.resolver, servers=config.agent.resolver.servers),
        clock,
        report,
        sight,
        heard=pipeline.heard_from,
        journal=lambda: store.condition.trouble,
    )


def plan_of(config: Config, shifts: Mapping[str, Sequence[Shift]] | None = None) -> Plan:
    """`shifts`: those of calendars, by the rota's name; what is put there later counts from then on."""
    return Plan(
        checks=config.checks,
        services=config.services,
        routes=config.routes,
        source=Source(config.agent.vantage.name, config.agent.public_url, config.redactor.text),
        sinks=frozenset(config.sinks),
        maintenance=config.maintenance,
        human=frozenset(name for name, sink in config.sinks.items() if sink.nature is Nature.HUMAN),
        updates={name: sink.updates for name, sink in config.sinks.items() if sink.updates is not Updates.ALL},
        actions={name: action.rule for name, action in config.actions.items()},
        acts=config.agent.actions,
        roster=Directory(
            frozenset(config.sinks),
            config.people,
            config.groups,
            config.oncall.rotas,
            shifts if shifts is not None else {},
        ),
    )


def open_at(world: World) -> dict[str, dict[str, None]]:
    """By each sink that was told of something whose end it was not told: what that is, by its stream in the outbox.
    Sinks that are gone are among them."""
    incidents = [status.incident for status in world.services.values() if status.incident]
    incidents += [drill.incident for drill in world.drills.values()]
    streams = [(incident.id, incident.told) for incident in incidents]
    impaired = [world.sight.told or frozenset(), *(batch.told for batch in world.unjudged.batches.values())]
    streams += [(f"agent:{world.plan.source.vantage}", told) for told in impaired]
    found: dict[str, dict[str, None]] = {}
    for stream, told in streams:
        for sink in told:
            found.setdefault(sink, {})[stream] = None
    return found
