"""What fails while a check that it depends on is in maintenance: nobody is told of it, as nobody is of that one.

Who announces a window for the database knows that the shop cannot do without it, and does not want to be paged for
the shop. So what gets worse while a dependency in maintenance is not known to be well is kept back
(`monitor.core.calm`), until that one is well and has been for a while, or is in maintenance no longer. While it is
well nothing is kept back: a shop that breaks by itself in that night is told of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.calm import WINDOWS
from monitor.core.causes import explains, settled
from monitor.core.following import GRACE
from monitor.core.judge import Judge
from monitor.core.model import Look, Moment, State
from monitor.core.suppression import PATIENCE

if TYPE_CHECKING:
    from monitor.core.world import World


def sheltered(world: World, judge: Judge, look: Look, now: Moment) -> str | None:
    """After a look that has changed a check: the dependency in maintenance that may be why it is as it is, by id."""
    if not judge.check.depends_on or not (world.calm.covered or world.calm.held):
        return None
    first, _ = world.waiting.failing.get(judge.check.id, (look.began.tick, False))
    found = shelter(world, judge, now.tick, first)
    if found is not None and not world.judges[found].state.bad:
        world.agenda.hasten(WINDOWS, "", now.tick + PATIENCE)  # it is being looked at
    return found


def shelter(world: World, judge: Judge, tick: float, asked: float | None = None) -> str | None:
    """The same, for one that is as it is since before. What was not looked at since the tick `asked` is not known
    to be well."""
    covered, judges = world.calm.covered, world.judges
    held = world.calm.held.get(judge.check.id)
    before = judges.get(held.by) if held is not None and held.by is not None else None
    if before is not None and before.check.id in covered and _in_doubt(before, judge, tick, asked):
        return before.check.id  # of 10,000 checks of one host the dependencies need not be walked through
    for parent in world.causes.parents(judge) if covered else ():
        if parent.check.id in covered and _in_doubt(parent, judge, tick, asked):
            return parent.check.id
    return before.check.id if before is not None and _just_back(before, tick) else None


def _in_doubt(parent: Judge, judge: Judge, tick: float, asked: float | None) -> bool:
    """Whether a dependency may be why: it fails, is not known to be well, or is so only since a moment."""
    if parent.suspicious or (asked is not None and not settled(parent, asked)):
        return True
    if parent.state.bad:
        return explains(parent, parent.state, judge, judge.state)
    return parent.state is State.UNKNOWN or _just_back(parent, tick)


def _just_back(parent: Judge, tick: float) -> bool:
    """What hangs on it may be slow to follow."""
    since, before = parent.turn
    return parent.state is State.UP and before.bad and tick - since < GRACE


def keeps(world: World, judge: Judge, tick: float) -> bool:
    """Whether what was kept back of a check is kept on."""
    return world.calm.quiet(judge.check.id) or shelter(world, judge, tick) is not None


def kept_no_longer(world: World, tick: float) -> list[str]:
    """The checks of which something was kept back, and is to be told now. Those from before a start are told of when
    they have been seen."""
    calm, judges, surely = world.calm, world.judges, dict[str | None, bool]()
    found = []
    for name, told in calm.held.items():
        if told.by not in surely:  # of 10,000 checks of one host, that is asked once
            parent = judges.get(told.by or "") if told.by in calm.covered else None
            surely[told.by] = parent is not None and parent.state in (State.DOWN, State.UNKNOWN)
        if not (surely[told.by] or name not in judges or name in world.unseen or keeps(world, judges[name], tick)):
            found.append(name)
    return found
