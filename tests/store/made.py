"""Values for the tests of stores and of the outbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.core.model import (
    Change,
    CheckRecord,
    Event,
    EventType,
    Impact,
    Incident,
    Note,
    ServiceRecord,
    ServiceState,
    State,
    Transition,
    Verdict,
)

T0 = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
NOBODY: frozenset[str] = frozenset()


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def event(name: str, stream: str = "check:a", sinks: tuple[str, ...] = ("hook",), **body: Any) -> Event:
    facts = {
        "id": name,
        "type": "check.changed",
        "sentence": f"{name} happened",
        "state": {"old": "up", "new": "down"},
    }
    return Event(name, EventType.CHECK_CHANGED, T0, stream, facts | body, sinks)


def told(*events: Event) -> Change:
    return Change(events=events)


def record(check: str = "a", seq: int = 1, state: State = State.DOWN, **snapshot: Any) -> CheckRecord:
    return CheckRecord(check, state, after(seq), seq, snapshot)


def service(name: str = "shop", seq: int = 1) -> ServiceRecord:
    return ServiceRecord(name, ServiceState.OUTAGE, after(seq), seq)


def transition(subject: str = "a", seq: int = 1) -> Transition:
    verdict = Verdict(State.DOWN, None, "refused")
    return Transition("check", subject, seq, after(seq), T0, "up", "down", verdict, {"address": "192.0.2.1"})


def incident(name: str = "i1", updates: int = 0, resolved: datetime | None = None, opened: float = 0) -> Incident:
    return Incident(
        name, ("shop",), "a", ("a", "b"), Impact.OUTAGE, after(opened), T0, updates, resolved, None,
        frozenset({"hook", "pager"}), "the database is down",
    )  # fmt: skip


def whole_change(number: int = 1) -> Change:
    """A change with something of everything."""
    return Change(
        checks=(record(seq=number, window=[0.25, 1.5]),),
        services=(service(seq=number),),
        transitions=(transition(seq=number),),
        incidents=(incident(f"i{number}"),),
        events=(event(f"e{number}"),),
        notes=(Note("maintenance:1", {"until": number}), Note("told", [number, "x"])),
    )
