"""Checks of one address share what they learn of it: where nobody gets through, each need not find out by itself.

A look that does not even get a connection says nothing of its own check: every other one to that address and port
would have failed in the same way at that moment. So once nobody has got through for some time, each such look is
evidence for all checks whose own looks fail there like that, and fifty checks of one dead host are confirmed by about
the looks of one. As soon as anybody gets through, to whatever came afterwards, it begins anew: a target that takes
half of all connections must not look dead because only its failures are told around.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from monitor.core.model import Look
from probes.contract import Blame, Observation, Reason

SHARED_FOR = 60.0
"""Seconds for which a look is shared with checks that come to the same address later."""

PROVEN_LOOKS, PROVEN_SPAN = 10, 5.0
"""Looks (and seconds) in which nobody got through, until they are shared."""

_NOT_THROUGH = frozenset((Reason.REFUSED, Reason.UNREACHABLE, Reason.CONNECT_TIMEOUT))
_LOOKS = 60
"""Looks at one address that are kept, at most."""

ADDRESSES = 2048
"""Addresses that are kept, those that were tried last: a name may lead to another one each time."""


@dataclass(slots=True)
class _Closed:
    """An address that has let nobody through since."""

    since: float
    """When the first of the looks began (a tick)."""
    count: int = 0
    """Looks so far."""
    checks: dict[str, int] = field(default_factory=dict)
    """The ids of those that have tried, and how many of the looks each knows of."""
    looks: deque[tuple[int, Look]] = field(default_factory=lambda: deque(maxlen=_LOOKS))
    """The newest looks, numbered."""

    def add(self, look: Look) -> None:
        self.count += 1
        while self.looks and self.looks[0][1].began.tick < look.began.tick - SHARED_FOR:
            self.looks.popleft()
        self.looks.append((self.count, look))
        self.checks.setdefault(look.check, 0)

    def proven(self, tick: float) -> bool:
        return self.count >= PROVEN_LOOKS and tick - self.since >= PROVEN_SPAN

    def news(self, check: str, tick: float) -> list[Look]:
        """What others saw since this check was told the last time, as looks of its own; the oldest first."""
        known, self.checks[check] = self.checks[check], self.count
        found: list[Look] = []
        for number, look in reversed(self.looks):
            if number <= known or look.began.tick < tick - SHARED_FOR:
                break
            if look.check != check:
                found.append(replace(look, check=check))
        return found[::-1]


class Contacts:
    """The addresses where nobody gets through at present."""

    __slots__ = ("_closed",)

    def __init__(self) -> None:
        self._closed: dict[str, _Closed] = {}

    def see(self, look: Look, wants: Callable[[str], bool]) -> list[Look]:
        """Take in a look that a probe has made; the looks of others that it is time to tell of, each as an extra one
        of a check that `wants` (by its id) to be told, with nothing of the check that made it but the address."""
        if not self._closed and look.observation.ok:
            return []
        address, reason = look.observation.evidence.get("address"), look.observation.reason
        if address is None or (reason is not None and reason.blame is not Blame.TARGET):
            return []
        if reason is not None and "tried" in look.observation.evidence:
            return []  # it had a choice of addresses: others that do may get through by another one
        if reason not in _NOT_THROUGH:
            self._closed.pop(address, None)
            return []
        tick = look.began.tick
        closed = self._closed[address] = self._closed.pop(address, _Closed(tick))  # the newest comes last
        if len(self._closed) > ADDRESSES:
            del self._closed[next(iter(self._closed))]
        closed.add(_shared(look, address))
        if len(closed.checks) < 2 or not closed.proven(tick):
            return []
        return [told for check in closed.checks if wants(check) for told in closed.news(check, tick)]

    def dead(self, look: Look | None) -> bool:
        """Whether the address of this look is known to let nobody through, by several checks."""
        if not self._closed:
            return False
        closed = self._closed.get(look.observation.evidence.get("address", "")) if look is not None else None
        return closed is not None and len(closed.checks) > 1 and closed.proven(closed.looks[-1][1].began.tick)


def _shared(look: Look, address: str) -> Look:
    told = Observation(
        reason=look.observation.reason,
        detail=look.observation.detail,
        evidence={"address": address, "seen_by": look.check},
    )
    return replace(look, observation=told, scheduled=False)
