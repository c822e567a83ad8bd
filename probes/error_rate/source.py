"""Where the requests of a service are counted: one `Tally` a look. The probe makes measurements of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from probes._look import Look
from probes.contract import Context

if TYPE_CHECKING:
    from probes.error_rate.probe import ErrorRate

PERCENTILES: Mapping[str, float] = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
"""The percentiles of response times that a source may tell: of the measurement `latency_<name>`."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The requests since the look before: increments, never counters."""

    total: float
    bad: float
    seconds: float
    """The span that they were counted over."""
    latency: Mapping[str, float] = field(default_factory=dict)
    """Percentiles of the response times in that span, in seconds, by measurement: `latency_p50`, `latency_p95`,
    `latency_p99`; empty where the source has none."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """Which series, which path, which status fails most: for people, already made visible and cut."""


class Source(ABC):
    """One way to count. Its docstring is its chapter of the manual. A module of this package holds one.

    The key of the probe that selects it has its `name`: ``prometheus:``, ``log:``, ... What it keeps in
    `Context.memory` goes by names that begin with its own and a dot.

    A look may be an extra one, which no window counts: that is the probe's business, a source counts on all the same.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """The heading of its chapter."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Other keys of the probe that must be written."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """The keys that may be; any other one is a fault of the config."""

    @abstractmethod
    def __init__(self, check: ErrorRate) -> None:
        """Check the keys; raises `BadField`. Opens nothing."""

    @property
    @abstractmethod
    def target(self) -> str:
        """Where it counts, for people: short, without any secret."""

    @property
    def host(self) -> str | None:
        """Who bears the load of a look; None: nobody outside the agent."""
        return None

    @property
    def secrets(self) -> Iterable[str]:
        """What must not come back in evidence, should what is read there show it."""
        return ()

    @abstractmethod
    async def read(self, look: Look, context: Context) -> Tally | None:
        """The requests since the last look; None when this look only laid the ground. Raises `LookFailed`."""

    async def close(self) -> None:  # noqa: B027  (some keep nothing open)
        """Let go of what is kept between looks."""
