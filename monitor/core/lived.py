"""Which plan was in force when: what an agent's past was judged by, and which check a look was at.

A renamed check is recorded under its last name all along (`monitor.core.naming`); it was judged under the names that
it had at the time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from monitor.core.form import COARSEST
from monitor.core.judge import Judge
from monitor.core.model import Check, Moment
from monitor.core.plan import Plan
from monitor.core.portions import former_ids

_CUT = timedelta(milliseconds=2 * COARSEST)
"""By so much at most a look seems to be earlier than it was: its tick is cut, and so is the clocks' distance."""
_SAME = 0.0005
"""Seconds: ticks are kept in milliseconds."""

Line = tuple[Check | None, ...]
"""One check through all plans: as each of them has it, None where it does not."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What was in force from `at` on."""

    at: datetime
    plan: Plan
    seen: Mapping[str, float] = field(default_factory=dict)
    """By check: the tick at which the last look ended that had been judged, of those that had one just before."""


def just_seen(judges: Mapping[str, Judge], now: Moment) -> dict[str, float]:
    """For a definition that comes into force now. Times of looks are cut: by them alone nobody could tell whether a
    look was judged before that or after it."""
    since = now.tick - 2 * _CUT.total_seconds()
    lasts = ((name, judge.last) for name, judge in judges.items())
    return {name: last.ended.tick for name, last in lasts if last is not None and last.ended.tick >= since}


class Lived:
    """The definitions of a stretch of the past, numbered from 0."""

    def __init__(self, definitions: Iterable[Definition]) -> None:
        """At least one. The first counts for what came before, too: of that nothing else is known."""
        self._definitions = tuple(sorted(definitions, key=lambda item: item.at))
        self.since = tuple(item.at for item in self._definitions)
        self.plans = tuple(item.plan for item in self._definitions)
        self._former: tuple[dict[str, str], ...] = (
            {},
            *(former_ids(one.checks, other.checks) for one, other in pairwise(self.plans)),
        )

    def number(self, check: str, ended: Moment) -> int:
        """Of the plan that judged a look at the check which ended then."""
        number, doubtful = self._place(ended)
        if not doubtful or check not in self.plans[number + 1].checks:
            return number
        return number if check in self.plans[number].checks and self._before(number + 1, check, ended) else number + 1

    def line(self, name: str) -> Line:
        """Of what is recorded under that name."""
        found: list[Check | None] = []
        for plan, former in zip(reversed(self.plans), reversed(self._former), strict=True):
            found.append(plan.checks.get(name))
            name = former.get(name, name)
        return tuple(reversed(found))

    def check(self, line: Line, ended: Moment) -> Check | None:
        """The check that a look was at which ended then; None where nobody judged it."""
        number, doubtful = self._place(ended)
        now, following = line[number], line[number + 1] if doubtful else None
        if now is None or following is None:
            return now or following
        return now if self._before(number + 1, now.id, ended) else following

    def changed(self, number: int) -> tuple[str, ...]:
        """The ids of the checks that are there no more since that plan, or not as before, or only since."""
        before, after = self.plans[number - 1].checks, self.plans[number].checks
        return tuple(name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name))

    def _place(self, ended: Moment) -> tuple[int, bool]:
        """Which plan it was by the time, and whether it may have been the following one."""
        number = max(bisect_right(self.since, ended.at) - 1, 0)
        return number, number + 1 < len(self.since) and self.since[number + 1] - ended.at <= _CUT

    def _before(self, number: int, check: str, ended: Moment) -> bool:
        """Whether a look at the check was judged before that plan came into force."""
        return ended.tick <= self._definitions[number].seen.get(check, -math.inf) + _SAME


def always(plan: Plan) -> Lived:
    """One plan for all of the past."""
    return Lived([Definition(datetime.min.replace(tzinfo=UTC), plan)])
