"""What one look's counts are to the windows: whole, once, and not older than what they stand for."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace

from probes.error_rate.source import Tally

_LONG = 900.0
"""Seconds: counts over a shorter span are always told."""
_UNUSUAL = 3.0
"""Times the span before: a longer one means that nobody looked for a while."""


class Counts:
    """The probe's own notes, in a check's memory."""

    def __init__(self, memory: MutableMapping[str, float | str]) -> None:
        self._memory = memory

    def take(self, tally: Tally, *, scheduled: bool) -> Tally | None:
        """The counts that belong to this look, those of extra looks before it included; None when they are old.

        Only scheduled looks count in windows. So what an extra look has counted is told by it, and then once more by
        the next scheduled one.
        """
        memory = self._memory
        whole = replace(
            tally,
            total=tally.total + self._number("carry.total"),
            bad=tally.bad + self._number("carry.bad"),
            seconds=tally.seconds + self._number("carry.seconds"),
        )
        if not scheduled:
            memory["carry.total"], memory["carry.bad"], memory["carry.seconds"] = (
                whole.total,
                whole.bad,
                whole.seconds,
            )
            return whole
        for name in ("carry.total", "carry.bad", "carry.seconds"):
            memory.pop(name, None)
        before = self._number("span")
        memory["span"] = whole.seconds
        if whole.seconds > _LONG and whole.seconds > _UNUSUAL * before:
            return None
        return whole

    def _number(self, name: str) -> float:
        value = self._memory.get(name)
        return float(value) if isinstance(value, int | float) else 0.0
