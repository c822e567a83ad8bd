"""Deploys: which version was put into production, of what and when, so that what breaks behind it is told beside it.

A deploy is marked by whoever deploys. It is a note, so that it is known after a restart, and a transition, so that
what was decided can be decided again and the past has it for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from monitor.core.model import Change, Moment, Note, State, Transition, Verdict
from monitor.core.snapshot import read_notes, read_seconds
from monitor.core.wording import duration, iso

if TYPE_CHECKING:
    from monitor.core.world import World

PREFIX = "deploy:"
"""The beginning of the names of notes; what follows is a deploy's id."""
KIND, MARKED = "deploy", "marked"
"""Of the transitions that keep what was marked."""

AFTER = timedelta(hours=1)
"""What begins within it is told beside the deploy: later, there are other causes as likely."""
AGAIN = timedelta(minutes=15)
"""Within it the same version of the same is one deploy: a rollout that marks on each host, a script that repeats."""
MOST = 200
"""That are remembered; the oldest goes first."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """A version, and of what. All texts are short, and on one line."""

    id: str
    version: str
    at: datetime
    services: tuple[str, ...] = ()
    """The ids of the services that it is of; none: of all of them."""
    environment: str = ""
    by: str = ""
    """Who has marked it: the name of a token, or a person as GitHub and GitLab know them."""
    url: str = ""
    """Where to read more of it."""

    def is_of(self, services: Iterable[str]) -> bool:
        return not self.services or not set(self.services).isdisjoint(services)

    def same_as(self, other: Deploy) -> bool:
        """Whether both are one deploy, marked twice."""
        mine = self.version, self.services, self.environment
        return mine == (other.version, other.services, other.environment) and abs(self.at - other.at) <= AGAIN

    def as_json(self) -> dict[str, Any]:
        """For its note; `read_deploy` has it back."""
        return {
            "version": self.version,
            "at": self.at.timestamp(),
            "services": list(self.services),
            "environment": self.environment,
            "by": self.by,
            "url": self.url,
        }

    def as_told(self, began: datetime | None = None) -> dict[str, Any]:
        """For events; `began` is when something began after it."""
        told: dict[str, Any] = {"id": self.id, "version": self.version, "at": iso(self.at)}
        told |= {"services": list(self.services), "environment": self.environment or None}
        told |= {"by": self.by or None, "url": self.url or None}
        return told if began is None else told | {"seconds": round((began - self.at).total_seconds(), 3)}

    def before(self, began: datetime) -> str:
        """``3 min after deploy v42``"""
        apart = timedelta(seconds=round((began - self.at).total_seconds()))
        return f"{duration(apart)} after deploy {self.version}" if apart else f"with deploy {self.version}"


def read_deploy(identity: str, value: Mapping[str, Any]) -> Deploy:
    """Of its note. Raises one of `UNREADABLE` for what nobody has written."""
    texts = (value["version"], value["environment"], value["by"], value["url"], *value["services"])
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a name is a text")
    at = datetime.fromtimestamp(read_seconds(value["at"]), UTC)
    version, environment, by, url, *services = texts
    return Deploy(identity, version, at, tuple(services), environment, by, url)


class Deploys:
    """Part of the world: those that are remembered, by id, in the order in which they were marked."""

    def __init__(self, notes: Mapping[str, Any]) -> None:
        found, self.unreadable = read_notes(notes, PREFIX, read_deploy)
        ordered = sorted(found.values(), key=lambda item: (item.at, item.id))
        self._known = {deploy.id: deploy for deploy in ordered}

    def __iter__(self) -> Iterator[Deploy]:
        """The newest first."""
        return iter(sorted(self._known.values(), key=lambda item: item.at, reverse=True))

    def __len__(self) -> int:
        return len(self._known)

    def notes(self) -> Iterator[Note]:
        """All that is remembered: for a journal that has lost it."""
        return (Note(PREFIX + deploy.id, deploy.as_json()) for deploy in self._known.values())

    def twin(self, deploy: Deploy) -> Deploy | None:
        """The one that it repeats."""
        known = self._known.get(deploy.id)
        return known or next((other for other in self if other.same_as(deploy)), None)

    def previous(self, deploy: Deploy) -> Deploy | None:
        """What was there before, of the same."""
        where = deploy.services, deploy.environment
        earlier = (other for other in self if other.at <= deploy.at and other.id != deploy.id)
        return next((other for other in earlier if (other.services, other.environment) == where), None)

    def behind(self, services: Iterable[str], began: datetime) -> Deploy | None:
        """The last one of any of `services` before something `began`, if that was soon after it."""
        if not self._known:
            return None  # as nearly ever
        names = tuple(services)
        found = (item for item in self if item.at <= began and item.is_of(names))
        last = next(found, None)
        return last if last is not None and began - last.at <= AFTER else None

    def remember(self, deploy: Deploy) -> Iterator[Note]:
        """What is to be noted because of it: it, and those that are forgotten for it."""
        self._known[deploy.id] = deploy
        yield Note(PREFIX + deploy.id, deploy.as_json())
        while len(self._known) > MOST:
            oldest = min(self._known.values(), key=lambda item: (item.at, item.id)).id
            del self._known[oldest]
            yield Note(PREFIX + oldest, None)


def mark(world: World, deploy: Deploy, now: Moment) -> Change | None:
    """Remember it and tell of it. None: it is known."""
    deploys = world.deploys
    if deploys.twin(deploy) is not None:
        return None
    notes = tuple(deploys.remember(deploy))
    verdict = Verdict(State.UNKNOWN, why=deploy.version)
    kept = Transition(KIND, deploy.id, 1, now.at, deploy.at, "", MARKED, verdict, deploy.as_json())
    return Change(
        transitions=(kept,), events=(world.teller.deploy(deploy, deploys.previous(deploy), now.at),), notes=notes
    )


def again(world: World, kept: Transition, now: Moment) -> Change | None:
    """Do what was done then. Raises one of `UNREADABLE` where the journal does not know any more what it was."""
    return mark(world, read_deploy(kept.subject, kept.evidence), now)
