"""What a status page should say of each component, and whose word stands there: pure, for the statuspage sink.

A component is *ours* from when we have changed it until nothing of ours wants it otherwise. What a person has set
meanwhile, or before, is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

OPERATIONAL: Final = "operational"
DEGRADED: Final = "degraded_performance"
OUTAGE: Final = "major_outage"
_ORDER: Final = (OPERATIONAL, DEGRADED, OUTAGE)

WANTED: Final = "wanted"
OURS: Final = "ours"
"""Keys of a stream's memory: {component: status}, and {component: [status, ...]}."""


@dataclass(slots=True)
class Page:
    """What each stream (an incident, a service) wants of the components, and what we have set."""

    wanted: dict[str, dict[str, str]] = field(default_factory=dict)
    """component -> stream -> status; one that wants nothing special is not there."""
    ours: dict[str, set[str]] = field(default_factory=dict)
    """component -> what stands there if nobody has touched it since. One status; while it is being set, after that
    has failed, and after a restart those it may be."""

    @classmethod
    def remembered(cls, kept: Mapping[str, Mapping[str, Any]]) -> Page:
        """As the memories of the streams have it. What one wants may be there as well: it was told of less often."""
        page = cls()
        for stream, memory in kept.items():
            wanted, ours = _statuses(memory.get(WANTED)), _choices(memory.get(OURS))
            for component, status in wanted.items():
                page.wanted.setdefault(component, {})[stream] = status
            for component, found in ours.items():
                page.ours.setdefault(component, set()).update(found, (wanted.get(component, found[0]),))
        return page

    def want(self, stream: str, statuses: Mapping[str, str], memory: Mapping[str, Any]) -> list[str]:
        """From now on this stream wants these, and of components that are not named nothing. Which components are to
        be looked at because of that: not those that say it by our own doing."""
        before = [name for name, wanted in self.wanted.items() if wanted.pop(stream, None) is not None]
        for component, status in statuses.items():
            if status != OPERATIONAL:
                self.wanted.setdefault(component, {})[stream] = status
        named = dict.fromkeys((*statuses, *before, *_choices(memory.get(OURS))))
        return [name for name in named if not self.wanted.get(name) or self.ours.get(name) != {self.due(name)}]

    def due(self, component: str) -> str:
        """What it should say: the worst that any stream wants."""
        return max(self.wanted.get(component, {}).values(), key=_ORDER.index, default=OPERATIONAL)

    def change(self, component: str, found: str, *, maybe: bool = False) -> str | None:
        """What it is to be set to, given what it says now; None: leave it. `maybe`: an earlier attempt of ours may
        have set what is due, though we do not remember it."""
        due, ours = self.due(component), self.ours.get(component)
        if found == due:
            if ours is not None or (maybe and due != OPERATIONAL):
                self.ours[component] = {found}
            return None
        untouched = found in ours if ours is not None else found == OPERATIONAL
        return due if untouched else None

    def begin(self, component: str, found: str, change: str) -> None:
        """It says `found`, and is now set to `change`: until that was answered it may say either."""
        self.ours[component] = {found, change}

    def done(self, component: str, status: str | None) -> None:
        """It was looked at, and set to `status`, or left alone (None)."""
        if status is not None:
            self.ours[component] = {status}
        if not self.wanted.get(component):
            self.wanted.pop(component, None)
            self.ours.pop(component, None)

    def remember(self, stream: str, memory: MutableMapping[str, Any], owed: Iterable[str]) -> None:
        """Put into the stream's memory what a restart must know. `owed`: what has not been looked at yet."""
        mine = {name: wanted[stream] for name, wanted in self.wanted.items() if stream in wanted}
        ours = {name: sorted(self.ours[name], key=_ORDER.index) for name in (*mine, *owed) if self.ours.get(name)}
        for key, value in ((WANTED, mine), (OURS, ours)):
            memory.pop(key, None)
            if value:
                memory[key] = value


def _statuses(value: object) -> dict[str, str]:
    """What a memory has, if it is what we write there."""
    found = value.items() if isinstance(value, dict) else ()
    return {str(name): status for name, status in found if status in _ORDER}


def _choices(value: object) -> dict[str, list[str]]:
    """The same, of those with several statuses."""
    found = value.items() if isinstance(value, dict) else ()
    several = {str(name): item if isinstance(item, list) else [item] for name, item in found}
    return {
        name: known for name, item in several.items() if (known := [status for status in item if status in _ORDER])
    }
