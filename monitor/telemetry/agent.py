"""The agent's own figures: plain tallies on the hot path, families of prometheus_client when a scrape asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from monitor.core.handled import Kind
from monitor.core.sight import Outlook, Trouble
from monitor.sending import SinkCondition, SinkState
from monitor.store.contract import Backlog, JournalCondition

LATENESS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SENDING = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
COMMITTING = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Tally:
    """A histogram in plain integers: prometheus_client's own takes a lock and five times as long."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, values up to it), as the formats write them."""
        names = [*map(floatToGoString, self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


@dataclass(slots=True)
class AgentFigures:
    """What has been counted so far. Times are seconds."""

    loop_lag: Tally = field(default_factory=lambda: Tally(LATENESS))
    lateness: Tally = field(default_factory=lambda: Tally(LATENESS))
    in_flight: int = 0
    missed: int = 0
    extra_dropped: int = 0
    commits: Tally = field(default_factory=lambda: Tally(COMMITTING))
    changes: int = 0
    commit_failures: int = 0
    unstorable: int = 0
    looks_lost: int = 0
    arrivals: dict[tuple[str, str], int] = field(default_factory=dict)
    heartbeats: dict[tuple[str, str, str], int] = field(default_factory=dict)
    api_refused: dict[str, int] = field(default_factory=dict)
    turned_away: dict[str, int] = field(default_factory=dict)
    incident_events: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("opened", *Kind, "resolved"), 0))
    hooks: dict[tuple[str, str], int] = field(default_factory=dict)
    action_runs: dict[tuple[str, str], int] = field(default_factory=dict)
    deliveries: dict[tuple[str, str], int] = field(default_factory=dict)
    sending: dict[str, Tally] = field(default_factory=dict)
    config_ok: bool = True
    """Whether the last reload was accepted; the start counts."""
    config_loaded: float = 0.0
    """When what is in force was read, in Unix time."""
    reloads: dict[str, int] = field(default_factory=lambda: {"accepted": 0, "refused": 0})
    backlog: Mapping[str, Backlog] = field(default_factory=dict)
    """As last read from the store; empty when it could not be read."""


