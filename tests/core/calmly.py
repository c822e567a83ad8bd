"""Stories in which time goes on between the looks, with restarts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor.core.calming import end_maintenance, maintain
from monitor.core.maintenance import Scope, Span, Window
from monitor.core.model import Journal
from monitor.core.world import World
from tests.core.builders import START, moment
from tests.core.succeeded import sound
from tests.core.test_world import Story

T0 = START.timestamp()


def once(
    begin: float, end: float, *checks: str, name: str = "w", services: tuple[str, ...] = (), **labels: str
) -> Window:
    """A window from so many seconds after the start on, to so many."""
    return Window(name, Scope(checks, services, labels), Span(T0 + begin, T0 + end), why="a deploy", by="ci")


class Calmly(Story):
    now = 0.0

    def feed(self, look: Any) -> None:
        self.wait(look.began.tick - moment(0).tick)
        super().feed(look)

    def wait(self, until: float) -> None:
        """Let time do what is due."""
        while (due := self.world.next_due) is not None and due <= moment(until).tick:
            self.now = max(due - moment(0).tick, self.now)
            self._add(self.world.elapse(moment(self.now)))
        self.now = max(self.now, until)

    def _add(self, change: Any) -> None:
        if change is not None:
            self.changes.append(change)

    def maintain(self, window: Window, at: float) -> None:
        self.wait(at)
        self._add(maintain(self.world, window, moment(at)))

    def end(self, at: float, name: str = "w") -> None:
        self.wait(at)
        self._add(end_maintenance(self.world, name, moment(at)))

    @property
    def journal(self) -> Journal:
        found = Journal("origin", 2)
        checks, services, notes = {}, {}, {}
        incidents: dict[str, Any] = {}
        for change in self.changes:
            checks |= {item.check: item for item in change.checks}
            services |= {item.service: item for item in change.services}
            incidents |= {item.id: item for item in change.incidents}
            notes |= {item.name: item.value for item in change.notes}
        still_open = tuple(item for item in incidents.values() if item.resolved is None)
        known = {name: value for name, value in notes.items() if value is not None}
        return replace(found, checks=checks, services=services, incidents=still_open, notes=known)

    def restart(self, at: float, **plan: Any) -> None:
        """As after a kill: what was committed is known, and nothing else."""
        self.now = at
        self.world = World(replace(self.world.plan, **plan), self.journal, moment(at))
        self._add(self.world.start(moment(at)))

    @property
    def sentences(self) -> list[str]:
        return [event["sentence"] for event in self.events]

    def done(self, at: float) -> None:
        """All that is due is done; then it must be sound."""
        self.wait(at)
        sound(self)
