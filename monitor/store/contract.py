"""The store: the agent's journal and its outbox, behind one contract that every implementation keeps.

A `Change` is one transaction: states, transitions, incidents, events and the outbox rows that tell of them are
durable together or not at all. Rows are keyed by (check, vantage) and guarded by a fencing epoch: `open` takes a
higher epoch than any agent before, and a write under an older one raises `Fenced`.

One suite, tests/store/, runs over all implementations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from monitor.core.history import SAMPLES_LIMIT, Past, Point, Sample, Span
from monitor.core.lived import Definition
from monitor.core.model import Change, CheckRecord, Event, Incident, Journal
from monitor.core.rows import Rows


class StoreError(Exception):
    """The store could not do it. The text says what to do."""


class Damaged(StoreError):
    """What is kept cannot be read; nothing was deleted."""


class Refused(StoreError):
    """Only a person can mend it (a wrong owner, a newer schema): trying it again is in vain. The text says how."""


class Unstorable(StoreError):
    """This change itself cannot be stored (a body that is no JSON): trying it again is in vain, others are fine."""


class Fenced(StoreError):
    """Another agent has opened this journal since: this one must stop."""


class StoreBusy(StoreError):
    """Another agent holds this state directory; the text names its pid."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of the past is kept, in rows. What is still owed to a sink, and what is open, is never pruned.

    Transitions are kept for ever, some 300 bytes each; of old ones what the look saw (`evidence`) is dropped.
    """

    events: int = 10_000
    dead: int = 10_000
    evidence: int = 100_000
    """The newest transitions, which keep it."""
    incidents: int = 10_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One outbox row, leased: one event for one sink.

    `attempt` counts from 1; `body` is the event's JSON, byte for byte the same on every attempt.
    """

    id: int
    event_id: str
    event_type: str
    sink: str
    stream: str
    attempt: int
    body: bytes
    at: datetime
    """When the event happened; a backlog counts from here."""


class Standing(StrEnum):
    """What has become of an outbox row. One that was accepted, or superseded, is `done`."""

    WAITING = "waiting"
    LEASED = "leased"
    DEAD = "dead"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Row:
    """An outbox row that is not finished, as it stands. `due`: when it may be tried, or when its lease ends."""

    delivery: Delivery
    leased: bool
    due: datetime


@dataclass(frozen=True, slots=True)
class Owed:
    """An event that a sink has neither accepted nor refused for good."""

    event_id: str
    event_type: str
    stream: str


