"""Has traffic stopped? A silence is told only when, at this service's habits, it is no accident.

Pure: the wall clock is an argument, and all it knows stands in the check's memory. Requests that come independently
of one another with an expected number of n in some span leave it silent with probability exp(-n) (Poisson). Real
traffic comes in bursts, so what is expected is taken low: see `Traffic._usual`.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from enum import Enum

SURPRISING = 20.0
"""Requests due in a silence that make it a finding: exp(-20) is 2e-9."""

_HOUR = 3600.0
_DAY = 86_400.0
_SLICE = 600.0
"""Seconds over which a rate is taken: what an hour is known by is its quietest slice."""
_ENOUGH = 600.0
"""Seconds that a steady rate must have been seen for."""
_HOURS = 168
_EPOCH = 3 * 24
"""The hour of the week (0: Monday, midnight UTC) at which Unix time begins: it was a Thursday."""


class Habit(Enum):
    """By what a silence is measured: see the manual's `traffic`."""

    LEARNED = "learned"
    STEADY = "steady"


class Traffic:
    """A view of the notes in `memory`; nothing else is kept."""

    def __init__(self, memory: MutableMapping[str, float | str], habit: Habit) -> None:
        self._memory = memory
        self._habit = habit
        self._week = _Week(memory)

    @property
    def stopped_for(self) -> float:
        """Seconds of the present silence if it is surprising, else 0."""
        return self._number("silence") if self._number("due") > SURPRISING else 0.0

    def see(self, now: float, requests: float, seconds: float) -> None:
        """Requests that came in the `seconds` before the Unix time `now`."""
        if requests > 0:
            surprised = self.stopped_for > 0
            held = 0.0 if surprised else self._number("silence")
            self._set("silence", 0.0)
            self._set("due", 0.0)
            if surprised:
                self._week.drop_slice()  # what was no habit must not become one
            self._average(requests, seconds + held)
            self._week.add(now, requests, seconds, fold=True)
            return
        usual = self._usual(now)
        silence = self._number("silence") + seconds
        if self._habit is Habit.LEARNED and silence > _DAY:
            usual = 0.0  # so it is a habit by now
            self._set("due", 0.0)
        self._set("silence", silence)
        self._set("due", self._number("due") + usual * seconds)
        self._week.add(now, 0.0, seconds, fold=usual <= 0)

    def _usual(self, now: float) -> float:
        """Requests a second that are due now at least; 0 where nothing is known."""
        if self._habit is Habit.STEADY:
            return self._number("rate") if self._number("known") >= _ENOUGH else 0.0
        hour = int(now // _HOUR)
        return min(self._week.rate(each) for each in (hour - 1, hour, hour + 1))

    def _average(self, requests: float, seconds: float) -> None:
        """The rate of about the last hour; of the whole time as long as that is shorter."""
        known = self._number("known")
        if known + seconds > 0:
            self._set("rate", (self._number("rate") * known + requests) / (known + seconds))
        self._set("known", min(_HOUR, known + seconds))

    def _number(self, name: str) -> float:
        value = self._memory.get(f"traffic.{name}")
        return float(value) if isinstance(value, int | float) else 0.0

    def _set(self, name: str, value: float) -> None:
        self._memory[f"traffic.{name}"] = value


class _Week:
    """The lowest rate of each hour of the week, when it came last; hours are counted from the beginning of Unix time.

    Working days and weekends do not speak for one another: the first silent Saturday is no finding.
    """

    def __init__(self, memory: MutableMapping[str, float | str]) -> None:
        self._memory = memory

    def rate(self, hour: int) -> float:
        """Requests a second in that hour of a week before, or else of the days like it; 0 when unknown."""
        rates = self._rates()
        at = (hour + _EPOCH) % _HOURS
        if rates[at]:
            return float(rates[at])
        weekend = at // 24 >= 5
        like = [rates[day * 24 + at % 24] for day in range(7) if (day >= 5) is weekend]
        return min((float(rate) for rate in like if rate), default=0.0)

    def add(self, now: float, requests: float, seconds: float, *, fold: bool) -> None:
        """Count on; a slice that is full becomes its hour's if `fold`, and else waits for what the silence was."""
        requests += self._number("slice_requests")
        seconds += self._number("slice_seconds")
        if seconds >= _SLICE and fold:
            self._learn(int(now // _HOUR), requests / seconds)
            requests = seconds = 0.0
        self._memory["traffic.slice_requests"], self._memory["traffic.slice_seconds"] = requests, seconds

    def drop_slice(self) -> None:
        self._memory["traffic.slice_requests"] = self._memory["traffic.slice_seconds"] = 0.0

    def _learn(self, hour: int, rate: float) -> None:
        rates = self._rates()
        at = (hour + _EPOCH) % _HOURS
        if rates[at] and self._memory.get("traffic.hour") == hour:
            rate = min(rate, float(rates[at]))
        rates[at] = f"{rate:.3g}"
        self._memory["traffic.hour"] = hour
        self._memory["traffic.week"] = ",".join(rates)

    def _rates(self) -> list[str]:
        """As they are written, "" where unknown: 168 numbers are not parsed for three."""
        text = self._memory.get("traffic.week")
        rates = text.split(",") if isinstance(text, str) else []
        return rates if len(rates) == _HOURS else [""] * _HOURS

    def _number(self, name: str) -> float:
        value = self._memory.get(f"traffic.{name}")
        return float(value) if isinstance(value, int | float) else 0.0
