"""Who is called next while nobody has acknowledged an incident: policies, and how far each has come.

A policy begins when a route that has it takes an incident, and its waits count from then: by the monotonic clock
while the agent runs, by the wall clock over a restart.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from monitor.core.agenda import Agenda
from monitor.core.model import Moment, Note
from monitor.core.routing import Policy
from monitor.core.snapshot import read_count, read_notes, read_seconds

PREFIX = "escalation:"
"""The beginning of the names of notes; what follows is an incident's id."""
ESCALATE = "escalate"
"""The kind of an item on the agenda: an incident of which somebody may have to be told."""
HOURS = 60.0
"""Seconds until it is asked again whether the hours of a route have begun or are over."""
LONGEST_PAUSE = 86400.0
"""Seconds between two reminders, however often nobody has answered; longer where the first wait is."""
LATE = 30.0
"""Seconds by which a step may be late until those behind it are put off by as much: after an hour in which nobody
could be called, not everybody is called at once."""


@lru_cache(maxsize=256)
def key_of(policy: Policy) -> str:
    """Names the policy in the journal: by what it says, so that a reload leaves it where it is."""
    return hashlib.sha256(repr(policy).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Run:
    """How far a policy has come. Times are ticks: `began`, and `told` something last; `late`: by how many seconds its
    steps are put off; `done`: steps that were taken."""

    began: float
    told: float
    late: float = 0.0
    done: int = 0
    reminders: int = 0

    def step_due(self, policy: Policy) -> float:
        """When the next step is to be taken; infinite: there is none."""
        if self.done >= len(policy.steps):
            return math.inf
        return self.began + self.late + policy.steps[self.done].after.total_seconds()

    def reminder_due(self, policy: Policy) -> float:
        if policy.remind is None:
            return math.inf
        first = policy.remind.total_seconds()
        return self.told + min(first * 2.0 ** min(self.reminders, 32), max(first, LONGEST_PAUSE))

    def due(self, policy: Policy) -> float:
        return min(self.step_due(policy), self.reminder_due(policy))

    def stepped(self, policy: Policy, tick: float) -> Run:
        """After the next step."""
        late = tick - self.step_due(policy)
        return replace(self, told=tick, late=self.late + (late if late > LATE else 0.0), done=self.done + 1)

    def reminded(self, tick: float) -> Run:
        return replace(self, told=tick, reminders=self.reminders + 1)

    def reached(self, policy: Policy) -> tuple[str, ...]:
        """The targets of the steps that were taken."""
        return tuple(name for step in policy.steps[: self.done] for name in step.to)


class Escalation:
    """Part of the world: the runs of all open incidents that nobody has acknowledged."""

    def __init__(self, agenda: Agenda, notes: Mapping[str, Any], now: Moment) -> None:
        self._agenda = agenda

        def read(_incident: str, value: Any) -> dict[str, Run]:
            return {str(key): _load(run, now) for key, run in value.items()}

        self._runs, unreadable = read_notes(notes, PREFIX, read)
        """By the id of the incident, and by the key of the policy."""
        self._news = {name: Note(name, None) for name in unreadable}

    def run(self, incident: str, policy: Policy) -> Run | None:
        return self._runs.get(incident, {}).get(key_of(policy))

    def incidents(self) -> list[str]:
        return list(self._runs)

    def follow(self, incident: str, policies: Collection[Policy], now: Moment, again: float = math.inf) -> None:
        """These are for the incident now: those that were go on, others begin, and what is not among them is over.
        `again`: seconds until that may be otherwise because of the hour."""
        known = self._runs.get(incident, {})
        runs = {key: known.get(key) or Run(now.tick, now.tick) for key in map(key_of, policies)}
        if runs != known:
            self._keep(incident, runs, now)
        due = min([now.tick + again, *(runs[key_of(policy)].due(policy) for policy in policies)])
        if due < math.inf:
            self._agenda.enter(ESCALATE, incident, due)
        else:
            self._agenda.drop(ESCALATE, incident)

    def advance(self, incident: str, policy: Policy, run: Run, now: Moment) -> None:
        self._keep(incident, self._runs[incident] | {key_of(policy): run}, now)

    def notes(self, now: Moment) -> Iterator[Note]:
        """All that is remembered: for a journal that has lost it."""
        return (Note(PREFIX + name, _dump(runs, now)) for name, runs in self._runs.items())

    def written(self) -> tuple[Note, ...]:
        """What is to be noted since this was last asked."""
        news, self._news = tuple(self._news.values()), {}
        return news

    def _keep(self, incident: str, runs: dict[str, Run], now: Moment) -> None:
        if runs:
            self._runs[incident] = runs
        else:
            del self._runs[incident]
        name = PREFIX + incident
        self._news[name] = Note(name, _dump(runs, now) if runs else None)


def _dump(runs: Mapping[str, Run], now: Moment) -> dict[str, Any]:
    zero = now.at.timestamp() - now.tick
    return {
        key: {
            "began": round(zero + run.began, 3),
            "told": round(zero + run.told, 3),
            "late": round(run.late, 3),
            "done": run.done,
            "reminders": run.reminders,
        }
        for key, run in runs.items()
    }


def _load(value: Mapping[str, Any], now: Moment) -> Run:
    """What would lie ahead of us began now: the clock was set back meanwhile."""
    zero = now.at.timestamp() - now.tick
    began, told = (min(read_seconds(value[name]) - zero, now.tick) for name in ("began", "told"))
    return Run(began, told, read_seconds(value["late"]), read_count(value["done"]), read_count(value["reminders"]))
