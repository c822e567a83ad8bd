"""Which plan was in force when: what an agent's past was judged by, and which check a look was at.

A renamed check is recorded under its last name all along (`monitor.core.naming`); it was judged under the names that
it had at the time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from monitor.core.model import Check
from monitor.core.plan import Plan
from monitor.core.portions import former_ids
from monitor.core.quantise import COARSEST

_CUT = timedelta(milliseconds=COARSEST)

Line = tuple[Check | None, ...]
"""One check through all plans: as each of them has it, None where it does not."""


class Lived:
    """The plans of a stretch of the past, numbered from 0."""

    def __init__(self, plans: Sequence[tuple[datetime, Plan]]) -> None:
        """Each with the time from which on it was in force, at least one. The first counts for what came before, too:
        of that nothing else is known."""
        ordered = sorted(plans, key=lambda item: item[0])
        self.since = tuple(at for at, _ in ordered)
        self.plans = tuple(plan for _, plan in ordered)
        self._former: tuple[dict[str, str], ...] = (
            {},
            *(former_ids(one.checks, other.checks) for one, other in pairwise(self.plans)),
        )

    def number(self, check: str, ended: datetime) -> int:
        """Of the plan that judged a look at the check which ended then. Times of looks are cut: one that was taken at
        once because a plan had come into force may bear a time from just before that."""
        number = max(bisect_right(self.since, ended) - 1, 0)
        following = number + 1
        soon = following < len(self.plans) and self.since[following] - ended <= _CUT
        return following if soon and self._looked_at_anew(check, following) else number

    def line(self, name: str) -> Line:
        """Of what is recorded under that name."""
        found: list[Check | None] = []
        for plan, former in zip(reversed(self.plans), reversed(self._former), strict=True):
            found.append(plan.checks.get(name))
            name = former.get(name, name)
        return tuple(reversed(found))

    def check(self, line: Line, ended: datetime) -> Check | None:
        """The check that a look was at which ended then; None where nobody judged it."""
        number = max(bisect_right(self.since, ended) - 1, 0)
        following = line[number + 1] if number + 1 < len(line) else None
        return line[number] if following is None else line[self.number(following.id, ended)]

    def changed(self, number: int) -> tuple[str, ...]:
        """The ids of the checks that are there no more since that plan, or not as before, or only since."""
        before, after = self.plans[number - 1].checks, self.plans[number].checks
        return tuple(name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name))

    def _looked_at_anew(self, check: str, number: int) -> bool:
        """Whether the scheduler has taken it for another one when that plan came."""
        before, after = self.plans[number - 1].checks.get(check), self.plans[number].checks.get(check)
        if after is None:
            return False
        return before is None or (before.every, before.probe) != (after.every, after.probe)


def always(plan: Plan) -> Lived:
    """One plan for all of the past."""
    return Lived([(datetime.min.replace(tzinfo=UTC), plan)])
