"""What the agent's own trouble does to all that is judged, and what is told of it.

The trouble itself is found elsewhere (`monitor.core.vantage`, `monitor.vantage`); here it is entered as a transition
of kind ``vantage``, so that a replay of stored looks goes through the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from monitor.core.model import Moment, Note, State, Transition, Verdict
from monitor.core.snapshot import UNREADABLE, read_count, read_instant
from monitor.core.wording import clock
from probes.contract import Reason

TELL_AFTER = 10.0
"""Seconds that trouble of our own must last before anybody is told: a moment of it is nothing that a person can mend,
and while the network is gone nobody can be told anyway."""

REMEMBERED_EVERY, REMEMBERED = timedelta(hours=1), timedelta(days=7)
"""How often it is written down who has answered, and for how long that is believed after a start."""

WELL = "well"
NOTE = "vantage"


class Trouble(StrEnum):
    """What can be wrong with the agent itself; the worst first."""

    meaning: str
    past: str
    reason: Reason

    def __new__(cls, value: str, reason: Reason = Reason.LATE, meaning: str = "", past: str = "") -> Trouble:
        member = str.__new__(cls, value)
        member._value_ = value
        member.reason, member.meaning, member.past = reason, meaning, past
        return member

    NETWORK = "network", Reason.OWN_NETWORK, "it has lost its own network", "it had lost its own network"
    PAUSED = "paused", Reason.LATE, "it was stopped", "it had been stopped"
    STARVED = "starved", Reason.LATE, "it does not get the CPU time it needs", "it had not got the CPU time it needs"
    DESCRIPTORS = (
        "descriptors", Reason.NO_DESCRIPTORS, "it can open no more files or connections",
        "it could open no more files or connections",
    )  # fmt: skip
    RESOLVER = "resolver", Reason.DNS_TIMEOUT, "its resolver does not answer", "its resolver had not answered"
    JOURNAL = "journal", Reason.JOURNAL, "it cannot write its journal", "it could not write its journal"
    CLOCK = "clock", Reason.LATE, "its clock was set", "its clock had been set"

    @property
    def sees(self) -> bool:
        """Whether looks mean what they ever mean meanwhile."""
        return self in (Trouble.JOURNAL, Trouble.CLOCK)

    @property
    def blinds(self) -> bool:
        """Whether what was suspected meanwhile is no evidence."""
        return self in (Trouble.NETWORK, Trouble.PAUSED, Trouble.STARVED)


_ORDER = tuple(Trouble)


@dataclass(frozen=True, slots=True)
class Ailment:
    """One trouble of the agent's own: since when, and how it is known."""

    trouble: Trouble
    since: Moment
    why: str

    @property
    def sentence(self) -> str:
        """``it has lost its own network: 1.1.1.1:53 did not answer either``"""
        return f"{self.trouble.meaning}: {self.why}" if self.why else self.trouble.meaning


@dataclass(frozen=True, slots=True)
class Outlook:
    """How the vantage stands, for metrics."""

    troubles: frozenset[Trouble] = frozenset()
    witnesses: Mapping[str, bool] = field(default_factory=dict)
    """Whether each has answered lately."""
    relabelled: Mapping[Reason, int] = field(default_factory=dict)
    """Looks that were said to be our own trouble, by the reason they got."""