class AgentCollector(Collector):
    """Turns the figures into families at each scrape. `now` and `worst_lag` are asked then."""

    def __init__(
        self,
        figures: AgentFigures,
        identity: Mapping[str, str],
        now: Callable[[], datetime],
        worst_lag: Callable[[], float],
        journal: Callable[[], JournalCondition],
        outlook: Callable[[], Outlook],
        sinks: Callable[[], Mapping[str, SinkState]],
    ) -> None:
        self._figures = figures
        self._identity = identity
        self._now = now
        self._worst_lag = worst_lag
        self._journal = journal
        self._outlook = outlook
        self._sinks = sinks

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily("brownout_agent", "The agent itself.", value=dict(self._identity))
        yield from self._seeing()
        yield from self._looking()
        yield from self._arriving()
        yield from self._responding()
        yield from self._committing()
        yield from self._delivering()
        yield from self._waiting()
        yield from self._standing()
        yield from self._configured()

    def _configured(self) -> Iterable[Metric]:
        figures = self._figures
        told = "Whether the configuration was accepted when it was last read (1) or not (0)."
        yield _gauge("brownout_config_reload_success", told, int(figures.config_ok))
        told = "When the configuration in force was read, in Unix time."
        yield _gauge("brownout_config_loaded_timestamp_seconds", told, figures.config_loaded)
        reloads = CounterMetricFamily(
            "brownout_config_reloads", "Reloads, by what became of them.", labels=["result"]
        )
        for result, count in figures.reloads.items():
            reloads.add_metric([result], count)
        yield reloads

    def _seeing(self) -> Iterable[Metric]:
        outlook = self._outlook()
        trouble = GaugeMetricFamily(
            "brownout_agent_trouble", "1 while the agent itself is in this trouble.", labels=["trouble"]
        )
        for name in Trouble:
            trouble.add_metric([name.value], float(name in outlook.troubles))
        yield trouble
        witness = GaugeMetricFamily(
            "brownout_witness_answers", "1 while a witness of the agent's own network has answered lately.",
            labels=["witness"],
        )  # fmt: skip
        for address, answers in outlook.witnesses.items():
            witness.add_metric([address], float(answers))
        yield witness
        ours = CounterMetricFamily(
            "brownout_looks_relabelled",
            "Looks that were said to be the agent's own trouble, by the reason they got.",
            labels=["reason"],
        )
        for reason, count in outlook.relabelled.items():
            ours.add_metric([reason.value], count)
        yield ours

    def _looking(self) -> Iterable[Metric]:
        figures = self._figures
        yield _histogram("brownout_loop_lag_seconds", "How late the event loop wakes up.", figures.loop_lag)
        yield _gauge("brownout_loop_lag_max_seconds", "The worst of the last half minute.", self._worst_lag())
        yield _histogram(
            "brownout_look_start_lateness_seconds", "How late looks begin after their planned time.", figures.lateness
        )
        yield _gauge("brownout_looks_in_flight", "Looks under way.", figures.in_flight)
        yield _counter(
            "brownout_missed_beats",
            "Scheduled looks left out: the one before was not over or had found no room, or the agent was paused.",
            figures.missed,
        )
        yield _counter(
            "brownout_extra_looks_dropped",
            "Extra looks left out: too late to prove anything, or too many of one check under way.",
            figures.extra_dropped,
        )

    def _arriving(self) -> Iterable[Metric]:
        arrivals = CounterMetricFamily(
            "brownout_arrivals", "Pings and pushes that arrived, by what became of them.", labels=["door", "result"]
        )
        for (door, result), count in self._figures.arrivals.items():
            arrivals.add_metric([door, result], count)
        yield arrivals
        beats = CounterMetricFamily(
            "brownout_heartbeats",
            "What the agent has told dead man's switches of itself (well, trouble), by whether they took it.",
            labels=["to", "said", "result"],
        )
        for (to, said, result), count in self._figures.heartbeats.items():
            beats.add_metric([to, said, result], count)
        yield beats
        refused = CounterMetricFamily(
            "brownout_api_refused",
            "Requests to the API that were not let in, by what they lacked.",
            labels=["reason"],
        )
        for reason, count in self._figures.api_refused.items():
            refused.add_metric([reason], count)
        yield refused
        away = CounterMetricFamily(
            "brownout_connections_turned_away",
            "Connections that found no room; a ping may have been among them.",
            labels=["listener"],
        )
        for listener, count in self._figures.turned_away.items():
            away.add_metric([listener], count)
        yield away

    def _responding(self) -> Iterable[Metric]:
        events = CounterMetricFamily(
            "brownout_incident_events",
            "What was told of incidents, by kind: escalated is a step that was taken, as nobody had acknowledged it.",
            labels=["kind"],
        )
        for kind, count in self._figures.incident_events.items():
            events.add_metric([kind], count)
        yield events
        hooks = CounterMetricFamily(
            "brownout_hooks",
            "What others have sent to /hooks, by what became of it: done, ignored, or refused (not signed, say).",
            labels=["hook", "result"],
        )
        for (hook, result), count in self._figures.hooks.items():
            hooks.add_metric([hook, result], count)
        yield hooks
        runs = CounterMetricFamily(
            "brownout_action_runs",
            "Actions taken about incidents, by what became of them: done, failed, or dry (on trial).",
            labels=["action", "result"],
        )
        for (action, result), count in self._figures.action_runs.items():
            runs.add_metric([action, result], count)
        yield runs

    def _committing(self) -> Iterable[Metric]:
        figures, journal = self._figures, self._journal()
        failures = figures.commit_failures + journal.failures
        yield _histogram("brownout_commit_seconds", "Time taken by commits to the journal.", figures.commits)
        yield _counter("brownout_commits", "Commits to the journal.", sum(figures.commits.counts))
        yield _counter("brownout_changes_committed", "Changes made durable by them.", figures.changes)
        yield _counter("brownout_commit_failures", "Writes that the journal refused.", failures)
        yield _counter("brownout_unstorable", "Changes and memories given up as unstorable.", figures.unstorable)
        yield _counter(
            "brownout_history_looks_lost",
            "Looks that the history lacks, as it could not be written.",
            figures.looks_lost,
        )
        yield _gauge("brownout_journal_writable", "1 while the journal can be written.", float(not journal.trouble))
        yield _gauge("brownout_journal_waiting_events", "Events that only memory has yet.", journal.waiting)
        yield _counter("brownout_journal_damaged", "Damaged journals that were kept aside.", journal.damaged)
        dropped = CounterMetricFamily(
            "brownout_memory_outbox_dropped",
            "Events given up for want of room while the journal could not be written, by whether each sink had them.",
            labels=["sent"],
        )
        dropped.add_metric(["no"], journal.unsent)
        dropped.add_metric(["yes"], journal.forgotten)
        yield dropped

    def _delivering(self) -> Iterable[Metric]:
        deliveries = CounterMetricFamily(
            "brownout_deliveries", "Attempts to deliver an event, by their outcome.", labels=["sink", "outcome"]
        )
        for (sink, outcome), count in self._figures.deliveries.items():
            deliveries.add_metric([sink, outcome], count)
        yield deliveries
        sending = HistogramMetricFamily("brownout_delivery_seconds", "Time taken by one attempt.", labels=["sink"])
        for sink, tally in self._figures.sending.items():
            sending.add_metric([sink], tally.buckets(), tally.total)
        yield sending

    def _standing(self) -> Iterable[Metric]:
        condition = GaugeMetricFamily(
            "brownout_sink_condition",
            "1 for the condition that a sink is in: fine, failing (its breaker is open), disabled (410).",
            labels=["sink", "condition"],
        )
        gathered = CounterMetricFamily(
            "brownout_sink_gathered", "Events that were told within another message.", labels=["sink"]
        )
        handed = CounterMetricFamily(
            "brownout_sink_handed_over", "Events that the fallback of a sink was told of instead.", labels=["sink"]
        )
        for sink, state in self._sinks().items():
            for name in SinkCondition:
                condition.add_metric([sink, name.value], float(name is state.condition))
            gathered.add_metric([sink], state.gathered)
            handed.add_metric([sink], state.handed_over)
        yield from (condition, gathered, handed)

    def _waiting(self) -> Iterable[Metric]:
        now = self._now()
        waiting = GaugeMetricFamily("brownout_outbox_waiting", "Deliveries not yet accepted.", labels=["sink"])
        dead = GaugeMetricFamily("brownout_outbox_dead", "Deliveries given up.", labels=["sink"])
        oldest = GaugeMetricFamily(
            "brownout_outbox_oldest_age_seconds", "Age of the oldest event that waits; 0 when none.", labels=["sink"]
        )
        for sink, backlog in self._figures.backlog.items():
            waiting.add_metric([sink], backlog.waiting)
            dead.add_metric([sink], backlog.dead)
            oldest.add_metric([sink], age(backlog, now))
        yield from (waiting, dead, oldest)


def age(backlog: Backlog, now: datetime) -> float:
    """Seconds since the oldest waiting event happened; 0 when nothing waits or the clock ran backwards."""
    return max((now - backlog.oldest).total_seconds(), 0.0) if backlog.oldest else 0.0


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, value=value)


def _counter(name: str, told: str, value: float) -> Metric:
    return CounterMetricFamily(name, told, value=value)


def _histogram(name: str, told: str, tally: Tally) -> Metric:
    parts: dict[str, Any] = {"buckets": tally.buckets(), "sum_value": tally.total}
    return HistogramMetricFamily(name, told, **parts)
