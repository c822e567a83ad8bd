"""Which failing checks explain which: along `depends_on`, down to the deepest that fails."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from monitor.core.judge import Judge
from monitor.core.model import State

TOGETHER = timedelta(minutes=10)
"""A dependency that is only degraded explains a check that is down if it became so this long before, at most: what
has been slow for days did not kill anything today."""

WALKED = 200
"""Dependencies of a check that are considered, the nearest first."""


@dataclass(frozen=True, slots=True)
class Causes:
    """`judges` by id, `dependants` by the id of what they name, `unseen`: whose state is only remembered."""

    judges: Mapping[str, Judge]
    dependants: Mapping[str, tuple[str, ...]]
    told: Callable[[Judge], State]
    """The state that was told of a check (`monitor.core.calm`): what is in maintenance explains nothing."""
    unseen: Collection[str] = ()

    def parents(self, judge: Judge) -> Iterator[Judge]:
        """All that it depends on, directly or not, nearest first, each once."""
        return islice(self._walk(judge, lambda item: item.check.depends_on), WALKED)

    def children(self, judge: Judge) -> Iterator[Judge]:
        """All that depends on it, directly or not."""
        return self._walk(judge, lambda item: self.dependants.get(item.check.id, ()))

    def explaining(self, judge: Judge) -> list[Judge]:
        """The failing dependencies of a bad check that may be why."""
        return list(self._explaining(judge))

    def is_explained(self, judge: Judge) -> bool:
        """Whether there is one: the first that is met will do."""
        return any(True for _ in self._explaining(judge))

    def _explaining(self, judge: Judge) -> Iterator[Judge]:
        return (parent for parent in self.parents(judge) if self._explains(parent, judge))

    def explained(self, judge: Judge) -> Iterator[Judge]:
        """The bad checks that this bad one may be the cause of."""
        return (child for child in self.children(judge) if self.told(child).bad and self._explains(judge, child))

    def deepest(self, judge: Judge) -> Judge:
        """The probable cause of a bad check: of the failing dependencies that no other explains, the one that failed
        first; itself, where none fails. In a chain that is longer than what is walked, the farthest."""
        failing = self.explaining(judge)
        found = [parent for parent in failing if not self.is_explained(parent)]
        return min(found or failing[-1:], key=first_sign, default=judge)

    def undecided(self, judge: Judge, tick: float) -> list[Judge]:
        """Its dependencies of which it is not known yet whether they fail: no look that began at `tick` or later has
        shown them well."""
        return [parent for parent in self.parents(judge) if not self._known_bad(parent) and not settled(parent, tick)]

    def _known_bad(self, judge: Judge) -> bool:
        return judge.state.bad and judge.check.id not in self.unseen

    def _fails(self, judge: Judge) -> bool:
        return self.told(judge).bad and judge.check.id not in self.unseen

    def _explains(self, parent: Judge, child: Judge) -> bool:
        return self._fails(parent) and explains(parent, self.told(parent), child, self.told(child))

    def _walk(self, judge: Judge, following: Callable[[Judge], Iterable[str]]) -> Iterator[Judge]:
        """In the midst of a reload a name may not be there: it leads nowhere."""
        seen = {judge.check.id}
        front = [judge]
        for item in front:  # it grows while it is walked through
            for name in following(item):
                if name not in seen and (found := self.judges.get(name)) is not None:
                    seen.add(name)
                    front.append(found)
                    yield found


def explains(parent: Judge, state: State, child: Judge, child_state: State) -> bool:
    """Whether a dependency in a bad `state` may be why a check is in its own; what is slow for long kills nothing."""
    if state is State.DOWN or child_state is not State.DOWN:
        return True
    return first_sign(child)[0] - first_sign(parent)[0] <= TOGETHER


def first_sign(judge: Judge) -> tuple[datetime, str]:
    """When what is wrong with it began, by its first failing look; with its id, so that the order never hangs on
    chance. What went down today failed today, also if it was slow for a week before."""
    return (None if judge.state is State.DOWN else judge.trouble_since) or judge.since, judge.check.id


def lost(judge: Judge) -> bool:
    """Whether sight of it was lost while it was bad."""
    return judge.state is State.UNKNOWN and judge.trouble_since is not None


def settled(judge: Judge, tick: float) -> bool:
    """Whether a look that began then or later has shown how it is."""
    return not judge.suspicious and judge.last is not None and judge.last.began.tick >= tick
