"""What is kept of the past, as frozen values: looks one by one, roll-ups of them, spans of a state.

Times are cut and figures have three digits (`monitor.core.quantise`): what is kept is what was judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.core.model import State, Transition
from probes.contract import Reason

SHORT = timedelta(minutes=5)
LONG = timedelta(hours=1)
"""The periods of the two kinds of roll-up; both begin at whole hours UTC."""

SAMPLES_LIMIT = 10_000
"""Samples in one answer at most."""
POINTS_LIMIT = 2_000
"""Points of a roll-up in one answer at most: a longer span is answered in longer periods."""
SPANS_LIMIT = 2_000
"""Spans of states in one answer at most: of a longer list the newest are told."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the past is kept, by kind. Zero: not at all. States and transitions are kept for ever."""

    raw: timedelta = timedelta(days=7)
    five_minutes: timedelta = timedelta(days=30)
    hourly: timedelta = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look, as it was judged."""

    began: datetime
    tick: float
    """When it began, in monotonic seconds: between two samples of one process, the span that was judged."""
    took: float
    """Seconds from its begin to its end."""
    state: State
    """The state of the check after it."""
    scheduled: bool = True
    """False: an extra look, which no window counts."""
    full: bool = True
    """Whether it had the check's full time limit."""
    reason: Reason | None = None
    measurements: Mapping[str, float] = field(default_factory=dict)
    """In base units. Those that are phases of the look are kept only where a threshold names them."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One measurement over a period, in its base unit; scheduled looks only. `count`: looks that told it."""

    count: int
    min: float
    mean: float
    max: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Point:
    """A period of one check's life. Where nobody looked there is no point."""

    at: datetime
    """When the period begins."""
    span: timedelta
    looks: int
    """Scheduled looks; extra ones cluster where trouble is, and would weigh it double."""
    failed: int
    """Those of them that failed, whoever's trouble it was."""
    seconds: Mapping[State, float]
    """How long the check was known to be in each state; less than `span` in all, where nobody looked."""
    figures: Mapping[str, Figures]


@dataclass(frozen=True, slots=True)
class Span:
    """How long something was in a state: for a ribbon. `state` None: no agent was running, nobody knows."""

    start: datetime
    end: datetime
    state: str | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    """A transition with its place in the journal: a later one has a higher number."""

    number: int
    transition: Transition
