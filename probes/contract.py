"""What a probe is: typed fields that are its YAML, and one method that looks.

A probe takes one look at one target and returns an `Observation`: facts, never a judgement. It is a frozen
dataclass in a file of its own; the registry finds it, the config layer reads its fields from checks.yaml, the docs
are generated from its docstring and from the text in each field's ``Annotated[type, "what it means"]``.

This module is all that a probe needs to import; nothing here imports `monitor`.
"""

from __future__ import annotations

import hashlib
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

from probes._fields import BadField, ByteSize, FilePath, Secret, check_fields
from probes._lent import Address, Ip, Resolver, ResolverWanted, TlsContexts, TlsWanted, Trace
from probes._quick import quick
from probes.reasons import Blame, Reason

__all__ = [
    "Address",
    "Arrival",
    "BadField",
    "Blame",
    "ByteSize",
    "Context",
    "FilePath",
    "Ip",
    "LookFailed",
    "Measurement",
    "Observation",
    "Passive",
    "Presence",
    "Probe",
    "Reason",
    "Refused",
    "Resolver",
    "ResolverWanted",
    "Secret",
    "TlsContexts",
    "TlsWanted",
    "Trace",
    "Unit",
    "check_fields",
]

DETAIL_LIMIT = 300
"""Characters of an observation's detail and of one piece of evidence, once it is admitted by the agent."""

TEXT_LIMIT = 4096
"""Characters of a text that a probe hands on: bounded at its source, yet generously, as the agent takes secrets out
of it before it cuts it to `DETAIL_LIMIT`. A cut made first would leave the head of a secret, which nobody knows."""


class Unit(StrEnum):
    """What a measurement counts in. Values are always in the base unit: seconds, bytes, a ratio from 0 to 1."""

    SECONDS = "seconds"
    RATIO = "ratio"
    BYTES = "bytes"
    COUNT = "count"
    PER_SECOND = "per_second"
    BYTES_PER_SECOND = "bytes_per_second"


COURSE = (
    Reason.CONNECT_TIMEOUT,
    Reason.TLS_TIMEOUT,
    Reason.SEND_TIMEOUT,
    Reason.FIRST_BYTE_TIMEOUT,
    Reason.TRANSFER_TIMEOUT,
    Reason.QUERY_TIMEOUT,
    Reason.REPLY_TIMEOUT,
    Reason.PLUGIN_TIMEOUT,
)
"""The steps of a look in the order in which it takes them, each by the reason of a look that waits there in vain."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One named figure that a probe reports, as thresholds, metrics and docs know it."""

    name: str
    unit: Unit
    help: str
    ratio_of: tuple[str, str] | None = None
    """(part, whole): over a window this measurement is sum(part) / sum(whole), never a mean of ratios."""
    cut_by: Reason | None = None
    """Of a time that the target may draw out: the reason of a look that ran into its limit while this was measured.
    Such a look tells how long it took at least, if anything; one that ended so in an earlier step has never come to
    it. Neither makes a condition true or false that its end could have decided otherwise. None: it is as told."""

    def unended(self, reason: Reason | None) -> bool:
        """Whether a look that ended for this reason has not seen the end of what is measured."""
        if reason is None or self.cut_by is None or reason not in COURSE:
            return False
        return COURSE.index(reason) <= COURSE.index(self.cut_by)


@quick(frozen=True, slots=True)
class Observation:
    """What one look saw. `reason` is None when the target answered as expected.

    `measurements` and `phases` are in base units (`Unit`); `phases` are seconds, in the order they happened.
    `evidence` is what a person debugging would want: bounded, and possibly written by a hostile target.
    A look that timed out reports the times it waited, at least its timeout.
    """

    measurements: Mapping[str, float] = field(default_factory=dict)
    reason: Reason | None = None
    detail: str = ""
    phases: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.reason is None


