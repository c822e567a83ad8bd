"""How the agent itself is: from a handful of facts to words, and to ``application/health+json``.

The format is draft-inadarei-api-health-check-06, an expired draft that many tools read all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.core.wording import iso
from monitor.store.contract import JournalCondition

STALLED = 15.0
"""Seconds without progress of the scheduler that are a failure: half of what systemd's watchdog allows."""
LAGGING = 1.0
"""Seconds of loop lag that are worth a warning: looks begin late, and times may be void."""
BACKLOG = 300.0
"""Seconds that an event may wait for its sink before it is worth a warning."""
LEFT_OUT, LEFT_OUT_FEWEST = 0.01, 10
"""The part of looks, and their number, that may be left out before it is worth a warning."""

_RANK = ("pass", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Health:
    """What the app knows of itself. Times are seconds; `outbox_oldest_age` is None when nothing waits.

    `refusing_sinks` have had a dead letter lately; `beats_begun` and `beats_missed` are those of the last minute.
    """

    scheduler_progress_age: float
    loop_lag: float
    outbox_oldest_age: float | None
    refusing_sinks: tuple[str, ...]
    beats_begun: int
    beats_missed: int
    ready: bool
    stopping: bool
    config_ok: bool
    journal: JournalCondition = JournalCondition()  # noqa: RUF009  (frozen)
    config_fault: str = ""
    """The first thing wrong with a changed configuration that was refused."""
    blindness: str = ""
    """Why the agent cannot see, in a sentence; empty while it can."""
    failing_sinks: tuple[str, ...] = ()
    """The sinks whose breaker is open."""
    disabled_sinks: tuple[str, ...] = ()
    """The sinks that want nothing more."""
    full_listeners: tuple[str, ...] = ()
    """The listeners that had no room for a connection lately."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One aspect of the agent's health. `output` is empty when all is well."""

    name: str
    """``component:measurement``"""
    status: str
    observed: float | bool | None
    unit: str = ""
    output: str = ""


def examine(health: Health) -> list[Finding]:
    """Every aspect, well or not."""
    age, lag, oldest = health.scheduler_progress_age, health.loop_lag, health.outbox_oldest_age
    stalled = f"the scheduler has made no progress for {age:.0f} s: nothing is being looked at"
    lagging = f"the event loop was {lag:.1f} s late: give the agent more CPU, or fewer checks"
    waiting = f"an event has waited {oldest or 0:.0f} s to be delivered: see brownout_outbox_waiting for its sink"
    left_out = "looks are being left out: raise agent.limits, or look less often"
    refused = "the changed configuration was refused, the one before stays in force"
    refused += f": {health.config_fault}" if health.config_fault else ": see brownout validate"
    listeners = " and ".join(health.full_listeners)
    full = (
        f"the {listeners} listener has turned connections away lately, pings perhaps among them: see who holds them"
    )
    blind = health.blindness
    return [
        _finding("vantage:sight", not blind, "", "warn" if blind else "pass", blind),
        _finding("scheduler:progress_age", round(age, 3), "s", "fail" if age > STALLED else "pass", stalled),
        _finding("scheduler:missed_beats", health.beats_missed, "", "warn" if _misses(health) else "pass", left_out),
        _finding("loop:lag", round(lag, 4), "s", "warn" if lag > LAGGING else "pass", lagging),
        *_journal_findings(health),
        _finding("outbox:oldest_age", oldest, "s", "warn" if (oldest or 0) > BACKLOG else "pass", waiting),
        _finding(
            "outbox:refused",
            len(health.refusing_sinks),
            "",
            "warn" if health.refusing_sinks else "pass",
            _refused(health),
        ),
        *_sink_findings(health),
        _finding("web:full", len(health.full_listeners), "", "warn" if health.full_listeners else "pass", full),
        _finding("config:accepted", health.config_ok, "", "pass" if health.config_ok else "warn", refused),
    ]


def _sink_findings(health: Health) -> list[Finding]:
    failing, disabled = ", ".join(health.failing_sinks), ", ".join(health.disabled_sinks)
    broken = f"nothing gets through to {failing}: brownout sinks tells why"
    gone = f"{disabled} wants nothing more (410), and is told nothing: correct it, or remove it; see brownout sinks"
    return [
        _finding("sinks:failing", len(health.failing_sinks), "", "warn" if failing else "pass", broken),
        _finding("sinks:disabled", len(health.disabled_sinks), "", "warn" if disabled else "pass", gone),
    ]


def _journal_findings(health: Health) -> list[Finding]:
    journal = health.journal
    written = not journal.trouble
    unwritten = "the journal cannot be written: pages go out from memory, marked durable: false, and a restart loses "
    unwritten += f"what waits there ({journal.waiting} events)" + (f": {journal.trouble}" if journal.trouble else "")
    lost = f"; {journal.unsent} events were given up unsent" if journal.unsent else ""
    damaged = f"the journal was damaged; what could be read goes on, the file is kept as {journal.set_aside}"
    return [
        _finding("journal:writable", written, "", "pass" if written else "warn", unwritten + lost),
        _finding("journal:damaged", journal.damaged, "", "warn" if journal.damaged else "pass", damaged),
    ]


def _misses(health: Health) -> bool:
    missed = health.beats_missed
    return missed >= LEFT_OUT_FEWEST and missed > LEFT_OUT * (health.beats_begun + missed)


def _refused(health: Health) -> str:
    sinks, names = health.refusing_sinks, ", ".join(health.refusing_sinks)
    who = f"the sink {names} has refused an event" if len(sinks) == 1 else f"the sinks {names} have refused events"
    return f"{who} for good: see the log; brownout_outbox_dead counts them"


def impaired(health: Health) -> list[str]:
    """What is wrong with the agent, in sentences; empty when nothing is."""
    return [finding.output for finding in examine(health) if finding.output]


def health_document(health: Health, version: str, vantage: str, now: datetime) -> dict[str, Any]:
    """The body of `/healthz`."""
    findings = examine(health)
    document: dict[str, Any] = {
        "status": max((finding.status for finding in findings), key=_RANK.index),
        "releaseId": version,
        "serviceId": vantage,
        "description": "Brownout monitoring agent",
        "checks": {finding.name: [_component(finding, now)] for finding in findings},
    }
    if troubles := [finding.output for finding in findings if finding.output]:
        document["output"] = "; ".join(troubles)
    return document


def readiness_document(health: Health) -> dict[str, Any]:
    """The body of `/readyz`."""
    if health.stopping:
        return {"status": "fail", "output": "the agent is stopping"}
    if not health.ready:
        return {"status": "fail", "output": "the agent is starting"}
    return {"status": "pass"}


def _finding(name: str, observed: float | None, unit: str, status: str, output: str) -> Finding:
    return Finding(name, status, observed, unit, output if status != "pass" else "")


def _component(finding: Finding, now: datetime) -> dict[str, Any]:
    component: dict[str, Any] = {
        "componentType": "component",
        "observedValue": finding.observed,
        "status": finding.status,
        "time": iso(now),
    }
    if finding.unit:
        component["observedUnit"] = finding.unit
    if finding.output:
        component["output"] = finding.output
    return component
