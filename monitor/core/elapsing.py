"""What time brings about, by the kind of an item on the agenda; and all that is to be remembered over a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from monitor.core import calming, drill, escalating, handling, impairment, silences, suppression, unjudged
from monitor.core.calm import BOUTS, WINDOWS
from monitor.core.escalation import ESCALATE
from monitor.core.following import MERGE, ROOT, corrected, merge
from monitor.core.model import Change, Moment, Note

if TYPE_CHECKING:
    from monitor.core.world import World

ELAPSED: Mapping[str, Callable[[World, str, Moment], Change | None]] = {
    WINDOWS: calming.windows,
    BOUTS: calming.flapping,
    calming.FREE: calming.freed,
    impairment.AGENDA: impairment.tell,
    impairment.AGENDA_QUIET: impairment.quiet,
    suppression.UNTOLD: suppression.elapsed,
    suppression.HEARD: suppression.heard,
    suppression.RELEASED: suppression.let_go,
    ROOT: corrected,
    MERGE: merge,
    handling.SNOOZE: handling.woken,
    ESCALATE: escalating.due,
    silences.HEARING: silences.reconsider,
    unjudged.AGENDA: unjudged.review,
    drill.AGENDA: drill.due,
}
"""What each kind brings about, given its subject."""


def notes(world: World, now: Moment) -> Iterator[Note]:
    """All that is remembered: for a journal that has lost it."""
    if world.sight.seq or world.sight.witnesses:
        yield world.sight.note()
    yield from world.unjudged.notes()
    yield from world.calm.notes(now)
    yield from drill.notes(world)
    yield from world.handling.notes()
    yield from world.deploys.notes()
    yield from world.escalation.notes(now)
    yield from world.silences.notes()
    yield from world.quiet.notes()
    yield from world.actions.notes()
