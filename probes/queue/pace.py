"""What looks in a row tell of a queue: rates, the forecast, and since when nothing moves.

One look's noise must not matter, so rates are sums that fade with time: they cover about the last minutes. What is
remembered is a dozen numbers in the check's memory, which survives a restart; so wall-clock time is used.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping

from probes.queue.backend import Backlog

FADE = 120.0
"""Seconds after which what was seen counts a third."""
FEWEST_SECONDS = 30.0
"""Seconds that must have been watched before there is a forecast."""
LONGEST = 7 * 86400.0
"""Seconds: the forecast for a backlog that does not shrink, and the most it ever says."""
TURNOVER = 60.0
"""Seconds: jobs that wait less than this are turnover, not a backlog."""

_CLEAR = 10.0
"""Jobs by which a queue must have grown or shrunk before that says something by itself."""
_SHORTEST = 1.0
"""Seconds between two looks below which a difference tells little: it then counts at a later one."""
_GAP = 3600.0
"""Seconds after which the look before is no evidence of what has happened since."""
_UNSEEN = 60.0
"""Seconds between two looks up to which whatever both saw was there in between, too."""
_UNUSUAL = 3.0
"""Times the usual span between two looks: after a longer one (the agent was off, the clock was set, the server did
not answer) nobody knows whether work waited all the while."""

Memory = MutableMapping[str, float | str]


def judge_pace(backlog: Backlog, memory: Memory, now: float, *, scheduled: bool = True) -> dict[str, float]:
    """The figures that need the looks before; `now` in seconds of the wall clock."""
    passed = now - _number(memory, "at", -math.inf)
    if not 0 <= passed <= _GAP:
        _begin(memory, backlog, now)
    else:
        _leave_out_unseen(memory, now, passed)
        if passed >= _SHORTEST:
            _fold(memory, backlog, now, passed)
    if scheduled:
        _learn_span(memory, now)
    if not backlog.depth:
        memory["moved_at"] = memory["manned_at"] = now
    if backlog.workers:
        memory["manned_at"] = now
    figures = {"stalled_for": max(0.0, now - _number(memory, "moved_at", now))}
    if backlog.workers is not None:
        figures["no_workers_for"] = max(0.0, now - _number(memory, "manned_at", now))
    figures.update(_rates(backlog, memory))
    return figures


def _begin(memory: Memory, backlog: Backlog, now: float) -> None:
    memory.update(seconds=0.0, sum_depth=0.0, sum_arrived=0.0, sum_completed=0.0, moved_at=now, manned_at=now)
    _remember(memory, backlog, now)


def _leave_out_unseen(memory: Memory, now: float, passed: float) -> None:
    """What nobody saw is not counted as standing still, nor as time without workers."""
    if passed > max(_UNSEEN, _UNUSUAL * _number(memory, "every", _GAP)):
        for name in ("moved_at", "manned_at"):
            memory[name] = min(now, _number(memory, name, now) + passed)


def _learn_span(memory: Memory, now: float) -> None:
    before = memory.get("scheduled_at")
    if isinstance(before, float) and 0 < now - before <= _GAP:
        memory["every"] = now - before
    memory["scheduled_at"] = now


def _remember(memory: Memory, backlog: Backlog, now: float) -> None:
    memory["at"], memory["depth"] = now, float(backlog.depth)
    for name in ("lag", "in_flight", "arrived", "completed"):
        value = getattr(backlog, name)
        if value is None:
            memory.pop(name, None)
        else:
            memory[name] = float(value)


def _fold(memory: Memory, backlog: Backlog, now: float, passed: float) -> None:
    """Take in what has happened since the look before, `passed` seconds ago."""
    depth_before = _number(memory, "depth", 0.0)
    grown = backlog.depth - depth_before
    arrived, completed = _flow(memory, backlog, grown)
    if depth_before == 0 or grown < 0 or completed or _oldest_left(memory, backlog, passed):
        memory["moved_at"] = now
    fade = math.exp(-passed / FADE)
    for name, more in (
        ("seconds", passed),
        ("sum_depth", grown),
        ("sum_arrived", arrived),
        ("sum_completed", completed),
    ):
        memory[name] = _number(memory, name, 0.0) * fade + (more or 0.0)
    _remember(memory, backlog, now)


def _flow(memory: Memory, backlog: Backlog, grown: float) -> tuple[float | None, float | None]:
    """Jobs that arrived and that were completed since the look before; None where there is no counter at all.

    With one counter the other figure follows: what has arrived either waits, is worked on, or is done.
    """
    arrived = _increment(memory, "arrived", backlog.arrived)
    completed = _increment(memory, "completed", backlog.completed)
    taken = 0.0
    if backlog.in_flight is not None:
        taken = backlog.in_flight - _number(memory, "in_flight", float(backlog.in_flight))
    if arrived is None and completed is not None:
        arrived = max(0.0, completed + grown + taken)
    elif completed is None and arrived is not None:
        completed = max(0.0, arrived - grown - taken)
    return arrived, completed


def _increment(memory: Memory, name: str, value: float | None) -> float | None:
    before = memory.get(name)
    if value is None or not isinstance(before, float):
        return None
    return value - before if value >= before else value  # a counter that fell was set back: it counts from 0


def _oldest_left(memory: Memory, backlog: Backlog, passed: float) -> bool:
    """Whether the oldest job has left: while it stays, the lag grows as the time passes."""
    before = memory.get("lag")
    if backlog.lag is None or not isinstance(before, float):
        return False
    return backlog.lag < before + passed - max(1.0, passed * 0.1)


def _rates(backlog: Backlog, memory: Memory) -> dict[str, float]:
    seconds = _number(memory, "seconds", 0.0)
    figures: dict[str, float] = {}
    if seconds > 0:
        figures["growth_rate"] = _number(memory, "sum_depth", 0.0) / seconds
        if backlog.arrived is not None or backlog.completed is not None:
            figures["arrival_rate"] = _number(memory, "sum_arrived", 0.0) / seconds
            figures["drain_rate"] = _number(memory, "sum_completed", 0.0) / seconds
    if not backlog.depth:
        figures["drain_time"] = 0.0
    elif seconds >= FEWEST_SECONDS:
        forecast = _forecast(backlog, figures["growth_rate"], figures.get("drain_rate"))
        if forecast is not None:
            figures["drain_time"] = forecast
    return figures


def _forecast(backlog: Backlog, growth: float, drain: float | None) -> float | None:
    """Seconds until nothing waits, at the pace of the last minutes; None when that cannot be told.

    A busy queue is never empty, and no backlog either: where a job that comes now is taken within `TURNOVER`, the
    forecast is that time. By throughput where there is any, else by the lag, which is the same in a steady queue.
    """
    shrinking = min(LONGEST, backlog.depth / -growth) if growth < 0 else LONGEST
    turnover = backlog.depth / drain if drain else backlog.lag
    if turnover is None and drain is None and abs(growth) * FADE < _CLEAR:
        return None  # a few more or less: a backlog, or a busy queue; only lag or throughput could tell
    return min(shrinking, turnover) if turnover is not None and turnover < TURNOVER else shrinking


def _number(memory: Memory, name: str, otherwise: float) -> float:
    value = memory.get(name, otherwise)
    return value if isinstance(value, float) else otherwise
