"""Flags: what is to be known of a check or a service besides its state.

`maintenance`: a window covers it. `flapping`: its changes are gathered. `suppressed`: a failing check that it depends
on explains its trouble, so nobody is told of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.judge import Judge
from monitor.core.service import ServiceStatus

if TYPE_CHECKING:
    from monitor.core.world import World


def explained_by(world: World, judge: Judge) -> str | None:
    """The failing check that explains its trouble, so that nobody is told of it; None: it is told as ever."""
    held = world.calm.held.get(judge.check.id)
    return judge.suppressed_by or (held.by if held is not None else None)


def flags(world: World, judge: Judge) -> tuple[str, ...]:
    """What is to be known of a check besides its state."""
    calm, name = world.calm, judge.check.id
    if judge.untold is None and not (calm.covered or calm.bouts or calm.held):
        return ()  # as nearly ever, and it is asked for 10,000 checks at once
    return (
        *(("maintenance",) if name in calm.covered else ()),
        *(("flapping",) if calm.is_flapping(f"check:{name}") else ()),
        *(("suppressed",) if explained_by(world, judge) is not None else ()),
    )


def service_flags(world: World, status: ServiceStatus) -> tuple[str, ...]:
    """In maintenance are those whose checks all are, or hang on one that is; flapping also those with a check that
    is. What customers have is told whatever explains it: no service is suppressed."""
    checks, calm = status.service.checks, world.calm
    covered = bool(calm.covered) and all(calm.cover_of(check) for check in checks)
    flaps = bool(calm.bouts) and (
        calm.is_flapping(f"service:{status.service.id}") or any(calm.is_flapping(f"check:{name}") for name in checks)
    )
    return (*(("maintenance",) if covered else ()), *(("flapping",) if flaps else ()))
