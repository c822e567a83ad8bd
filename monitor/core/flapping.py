"""Flapping: a check or a service that gets worse again and again.

A *bout* is a change for the worse that does not follow another one: from up by way of degraded to down is one bout,
and so is falling back from degraded to down. A long outage that ends slowly is one bout, whatever it goes through.
`unknown` is neither better nor worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.core.model import Flapping, Moment, ServiceState, State
from monitor.core.snapshot import read_count, read_seconds

SEVERITY: Mapping[State | ServiceState, int] = {
    State.UP: 0,
    State.DEGRADED: 1,
    State.DOWN: 2,
    ServiceState.OPERATIONAL: 0,
    ServiceState.DEGRADATION: 1,
    ServiceState.OUTAGE: 2,
}
"""Of the states that can be better or worse than another."""

FIRST_DIGEST, LONGEST_DIGEST = 3600.0, 86400.0
"""Seconds until the first digest; each further one takes twice as long as the one before, up to the longest."""


def worse(new: State | ServiceState, old: State | ServiceState) -> bool:
    """Whether `new` is known to be worse than `old`; what is unknown is worse than what is well."""
    return SEVERITY.get(new, 0) > SEVERITY.get(old, 0)


class Bouts:
    """The late changes of one check or service."""

    __slots__ = ("_bad", "_level", "_times", "_worsening", "changes", "digests", "last", "since")

    def __init__(self, state: State | ServiceState) -> None:
        """`state`: as it is before the first change."""
        self._times: list[float] = []
        """When the bouts of the window began (ticks)."""
        self._level = SEVERITY.get(state, 0)
        self._worsening = False
        self._bad = 0.0
        self.since: float | None = None
        """Since when it has been flapping (a tick)."""
        self.changes = 0
        """Since then."""
        self.last = 0.0
        """The latest change (a tick)."""
        self.digests = 0

    @property
    def flapping(self) -> bool:
        return self.since is not None

    @property
    def count(self) -> int:
        """How many bouts there were within the window."""
        return len(self._times)

    def change(self, new: State | ServiceState, tick: float, policy: Flapping) -> bool:
        """Take in a state. True: with it flapping begins."""
        level, before = SEVERITY.get(new), self._level
        if level is None or level == before:
            return False
        if self.flapping:
            self.changes += 1
            self._bad += (tick - self.last) if before else 0.0
        self._level, self.last = level, tick
        if level < before:
            self._worsening = False
        elif level > before and not self._worsening:
            self._worsening = True
            self._times.append(tick)
        self.forget(tick, policy)
        if self.flapping or not self._worsening or self.count < policy.bouts:
            return False
        self.since, self.changes, self.digests, self._bad = tick, 0, 0, 0.0
        return True

    def forget(self, tick: float, policy: Flapping) -> None:
        """Bouts that are too old count no more."""
        oldest = tick - policy.within.total_seconds()
        self._times = [time for time in self._times if time > oldest]

    def due(self, policy: Flapping) -> float:
        """When there is something to do: to end it, to tell a digest, or to forget the oldest bout (a tick)."""
        if self.since is None:
            return self._times[0] + policy.within.total_seconds() if self._times else self.last
        return min(self.last + policy.quiet.total_seconds(), self.next_digest)

    @property
    def next_digest(self) -> float:
        assert self.since is not None  # noqa: S101  (who flaps not is told of not)
        tick = self.since
        for number in range(self.digests + 1):
            tick += min(FIRST_DIGEST * 2**number, LONGEST_DIGEST)
        return tick

    def bad_share(self, tick: float) -> float:
        """Of the time since it began, the part that it was bad; 0 to 1."""
        assert self.since is not None  # noqa: S101  (as above)
        bad = self._bad + (tick - self.last if self._level else 0.0)
        return min(bad / (tick - self.since), 1.0) if tick > self.since else 1.0

    def steady(self) -> None:
        """It flaps no longer; what comes begins anew."""
        self.since, self._times, self._worsening = None, [], self._level > 0

    def dump(self, now: Moment) -> dict[str, Any]:
        """A tick means nothing to another process: ages (s), and when they were taken (Unix time)."""
        return {
            "at": now.at.timestamp(),
            "bouts": [now.tick - tick for tick in self._times],
            "level": self._level,
            "worsening": self._worsening,
            "bad": self._bad,
            "age": None if self.since is None else now.tick - self.since,
            "changes": self.changes,
            "last": now.tick - self.last,
            "digests": self.digests,
        }

    @classmethod
    def load(cls, dumped: Mapping[str, Any], now: Moment) -> Bouts:
        """Raises `KeyError`, `TypeError` or `ValueError` for what nobody has written."""
        then = now.tick - max(now.at.timestamp() - read_seconds(dumped["at"]), 0.0)
        made = cls(State.UP)
        made._times = sorted(then - read_seconds(age) for age in dumped["bouts"])
        made._level, made._worsening = read_count(dumped["level"]), bool(dumped["worsening"])
        made._bad = read_seconds(dumped["bad"])
        made.since = None if dumped["age"] is None else then - read_seconds(dumped["age"])
        made.changes, made.digests = read_count(dumped["changes"]), min(read_count(dumped["digests"]), 1000)
        made.last = then - read_seconds(dumped["last"])
        return made
