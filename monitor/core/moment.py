"""One reading of the clocks. Each look makes a handful of them, and few are ever named by a date: so the date is made
when it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment:
    """One reading of the clocks, made once a turn and carried along; never changed.

    `at` names the moment for people (aware UTC, may step); `tick` measures spans (monotonic seconds, never steps).
    `micros` is `at` in whole microseconds since 1970.
    """

    __slots__ = ("_at", "micros", "tick")

    def __init__(self, at: datetime | int, tick: float) -> None:
        """`at`: aware, or already in microseconds since 1970."""
        self.tick: Final = tick
        self._at: datetime | None = None
        self.micros: int
        if isinstance(at, int):
            self.micros = at
        else:
            self._at, self.micros = at, (at - _EPOCH) // _MICROSECOND

    @property
    def at(self) -> datetime:
        at = self._at
        if at is None:
            at = self._at = _EPOCH + timedelta(microseconds=self.micros)
        return at

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Moment):
            return NotImplemented
        return self.micros == other.micros and self.tick == other.tick

    def __hash__(self) -> int:
        return hash((self.micros, self.tick))

    def __repr__(self) -> str:
        return f"Moment(at={self.at!r}, tick={self.tick!r})"