class Sight:
    """How the vantage stands. Not frozen: it lives as long as the agent, through all reloads."""

    __slots__ = ("ailments", "seq", "since", "spells", "told", "witnesses", "worst")

    def __init__(self, note: Mapping[str, Any] | None, now: Moment) -> None:
        """`note` is what the journal has of it."""
        self.ailments: tuple[Ailment, ...] = ()
        """The worst first."""
        self.since = now
        """Since when it is well, or since when it is not."""
        self.seq = 0
        self.told: frozenset[str] | None = None
        """The sinks that were told of trouble and not of its end; None: nobody."""
        self.spells: list[datetime] = []
        """When trouble was told lately."""
        self.worst = Trouble.NETWORK
        """The worst of the trouble that is over."""
        self.witnesses: dict[str, datetime] = {}
        """When witnesses of our own network had answered, about: a restart must know whom to believe."""
        if note is not None:
            self._restore(note, now)

    @property
    def state(self) -> str:
        return self.ailments[0].trouble.value if self.ailments else WELL

    def has(self, trouble: Trouble) -> Ailment | None:
        return next((item for item in self.ailments if item.trouble is trouble), None)

    def become(self, ailments: Sequence[Ailment], now: Moment, vantage: str) -> Transition | None:
        """Take in what is wrong with that vantage now; a transition where the worst of it is another than before."""
        old = self.state
        self.ailments = tuple(sorted(ailments, key=lambda item: _ORDER.index(item.trouble)))
        if self.state == old:
            return None
        self.seq += 1
        if old == WELL:
            self.since = min((item.since for item in self.ailments), key=lambda since: since.tick)
        since = now.at
        verdict = Verdict(State.UP)
        if self.ailments:
            worst = self.ailments[0]
            since = worst.since.at
            verdict = Verdict(State.UNKNOWN, worst.trouble.reason, worst.sentence)
        return Transition("vantage", vantage, self.seq, now.at, since, old, self.state, verdict)

    def remember(self, witnesses: Iterable[str], now: Moment) -> Note | None:
        """They have answered; what is to be kept of that, once an hour."""
        news = [
            name
            for name in witnesses
            if (known := self.witnesses.get(name)) is None or abs(now.at - known) >= REMEMBERED_EVERY
        ]
        if not news:
            return None
        self.witnesses |= dict.fromkeys(news, now.at)
        self.witnesses = {name: at for name, at in self.witnesses.items() if now.at - at < REMEMBERED}
        return self.note()

    def note(self) -> Note:
        told = None if self.told is None else sorted(self.told)
        worst = self.ailments[0] if self.ailments else None
        return Note(
            NOTE,
            {
                "state": self.state,
                "why": worst.why if worst else "",
                "since": self.since.at.isoformat(),
                "seq": self.seq,
                "told": told,
                "spells": [at.isoformat() for at in self.spells],
                "worst": self.worst.value,
                "witnesses": {name: at.isoformat() for name, at in self.witnesses.items()},
            },
        )

    def _restore(self, note: Mapping[str, Any], now: Moment) -> None:
        try:
            self.seq = read_count(note["seq"])
            known = {name: read_instant(at) for name, at in note.get("witnesses", {}).items()}
            self.witnesses = {name: at for name, at in known.items() if at is not None and now.at - at < REMEMBERED}
            told = None if note["told"] is None else frozenset(map(str, note["told"]))
            self.spells = [at for text in note.get("spells", ()) if (at := read_instant(text)) is not None]
            self.worst = Trouble(note.get("worst", self.worst.value))
            since = read_instant(note["since"])
            if since is not None and note["state"] != WELL:
                passed = max((now.at - since).total_seconds(), 0.0)
                ailment = Ailment(Trouble(note["state"]), Moment(since, now.tick - passed), str(note["why"]))
                self.ailments, self.since = (ailment,), ailment.since
            self.told = told
        except UNREADABLE:
            return  # by another version: what was told of us is not worth more than what we see now


def ailments_of(transition: Transition, tick: float) -> tuple[Ailment, ...]:
    """What was wrong according to a transition of kind ``vantage``, which took place at `tick`; for a replay."""
    if transition.new == WELL:
        return ()
    passed = max((transition.at - transition.since) / timedelta(seconds=1), 0.0)
    trouble = Trouble(transition.new)
    why = transition.verdict.why.removeprefix(trouble.meaning).removeprefix(": ")
    return (Ailment(trouble, Moment(transition.since, tick - passed), why),)


def cannot_see(sight: Sight) -> str:
    """For pages: ``the agent cannot see since 14:02:07 UTC: it has lost ...``; empty while all is well, and
    where only the journal is ill, which tells of itself."""
    worst = next((item for item in sight.ailments if item.trouble is not Trouble.JOURNAL), None)
    if worst is None:
        return ""
    how = "is in trouble" if worst.trouble.sees else "cannot see"
    return f"the agent {how} since {clock(sight.since.at)}: {worst.sentence}"