class LookFailed(Exception):
    """Ends a look from anywhere inside a probe; `Probe.look` turns it into an `Observation`."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail[:TEXT_LIMIT]


@quick(frozen=True, slots=True)
class Context:
    """What the agent hands to a look.

    `timeout` is what this look may take in seconds: a probe ends by itself within it, with the reason of the phase
    that was slow. `memory` is small, belongs to the check, and survives restarts: texts and numbers only, by name.
    `redact` takes the secrets that the agent knows out of a text: to be called before a target's text is cut.
    """

    timeout: float
    resolver: Resolver
    tls: TlsContexts
    memory: MutableMapping[str, float | str]
    redact: Callable[[str], str] = str
    scheduled: bool = True
    """False: an extra look, which no window counts. Increments of counters that it sees belong to the next scheduled
    one as well, or a burst of errors would vanish while it is being confirmed."""
    presence: Presence | None = None
    """For passive probes: since when the agent has been there to hear what arrives."""
    trace: Trace | None = None
    """Told every byte, for a person who looks at one look; None in the agent."""


@dataclass(frozen=True, slots=True)
class Probe(ABC):
    """Base of all probes. A subclass is a frozen dataclass with slots; its public fields are its YAML.

    Fields may be: str, int, float, bool, timedelta (``30s``), ByteSize (``2MiB``), Secret, FilePath (relative to
    checks.yaml there, whole for the probe), a Literal or StrEnum,
    ``tuple[T, ...]`` (a single value is taken as a list of one), ``Mapping[str, T]``, a frozen dataclass of such
    fields, or ``T | None``. Put what each means into ``Annotated[T, "..."]``. Check what types cannot say in
    ``__post_init__`` and raise `BadField`; with several checks there, through `check_fields`.
    """

    kind: ClassVar[str]
    """The word after ``probe:`` in checks.yaml."""
    measurements: ClassVar[tuple[Measurement, ...]]
    """What every check of this kind may report; see `measured` for those that a check's own fields name."""
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Default conditions by level (``degraded``, ``down``), as one would write them in checks.yaml."""
    usual: ClassVar[str | None] = None
    """The measurement that is compared with its own past, unless a check says ``usual: off``: one that is higher than
    it has been makes the check degraded without a written threshold. None: none is."""
    extra: ClassVar[str | None] = None
    """The optional dependency group this kind needs: ``pip install brownout[extra]``."""

    chapters: ClassVar[Mapping[str, str]] = {}
    """More of the manual, by title, for a kind whose parts have docstrings of their own."""

    @property
    @abstractmethod
    def target(self) -> str:
        """What is looked at, for people: short, and without any secret."""

    @property
    def measured(self) -> tuple[Measurement, ...]:
        """What this check may report. Override it where the fields name measurements: a query's columns, the figures
        of a plug-in. Conditions are then read against these, so unknown names are faults of the config as ever."""
        return self.measurements

    @property
    def host(self) -> str | None:
        """Who bears the load of a look: looks at one host share a limit. None: nobody outside the agent."""
        return None

    @abstractmethod
    async def look(self, context: Context) -> Observation:
        """Take one look, within `context.timeout` seconds; never raises for what the target does."""

    async def close(self) -> None:  # noqa: B027  (most probes keep nothing open)
        """Let go of what the probe kept between looks."""


# --- passive probes: they are handed what arrives -----------------------------------------------------------------

_HOW_TO_MAKE_ONE = "take the output of `openssl rand -hex 16`, best from a ${VARIABLE}"
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
_SHORTEST_TOKEN, _LONGEST_TOKEN = 16, 128


@dataclass(frozen=True, slots=True)
class Presence:
    """One reading of the clocks, and since when the agent has been listening without a gap.

    `now` and `since` are Unix times by the clock as it is set now; `uptime` is seconds of a clock that nobody sets
    and that goes on while the machine sleeps. What came before `since` may have found nobody there. `name` is that of
    this presence: another one after each gap, start or boot.
    """

    now: float
    uptime: float
    since: float = 0.0
    name: str = ""
    turned_away: bool = False
    """Whether it began when somebody was not let in, for want of room, and not with a gap. Strangers can bring that
    about, so it may excuse a silence once, and not again and again."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What was sent to a passive probe. All of it is written by whoever knows the token, and bounded.

    `path` is what follows the token, without slashes around it; `cut` says that the body went on beyond its bound, or
    did not end in time. `redact` is that of `Context`.
    """

    presence: Presence
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False
    redact: Callable[[str], str] = str


class Refused(Exception):
    """What arrived cannot be used: the HTTP status to answer, and what to send instead; it repeats nothing."""

    def __init__(self, status: int, advice: str) -> None:
        super().__init__(advice)
        self.status = status
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Passive(Probe):
    """Base of probes that look at nothing: the agent hands them what arrives under their token, by HTTP.

    All three methods are pure and instant: what they know is in `memory`, what time it is in `Presence`. What
    `receive` leaves in the memory is in the journal before the sender is answered, and a look follows at once.
    """

    door: ClassVar[str]
    """Where it is reached: ``ping`` (GET, HEAD, POST to ``/ping/token...``, bodies up to 100 kB) or ``push`` (POST to
    ``/push/token``, or to ``/push`` with the token as bearer; bodies up to 16 kB)."""

    token: Annotated[Secret, "What a sender proves itself with: 16 to 128 letters, digits, `-`, `_`, `.`, `~`."]

    @abstractmethod
    def receive(self, arrival: Arrival, memory: MutableMapping[str, float | str]) -> None:
        """Fold what arrived into `memory`. Raises `Refused`, and then `memory` stays as it was."""

    @abstractmethod
    def report(self, presence: Presence, memory: MutableMapping[str, float | str]) -> Observation:
        """What is known now."""

    def due(self, presence: Presence, memory: Mapping[str, float | str]) -> float | None:  # noqa: ARG002
        """In how many seconds time alone changes what is reported; None: not within sight."""
        return None

    @property
    def claim(self) -> bytes:
        """What it is found by: a digest, so that finding it tells nothing about its token by the time it takes."""
        return claim(self.token.reveal())

    async def look(self, context: Context) -> Observation:
        alone = Presence(time.time(), time.monotonic())
        return self.report(context.presence or alone, context.memory)

    def check_token(self) -> None:
        """For ``__post_init__``. Raises `BadField` without showing the token."""
        token = self.token.reveal()
        if not _SHORTEST_TOKEN <= len(token) <= _LONGEST_TOKEN:
            wrong = f"is {len(token)} characters long, and must be {_SHORTEST_TOKEN} to {_LONGEST_TOKEN}"
            raise BadField("token", f"{wrong}: {_HOW_TO_MAKE_ONE}")
        if not _TOKEN.fullmatch(token):
            raise BadField(
                "token", f"may hold letters, digits, -, _, . and ~, as it stands in URLs: {_HOW_TO_MAKE_ONE}"
            )


def claim(token: str) -> bytes:
    """The digest that a passive probe is found by."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
