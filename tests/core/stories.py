"""Stories: a world that is fed with looks, and what it tells; a shop of three checks to tell them of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import jsonschema

from monitor.core.model import Change, Journal, Look, OutageRule, Service
from monitor.core.world import World
from probes.contract import Reason
from tests.core.builders import check, look, moment, world

SCHEMA = jsonschema.Draft202012Validator(
    json.loads(files("monitor").joinpath("schemas/event.schema.json").read_text(encoding="utf-8"))
)

SHOP = Service(
    "shop", "Web shop", ("home", "checkout", "search"), OutageRule(1, ("home", "checkout")), runbook="/wiki"
)


def shop(**fields: Any) -> World:
    checks = [check(name, service="shop") for name in ("home", "checkout", "search")]
    return world(*checks, services={"shop": SHOP}, **fields)


class Story:
    """A world fed with looks; keeps what was told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.changes: list[Change] = []

    def see(self, at: float, check: str = "home", fails: Reason | None = None, **measurements: float) -> None:
        self.feed(look(at, check=check, fails=fails, **measurements))

    def feed(self, look: Look) -> None:
        self.keep(self.world.observe(look).change)

    def keep(self, change: Change | None) -> None:
        """What a store would have committed."""
        if change is not None:
            self.changes.append(change)

    def kill(self, check: str, at: float) -> None:
        for second in range(3):
            self.see(at + second, check, Reason.REFUSED)

    def heal(self, check: str, at: float) -> None:
        for second in range(12):
            self.see(at + second, check)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [dict(event.body) for change in self.changes for event in change.events]

    def told(self, kind: str = "") -> list[tuple[str, str]]:
        return [(event["type"], event["state"]["new"]) for event in self.events if event["type"].startswith(kind)]


def begun(story: Story, names: Iterable[str] = ("home", "checkout", "search")) -> Story:
    for name in names:
        story.see(0, name)
    return story


def journal_of(story: Story) -> Journal:
    """What a store that committed all these changes would tell at the next start."""
    checks, services, incidents, notes = {}, {}, {}, {}
    for change in story.changes:
        notes |= {note.name: note.value for note in change.notes}
        checks |= {record.check: record for record in change.checks}
        services |= {record.service: record for record in change.services}
        incidents |= {incident.id: incident for incident in change.incidents}
    still_open = tuple(item for item in incidents.values() if not item.resolved)
    kept = {name: value for name, value in notes.items() if value is not None}
    return Journal("origin", 2, checks, services, still_open, kept)


def again_with(story: Story, *checks: Any, at: float, **fields: Any) -> Story:
    """The same journal under another configuration, `World.start` told."""
    restarted = Story(world(*checks, journal=journal_of(story), at=at, **fields))
    restarted.changes = list(story.changes)
    change = restarted.world.start(moment(at))
    if change is not None:
        restarted.changes.append(change)
    return restarted