@dataclass(frozen=True, slots=True)
class Account:
    """What has become of a row while the journal could not be written. `due`, for a dead one: when it died."""

    event_id: str
    sink: str
    stream: str
    standing: Standing
    attempts: int = 0
    due: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up, and why."""

    delivery: Delivery
    error: str
    died: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """How one sink stands: `waiting` counts rows neither accepted nor given up, `oldest` is when the event of the
    one happened that was queued first."""

    waiting: int
    dead: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class JournalCondition:
    """How the journal is, for the page, `/healthz` and metrics."""

    trouble: str = ""
    """Why it cannot be written; empty while it can."""
    failures: int = 0
    """Attempts that failed, in all."""
    waiting: int = 0
    """Events in memory that it does not have yet."""
    unsent: int = 0
    """Events given up for want of room in memory."""
    forgotten: int = 0
    """Events and transitions that it will never have, for want of room in memory; the events were sent."""
    set_aside: str = ""
    """Where the latest damaged file was kept aside."""
    damaged: int = 0
    """How many were, since the start."""


class Store(Protocol):
    """The journal and the outbox. All times are aware UTC; `now` is given, never read.

    `supersedes` names the sinks of nature *level*: committing an event for such a sink removes older rows of the
    same (sink, stream) that were never attempted.
    """

    async def open(self) -> Journal:
        """Take the next epoch and tell what is known. Leases of earlier epochs end here."""

    async def commit(self, changes: Sequence[Change], supersedes: frozenset[str]) -> Sequence[Event]:
        """Make changes durable, all in one transaction. Committing a change twice changes nothing.

        The answer are their events with the bodies that sinks are sent, in order: what is told otherwise must be the
        same. A record with a lower `seq` than the one kept, or an incident with fewer `updates`, does not replace it.
        A note replaces the one of its name, and forgets it where it has no value.
        """

    async def save(self, checks: Sequence[CheckRecord]) -> None:
        """Flush the memory of checks that did not change their state (windows, counters), in one batch.

        It survives a kill; the last batches may be lost with the power.
        """

    async def claim(
        self, sink: str, now: datetime, lease_until: datetime, limit: int, *, deep: bool = False
    ) -> list[Delivery]:
        """Lease up to `limit` due rows: of each (sink, stream) only the oldest unfinished one.

        Rows never attempted come first, oldest first; then those that have been due longest. `deep`: along with each,
        and behind it, all that stands behind it in its stream.
        """

    async def delivered(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """The sink accepted them: all of them are settled, or none. Does nothing for one whose lease is no longer
        ours."""

    async def failed(self, deliveries: Sequence[Delivery], retry_at: datetime, error: str) -> None:
        """As `delivered`: try them again at `retry_at`; the rows behind them in their streams wait."""

    async def dead(self, deliveries: Sequence[Delivery], now: datetime, error: str) -> None:
        """As `delivered`: give them up; they stay, listed, and their streams go on."""

    async def hasten(self, sink: str, now: datetime) -> None:
        """The sink accepts again: what waits for a later attempt is due now (leases stay)."""

    async def owed(self, sink: str, before: datetime, streams: Sequence[str], limit: int) -> list[Owed]:
        """The unfinished rows of the sink whose events happened at or before that time, or are of these streams; the
        oldest first."""

    async def also(self, event_id: str, sink: str) -> None:
        """Queue a known event for one more sink; not where that one was told of the incident by itself, or is to be
        told of this event already."""

    async def send_again(self, event_id: str, sink: str, *, present: bool) -> bool:
        """Queue a dead letter again, as if it had never been attempted; whether there is one. `present`: along with
        the newest event of its stream, as what it tells may be over."""

    async def next_due(self, sink: str) -> datetime | None:
        """When the sink's next row can be claimed (lease ends count; 1970 means at once); None when nothing waits."""

    async def backlog(self) -> Mapping[str, Backlog]: ...

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """The newest first."""

    async def incidents(self, limit: int) -> list[Incident]:
        """The newest incidents first, open and resolved."""

    async def events(self, limit: int) -> list[Mapping[str, Any]]:
        """The bodies of the newest events, newest first."""

    async def record(self, looks: Rows[str], now: datetime) -> None:
        """Keep looks, by the ids of their checks; without any, that an agent was there until `now`.

        They survive a kill; the last batches may be lost with the power. Trouble with them is no trouble of the
        journal's.
        """

    async def define(self, definition: Definition) -> None:
        """Keep what looks are judged by from now on, for whoever judges them again; what is in force already is kept
        once. Trouble with it is trouble with the looks."""

    async def tend(self, now: datetime) -> bool:
        """Roll up and prune what is due, a few milliseconds' worth. True: there is more to be done."""

    async def transitions(self, kind: str, subject: str, limit: int, before: int | None = None) -> list[Past]:
        """Of a check or a service (`kind`) the newest first, `limit` at most; what happened to it under a former name
        is among them (`Transition.was`). For the next page, `before` is the last `Past.number`."""

    async def states(self, kind: str, subject: str, since: datetime, until: datetime) -> list[Span]:
        """The states of a check or a service from `since` to `until`, one after another, oldest first, for a ribbon.

        Nothing is told of what lies before the first transition, nor of an unknown subject. At most `SPANS_LIMIT`:
        of more, the newest.
        """

    async def samples(self, check: str, since: datetime, until: datetime, limit: int = SAMPLES_LIMIT) -> list[Sample]:
        """The looks at a check that began at or after `since` and before `until`, oldest first; `limit` at most.

        For the next page, `since` is what follows the last `Sample.began`.
        """

    async def rollup(
        self, check: str, since: datetime, until: datetime, step: timedelta | None = None
    ) -> list[Point]:
        """Roll-ups of a check's looks, oldest first, of the periods that touch the time from `since` to `until`.

        `step` is the period wanted; it becomes the next multiple of 5 minutes, or of an hour where only that is kept,
        and longer where there would be more than `POINTS_LIMIT` points. None: about 300 points.
        """

    async def incident(self, identity: str) -> Incident | None: ...

    async def incident_events(self, identity: str, limit: int) -> list[Mapping[str, Any]]:
        """The bodies of an incident's events, oldest first."""

    async def events_after(self, event: str, limit: int) -> list[Mapping[str, Any]] | None:
        """The bodies of the events after this one (its id), in the order of the journal; None: it is not known."""

    async def close(self) -> None:
        """Let go of the files. Closing twice, or before `open`, is fine."""
