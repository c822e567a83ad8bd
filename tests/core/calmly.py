"""Stories in which time goes on between the looks, with restarts, maintenance and flapping."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor.core.calming import end_maintenance, maintain
from monitor.core.maintenance import Scope, Span, Window
from monitor.core.model import Journal, Look
from monitor.core.world import World
from tests.core.builders import START, check, moment, world
from tests.core.stories import Story, begun, journal_of
from tests.core.succeeded import ROUTES, sound

T0 = START.timestamp()

FIRST_TWO = ["opened", "updated", "resolved"] * 2
"""What is told of the incidents of two bouts, which are no flapping yet."""


def once(
    begin: float, end: float, *checks: str, name: str = "w", services: tuple[str, ...] = (), **labels: str
) -> Window:
    """A window from so many seconds after the start on, to so many."""
    return Window(name, Scope(checks, services, labels), Span(T0 + begin, T0 + end), why="a deploy", by="ci")


class Calmly(Story):
    now = 0.0

    def feed(self, look: Look) -> None:
        self.wait(look.began.tick - moment(0).tick)
        super().feed(look)

    def wait(self, until: float) -> None:
        """Let time do what is due."""
        while (due := self.world.next_due) is not None and due <= moment(until).tick:
            self.now = max(due - moment(0).tick, self.now)
            self.keep(self.world.elapse(moment(self.now)))
        self.now = max(self.now, until)

    def maintain(self, window: Window, at: float) -> None:
        self.wait(at)
        self.keep(maintain(self.world, window, moment(at)))

    def end(self, at: float, name: str = "w") -> None:
        self.wait(at)
        self.keep(end_maintenance(self.world, name, moment(at)))

    @property
    def journal(self) -> Journal:
        return journal_of(self)

    def restart(self, at: float, **plan: Any) -> None:
        """As after a kill: what was committed is known, and nothing else."""
        self.now = at
        self.world = World(replace(self.world.plan, **plan), self.journal, moment(at))
        self.keep(self.world.start(moment(at)))

    @property
    def sentences(self) -> list[str]:
        return [event["sentence"] for event in self.events]

    def done(self, at: float) -> None:
        """All that is due is done; then it must be sound."""
        self.wait(at)
        sound(self)


def story(*names: str, **plan: Any) -> Calmly:
    """Checks that are well, each a service of its own."""
    here = Calmly(world(*(check(name) for name in names or ("home",)), **{"routes": ROUTES, **plan}))
    begun(here, names or ("home",))
    return here


def flap(here: Calmly, *begins: float, name: str = "home") -> Calmly:
    """Down and up again at these times."""
    for at in begins:
        here.kill(name, at)
        here.heal(name, at + 10)
    return here


def incidents(here: Calmly) -> list[str]:
    return [kind.removeprefix("incident.") for kind, _ in here.told("incident")]
