"""When did the bytes just read arrive, and how sure is that? Pure: figures in, figures out.

Our own clock says when we *read* them; on a busy loop that is later. The kernel stamps each segment as it arrives
(SO_TIMESTAMPNS), so that a busy agent need not make a target look slow. The rules, and why:

- A stamp says when the **last** of the bytes read had arrived: segments that wait unread are merged, and keep the
  time of the last one. So the end of an answer is exact, however late it is read.
- Its first byte is as exact when TCP_INFO says that one data segment came since the last read. With several it came
  some time after the last glance had found nothing there (`Pulse.glanced`): from there to the stamp goes the doubt.
- Without a stamp (the first packets after stamping was enabled on a machine; the end of a connection, which is no
  data; other systems) there is only our own clock, and the doubt goes back to that last time for both.
- Stamps are wall-clock time. One from the future, or from before the look began, is not believed; a look across which
  the two clocks moved apart is void (`Look.check_clocks`).

A figure with too much doubt is void, never slow: `trusted`.
"""

from __future__ import annotations

from typing import NamedTuple

EXACT = 0.001
"""Seconds of doubt that are none: nobody asks the kernel for the count of segments because of them."""

TOLERATED = 0.005
"""Seconds by which a time may be wrong without anybody being told."""

SHARE = 0.02
"""The part of itself by which a longer time may be wrong, and that is told."""


class Arrival(NamedTuple):
    """Of the bytes of one read."""

    at: float
    """When they had arrived, by `perf_counter`."""
    doubt: float
    """Seconds by which the first of them may have come earlier."""
    end_doubt: float
    """The same of the last of them."""


def judge(now: float, age: float | None, segments: int | None, polled: float, started: float) -> Arrival:
    """The bytes were read at `now` and had been stamped `age` seconds before, None without a stamp; `segments` came
    with them, None if nobody knows. At `polled` there was nothing to read; the look began at `started`."""
    if age is None or not 0.0 <= age <= now - started:
        doubt = max(0.0, now - polled)
        return Arrival(now, doubt, doubt)
    at = now - age
    if segments == 1:
        return Arrival(at, 0.0, 0.0)
    return Arrival(at, max(0.0, at - polled), 0.0)


def trusted(seconds: float, doubt: float) -> bool:
    """Whether a time of so many seconds is worth telling, when it may be less by `doubt`."""
    return doubt <= max(TOLERATED, SHARE * seconds)
