"""What a sink is: typed fields that are its YAML, a nature, and one method that sends.

A sink sends once. Retries, order, leases, backoff, gathering and dead letters live once, in `monitor.outbox`. Field
types are those of `probes.contract.Probe`; the docstring is the sink's manual.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TextIO

from monitor.core.handled import Updates
from monitor.store.contract import Delivery
from probes.contract import BadField

if TYPE_CHECKING:
    import httpx  # a quarter of what a short command costs: only what sends loads it


class Nature(StrEnum):
    """What a sink wants to know.

    LOG: every event, in order, never superseded. LEVEL: the present state; a queued, never attempted older one is
    superseded. HUMAN: the first at once, a storm behind it gathered.
    """

    LOG = "log"
    LEVEL = "level"
    HUMAN = "human"


class SendFailed(Exception):
    """The sink did not accept the delivery.

    `permanent`: trying again cannot help (dead letter). `retry_after`: seconds the other side asked us to wait.
    `uncertain`: it may have been taken all the same, as no answer came; the next attempt is told so. `gone`: the
    other side wants nothing more, ever (410): the sink is disabled until somebody has seen to it.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        uncertain: bool = False,
        gone: bool = False,
    ) -> None:
        super().__init__(message[:500])
        self.permanent = permanent or gone
        self.gone = gone
        self.retry_after = retry_after
        self.uncertain = uncertain


async def _keep_nothing() -> None: ...


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What the outbox hands to a send: a shared HTTP client, the time, and the terminal."""

    client: httpx.AsyncClient
    now: datetime
    terminal: TextIO
    memory: MutableMapping[str, Any] = field(default_factory=dict)
    """What the sink keeps of the delivery's stream: plain JSON values, a few hundred bytes (the id of the message
    that it edits, the keys that it has opened). What is in it when the send ends, well or not, is durable before the
    delivery is settled; left empty, it is forgotten."""
    uncertain: bool = False
    """Whether an earlier attempt at this delivery may have been taken, though no answer came. Where the other side
    cannot tell a repetition by itself, look first."""
    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the sink keeps of all its streams, as it is durable: for one that has to know after a restart what else
    it has open. Not to be changed."""
    keep: Callable[[], Awaitable[None]] = _keep_nothing
    """Makes what is in `memory` durable now: before a request that opens what only a memory of it could close, so
    that it is closed though the agent dies before the send has ended. Where the journal takes nothing (a full disk),
    it returns all the same: to tell is more."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """Who is told instead."""

    to: Annotated[str, "the name of another sink"]
    after: Annotated[timedelta, "how long an event may wait to be accepted"] = timedelta(minutes=10)

    def __post_init__(self) -> None:
        if not timedelta(seconds=30) <= self.after <= timedelta(hours=12):
            raise BadField("after", "must be from 30s to 12h: before, it would tell twice; behind, nobody")


@dataclass(frozen=True, slots=True)
class Most:
    """``30 per 1h``"""

    count: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Sink(ABC):
    """Base of all sinks. A subclass is a frozen dataclass with slots; its fields are its YAML, and so are these,
    which every sink has."""

    kind: ClassVar[str]
    nature: ClassVar[Nature]
    extra: ClassVar[str | None] = None
    by_service: ClassVar[str | None] = None
    """The field whose keys are ids of services: a name that no service has is a fault of the configuration."""

    fallback: Annotated[
        Fallback | None,
        "another sink that is told what this one has not accepted for so long, or has refused for good",
    ] = field(default=None, kw_only=True)
    most: Annotated[
        Most | None,
        "how many messages a sink that people read gets, such as 30 per 1h; what comes beyond is gathered into one",
    ] = field(default=None, kw_only=True)
    updates: Annotated[
        Updates,
        "what a sink that people read is told of an incident besides what somebody should act on (it begins, it gets "
        "worse, nobody has acknowledged it): all of it, only the end, or none, as suits a phone that rings",
    ] = field(default=Updates.ALL, kw_only=True)

    @property
    def edits(self) -> bool:
        """Whether it has one message for a stream, and brings that up to date: then the news of a stream that it
        keeps something of is handed to it by itself, and never within a digest, as it makes no message more."""
        return False

    @abstractmethod
    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        """Send once; return when the other side has accepted, raise `SendFailed` otherwise."""


@dataclass(frozen=True, slots=True)
class Repeating(Sink):
    """A sink that has to be told again and again what is open, as it forgets what it does not hear of."""

    again: ClassVar[timedelta]
    """How often."""

    @abstractmethod
    async def repeat(self, kept: Mapping[str, MutableMapping[str, Any]], context: SinkContext) -> None:
        """Tell again what is in memory, by stream (`SinkContext.memory` of each; that of `context` is nobody's). What
        is changed in them is kept, and a memory that is left empty is forgotten. Raises `SendFailed`; it is called
        again after `again`, whatever becomes of it."""
