"""When the next ping is due, and whether that is known at all: it may have come while nobody was there to hear it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from probes._passive.attendance import CROWDED, Absence, Memory, Turn, number
from probes._passive.schedule import Schedule

_TIMES = ("expected", "earliest", "still")


class Awaited:
    """The next ping of a plan, kept in a check's memory. `grace` is the seconds that it may be late."""

    def __init__(self, plan: Schedule, grace: float, memory: Memory) -> None:
        self._plan = plan
        self._grace = grace
        self._memory = memory

    @property
    def due(self) -> float:
        """A Unix time."""
        return number(self._memory, "expected") or 0.0

    @property
    def doubt(self) -> str:
        """When nobody was there, if that makes it unknown whether a ping came; else empty."""
        return str(self._memory["absence"]) if self._memory.get("absence") else ""

    def expect(self, due: float) -> None:
        """Without any doubt."""
        self.settle()
        self._memory["expected"], self._memory["plan"] = due, self._plan.text
        for name in ("earliest", "still", CROWDED):
            self._memory.pop(name, None)

    def answered(self, now: float) -> None:
        """A ping came that ends a run."""
        self.expect(self._plan.answered(now))

    def settle(self) -> None:
        """Whether a ping came in the past does not matter any more."""
        self._memory.pop("absence", None)

    def follow(self, turn: Turn, now: float, busy_until: float) -> None:
        """Take in what happened; nothing is due until `busy_until`. A new or changed plan counts from now."""
        if self._memory.get("plan") != self._plan.text or "expected" not in self._memory:
            self.expect(self._plan.after(now))
            return
        if turn.step:
            self._move(turn.step, now)
        due = max(self.due, busy_until)
        if turn.absence is not None:
            self._doubt(turn.absence, due)
            if turn.crowded and self.due > due:
                self._memory[CROWDED] = 1.0
        elif turn.step > 0 and self._plan.fixed and now - turn.step < due <= now:
            # A time that the clock has skipped: cron may have run what was due then, or not.
            self._excuse(Absence(now - turn.step, now), due, due)

    def _move(self, step: float, now: float) -> None:
        """The clock was set."""
        if not self._plan.fixed:
            for name in _TIMES:
                if (time := number(self._memory, name)) is not None:
                    self._memory[name] = time + step
        elif step < 0:
            # Times come again; what is far ahead was worked out by a wrong clock.
            self._memory["expected"] = min(self.due, self._plan.after(self._plan.after(now)))

    def _doubt(self, gap: Absence, due: float) -> None:
        """A ping that was due while nobody was there may have come: wait for the one after it.

        It may also come yet, until `still`; if it does not, it did come, and so the next one has a time of its own,
        from `earliest` on. A gap that touches neither changes nothing, or frequent restarts would hide a dead job.
        """
        earliest = min(due, number(self._memory, "earliest") or due)
        if gap.begun < due + self._grace and gap.ended > earliest - self._plan.early:
            self._excuse(gap, earliest, due)
        elif gap.begun < (number(self._memory, "still") or 0.0):
            self._memory["expected"] = self._plan.unheard(earliest, *gap)[1]
            self._tell(gap)

    def _excuse(self, gap: Absence, earliest: float, due: float) -> None:
        earliest, following = self._plan.unheard(earliest, *gap)
        if following > due:
            self._memory["expected"], self._memory["earliest"] = following, earliest
            self._memory["still"] = due + self._grace
            self._tell(gap)

    def _tell(self, gap: Absence) -> None:
        self._memory["absence"] = f"{clock(gap.begun)} to {clock(gap.ended)}"


def awaited(memory: Mapping[str, float | str]) -> float:
    """When the next ping is due, for those who only read."""
    return number(memory, "expected") or 0.0


def clock(at: float) -> str:
    """A Unix time for people."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
