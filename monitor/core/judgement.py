"""What the judge of a check answers to a look: what has changed, and when to look again."""

from __future__ import annotations

from monitor.core.model import Transition
from probes._quick import quick


@quick(frozen=True, slots=True)
class Judgement:
    """What a look came to. `burst` are extra looks to take so many seconds from now; `pace` is the interval of
    further ones (s), None when the grid is enough. `again`: in so many seconds there is something new to be seen,
    known beforehand."""

    transition: Transition | None = None
    burst: tuple[float, ...] = ()
    pace: float | None = None
    again: float | None = None


CALM = Judgement()
"""Nothing to be told, and the grid is enough."""
