"""What a sink is: typed fields that are its YAML, a nature, and one method that sends.

A sink sends once. Retries, order, leases, backoff and dead letters live once, in `monitor.outbox`. Field types are
those of `probes.contract.Probe`; the docstring is the sink's manual.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, TextIO

from monitor.store.contract import Delivery

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
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message[:500])
        self.permanent = permanent
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What the outbox hands to a send: a shared HTTP client, the time, and the terminal."""

    client: httpx.AsyncClient
    now: datetime
    terminal: TextIO


@dataclass(frozen=True, slots=True)
class Sink(ABC):
    """Base of all sinks. A subclass is a frozen dataclass with slots; its fields are its YAML."""

    kind: ClassVar[str]
    nature: ClassVar[Nature]
    extra: ClassVar[str | None] = None

    @abstractmethod
    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        """Send once; return when the other side has accepted, raise `SendFailed` otherwise."""
