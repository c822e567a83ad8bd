"""How long the head of a queue has waited at least, where the broker does not tell: watched from look to look.

Every look leaves a mark: when it was, and where the queue ended then, in messages that had ever arrived and in
messages that had ever left. While the mark has not gone by the head, what is at the head was there when it was left.
So the age of the oldest such mark is a lower bound of the head's, never more than the truth in a queue that is first
in, first out; it falls short by at most one interval between looks, and by the time before the agent began to look.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

MARKS = 16
"""Marks kept of one queue; one of the closest goes when there are more, which only makes the bound lower."""


@dataclass(frozen=True, slots=True)
class _Mark:
    at: float
    arrived: float
    tail: float
    """What will have left once all that waited at that look is gone."""

    def gone(self, ready: float, arrived: float, left: float) -> bool:
        # Either is enough: what is dead-lettered here is not counted as arriving, what expires not as leaving.
        return arrived - ready >= self.arrived or left >= self.tail


def waited(
    memory: MutableMapping[str, float | str],
    key: str,
    *,
    now: float,
    ready: float,
    arrived: float,
    left: float,
    most: int = MARKS,
) -> float:
    """Seconds that the head of a queue with `ready` messages has waited at least; its marks are kept under `key`.

    `now` is wall-clock time in seconds; `arrived` and `left` are counters, which may begin anew. `most` is how many
    marks to keep, 2 at least.
    """
    if ready <= 0:
        memory.pop(key, None)
        return 0.0
    marks = [mark for mark in _load(memory.get(key)) if mark.at <= now]
    if marks and arrived < marks[-1].arrived:
        marks = []  # the counters began anew: the marks' positions mean nothing any more
    marks = [mark for mark in marks if not mark.gone(ready, arrived, left)]
    newest = _Mark(now, arrived, left + ready)
    if not marks or (marks[-1].arrived, marks[-1].tail) != (newest.arrived, newest.tail):
        marks.append(newest)
    while len(marks) > most:
        del marks[min(range(1, len(marks) - 1), key=lambda at: marks[at + 1].at - marks[at - 1].at)]
    memory[key] = " ".join(f"{mark.at:.1f}:{mark.arrived:.0f}:{mark.tail:.0f}" for mark in marks)
    return max(0.0, now - marks[0].at)


def _load(kept: float | str | None) -> list[_Mark]:
    try:
        return [_Mark(*(float(part) for part in mark.split(":"))) for mark in str(kept or "").split()]
    except (ValueError, TypeError):
        return []
