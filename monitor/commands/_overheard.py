"""Listens to one look, for a person: when each of its phases began and ended, which addresses were tried, and every
byte that went over the wire, as far as there is room for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter

BYTES_LIMIT = 256 * 1024
"""Bytes that are kept of one look; of what comes after them only the number is."""
ITEMS_LIMIT = 1000
FAILED = "failed"
"""What is told of a phase in the middle of which the look failed."""


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took its time. `began` and `ended` are seconds since the look began."""

    what: str
    began: float
    ended: float
    told: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes as they were sent or received at once. `size` is how many they were, `data` what is kept of them."""

    at: float
    peer: str
    sent: bool
    data: bytes
    size: int


@dataclass(slots=True)
class Overheard:
    """A `Trace`. Nothing in it is redacted: `monitor.commands._readable` makes it fit to be shown."""

    since: float = field(default_factory=perf_counter)
    phases: list[Span] = field(default_factory=list)
    attempts: list[Span] = field(default_factory=list)
    """Addresses, and what came of each."""
    notes: list[Span] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    """What was met on the way and must not be shown."""
    unheard: int = 0
    """Bytes and steps for which there was no room."""
    _kept: int = 0

    def sent(self, peer: str, data: bytes, at: float) -> None:
        self._take(peer, data, at, sent=True)

    def received(self, peer: str, data: bytes, at: float) -> None:
        self._take(peer, data, at, sent=False)

    def noted(self, what: str, at: float) -> None:
        self._add(self.notes, Span(what, at - self.since, at - self.since))

    def spent(self, phase: str, began: float, ended: float) -> None:
        self._add(self.phases, Span(phase, max(began - self.since, 0.0), ended - self.since))

    def stopped(self, step: str, began: float, ended: float) -> None:
        self._add(self.phases, Span(step, max(began - self.since, 0.0), ended - self.since, FAILED))

    def attempted(self, where: str, began: float, ended: float, told: str) -> None:
        self._add(self.attempts, Span(where, max(began - self.since, 0.0), ended - self.since, told))

    def learnt(self, secret: str) -> None:
        self.secrets.add(secret)

    def _add(self, spans: list[Span], span: Span) -> None:
        if len(spans) < ITEMS_LIMIT:
            spans.append(span)
        else:
            self.unheard += 1

    def _take(self, peer: str, data: bytes, at: float, *, sent: bool) -> None:
        room = BYTES_LIMIT - self._kept if len(self.chunks) < ITEMS_LIMIT else 0
        kept = bytes(data[:room])
        self._kept += len(kept)
        if kept or not data:
            self.chunks.append(Chunk(at - self.since, peer, sent, kept, len(data)))
        self.unheard += len(data) - len(kept)
