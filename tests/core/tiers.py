"""Stories of checks that depend on one another: a database, an application above it, a front above that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from monitor.core.model import Check, Look
from monitor.core.world import World
from tests.core.builders import check, moment, world
from tests.core.stories import Story, begun, journal_of
from tests.core.succeeded import ROUTES

CHAIN = {"database": (), "app": ("database",), "front": ("app",)}


class Tiers(Story):
    """Keeps also which dependencies it would have looked at, and lets time pass as the pipeline does."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.asked: list[tuple[str, ...]] = []

    def feed(self, look: Look) -> None:
        decision = self.world.observe(look)
        self.asked.append(decision.ask)
        self.keep(decision.change)

    def wait(self, until: float) -> None:
        while (due := self.world.next_due) is not None and due <= moment(until).tick:
            self.keep(self.world.elapse(moment(due - moment(0).tick)))

    @property
    def incidents(self) -> list[tuple[str, str, str]]:
        """(what was told, root, state) of each event of an incident."""
        return [
            (event["type"].removeprefix("incident."), event["incident"]["root"], event["state"]["new"])
            for event in self.events
            if event["type"].startswith("incident.")
        ]

    @property
    def checks(self) -> list[tuple[str, str]]:
        return [(e["check"]["id"], e["state"]["new"]) for e in self.events if e["type"] == "check.changed"]


def linked(depends: dict[str, tuple[str, ...]]) -> list[Check]:
    """Checks that depend on those, each a service of its own."""
    return [check(name, depends_on=parents) for name, parents in depends.items()]


def tiers(depends: dict[str, tuple[str, ...]] = CHAIN, **fields: Any) -> Tiers:
    story = Tiers(world(*linked(depends), **{"routes": ROUTES, **fields}))
    begun(story, depends)
    return story


def restarted(story: Tiers, checks: Iterable[Check], at: float, **plan: Any) -> Tiers:
    """As after a kill: what was committed is known, and nothing else."""
    again = Tiers(world(*checks, routes=ROUTES, journal=journal_of(story), at=at, **plan))
    again.changes = list(story.changes)
    again.keep(again.world.start(moment(at)))
    return again
