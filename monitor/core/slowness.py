"""Whether a measurement is higher than it has been: two running sums over its own past (`Baseline`).

The first is a CUSUM of how many spreads a look lies above what is usual (Page, 1954): it finds all looks somewhat
slower. The second is a Bernoulli CUSUM of looks that are far above: it finds a slow fifth among good ones. Drifts and
the second alarm are those of the project's study of detection (DETECTION.md; docs/judgement.md tells them). The first
one's clip and alarm are higher (`MOST` is 3 for 2.5, 17 for 16), and looks that come soon after one another count for
what they are worth on this target (`Likeness`).

While either is in doubt nothing is learned from what raised it, or trouble would become usual while it lasts; after a
day it does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from monitor.core.baseline import Baseline, Usual, hour_and_minute, hour_of
from monitor.core.likeness import MOST, NEAR, Cluster, Likeness
from monitor.core.model import Look
from monitor.core.run import gap_of
from monitor.core.snapshot import read_count, read_instant, read_number, read_seconds
from probes.contract import Unit

PACE, EXTRA_LOOKS = 2.0, 10
"""Seconds between extra looks while it is in doubt, and how many of them in an interval at most."""
RECOVERY_PACE = 1.0
"""Seconds between extra looks once it is high and a look was good."""

LEAST = 1.25
"""How many times above usual is the least that counts, however steady the target is."""
FAR = 2.5
"""How many times above usual is far above."""
_LOG_LEAST, _LOG_FAR = math.log(LEAST), math.log(FAR)
RECOVERY_LOOKS = 40
"""Good looks that bring the second sum from its cap to nothing."""
ADOPTED_AFTER = 86400.0
"""Seconds after which what was higher than usual is what is usual."""

_DRIFT, _YOUNG_DRIFT = 2.0, 2.5
"""Spreads above usual that are no sign of trouble; the second until this hour of the week has been seen."""
_LOW = -2.0
"""Spreads: a look further below usual counts as that."""
_ALARM, _CAP = 16.0, 20.0
_LONE = 1.0
"""What a look far above adds where those around it are not high: a lone one is for the second sum."""
_FAR_ALARM, _FAR_CAP = 9.0, 14.0
_WORTH_A_LOOK, _FAR_WORTH_A_LOOK = 1.0, 1.5
"""Sums from which on extra looks are taken."""
_FAR_SPREADS = 3.0
"""What is far above lies at least so many spreads above: noisy targets are so by themselves."""
_FAR_SHARE, _TROUBLE_SHARE = 0.01, 0.2
"""The share of looks that may be far above, and the one that is trouble (at least twice and four times as many as
this target has always had)."""
_SHARE_LOOKS = 2000
"""Looks over which that share is averaged."""
_MEAN_SECONDS = 3600.0


class _Doubt:
    """What has been seen since looks began to lie above what is usual."""

    __slots__ = ("alarmed", "began", "cluster", "ended", "extras", "far", "far_sum", "in_far", "looks", "mean", "sum")

    def __init__(self, began: datetime) -> None:
        self.began = began
        self.ended: datetime | None = None
        """When the run of good looks began that goes on."""
        self.sum = self.far_sum = 0.0
        self.looks = self.far = 0
        self.in_far = False
        """Whether the latest look was far above."""
        self.mean = 0.0
        """By how much looks have lately been off, as the baseline counts it."""
        self.extras = 0
        """Extra looks since the last scheduled one."""
        self.alarmed: float | None = None
        """The tick of the alarm."""
        self.cluster = Cluster()


class Slowness:
    """One measurement of one check against its own past. `high`: it is above what is usual, for certain."""

    __slots__ = (
        "_doubt",
        "_every",
        "_far_share",
        "_last",
        "_likeness",
        "_timed_out",
        "baseline",
        "measurement",
        "turned",
        "unit",
    )  # fmt: skip

    def __init__(self, measurement: str, unit: Unit, every: float) -> None:
        """`every` are seconds between scheduled looks."""
        self.measurement, self.unit = measurement, unit
        self.baseline = Baseline(unit)
        self._every = every
        self._far_share = 0.0
        """The share of scheduled looks that are far above at any time."""
        self._likeness = Likeness()
        self._doubt: _Doubt | None = None
        self._last = -math.inf
        """The tick at which the latest look began."""
        self._timed_out = False
        """Whether that one ran into its limit."""
        self.turned: datetime | None = None
        """When the first of the looks began that have last made it high, or have ended that."""

    @property
    def in_doubt(self) -> bool:
        """Whether looks have lately been above what is usual, for certain or perhaps."""
        return self._doubt is not None

    @property
    def high(self) -> bool:
        return self._doubt is not None and self._doubt.alarmed is not None

    @property
    def pace(self) -> float | None:
        """Seconds between extra looks, None where the grid is enough: it is, while it is high and stays so."""
        doubt = self._doubt
        if doubt is None or self._every <= PACE:
            return None
        if doubt.alarmed is not None:
            return RECOVERY_PACE if doubt.ended is not None else None
        wanted = doubt.sum >= _WORTH_A_LOOK or doubt.far_sum >= _FAR_WORTH_A_LOOK
        return PACE if wanted and doubt.extras < EXTRA_LOOKS else None

    def usual(self, at: datetime) -> Usual | None:
        """What is usual at that moment; None as long as nothing is known."""
        return self.baseline.usual(at) if self.baseline.ripe(self._every) else None

    def value(self, at: datetime) -> float:
        """What the figure has lately been; while it is in doubt."""
        expected, _ = self.baseline.expected(hour_of(at), at.minute)
        return self.baseline.value_of(expected + (self._doubt.mean if self._doubt else 0.0))

    @property
    def far(self) -> tuple[int, int]:
        """How many looks were far above since it is in doubt, and of how many."""
        return (self._doubt.far, self._doubt.looks) if self._doubt else (0, 0)

    def redefine(self, every: float) -> None:
        self._every = every

    def see(self, look: Look) -> None:
        """Take in a look. Those that were begun before the latest one tell of an earlier time, and count no more."""
        began, reason = look.began, look.observation.reason
        value = look.observation.measurements.get(self.measurement)
        if reason is not None:
            # Of looks that run into their limit one after the other only the first is evidence of slowness: whether
            # the target fails is for others to say.
            first, self._timed_out = not self._timed_out, reason.timed_out
            if not (reason.timed_out and first and look.limit < math.inf):
                return
            value = max(value or 0.0, look.limit)
        else:
            self._timed_out = False
        tick, baseline = began.tick, self.baseline
        if value is None or not 0 <= value < math.inf or tick <= self._last:
            return
        gap, self._last = tick - self._last, tick
        level = baseline.level_of(value)
        hour, minute = hour_and_minute(began)
        expected, weekly = baseline.expected(hour, minute)
        learns = reason is None
        if baseline.ripe(self._every):
            learns = self._weigh(look, level - expected, gap, weekly=weekly)
        if learns and look.scheduled:
            baseline.learn(level, hour, self._every, expected, weekly=weekly)

    def _weigh(self, look: Look, off: float, gap: float, *, weekly: bool) -> bool:
        """Add the look to the evidence; whether it is to be learned from."""
        own, drift = self.baseline.spread, _DRIFT if weekly else _YOUNG_DRIFT
        least = _LOG_LEAST / drift
        spread = own if own > least else least
        above = off / spread - drift
        far = off > _LOG_FAR and off > _FAR_SPREADS * own
        doubt = self._doubt
        if look.scheduled and (far or self._far_share) and not self.high:
            self._far_share += (far - self._far_share) / _SHARE_LOOKS
        if doubt is not None and doubt.alarmed is None and gap > gap_of(self._every):
            doubt = self._doubt = None
        if doubt is None:
            if above <= 0 and not far:
                return True
            doubt = self._doubt = _Doubt(look.began.at)
        calm = doubt.sum <= 0 and doubt.alarmed is None
        counts = self._worth(above, gap, lone=far and not doubt.in_far and doubt.cluster.level < drift)
        doubt.sum = min(max(doubt.sum + max(counts, _LOW - drift), 0.0), _CAP)
        doubt.cluster.add(off / own, near=gap < NEAR)
        self._count(doubt, look, off, far=far)
        self._settle(doubt, look, bad=above > 0 or far)
        return calm

    def _worth(self, above: float, gap: float, *, lone: bool) -> float:
        """What a look counts that lies so many spreads above the drift, so many seconds after another."""
        above = min(above, _LONE if lone else MOST)
        return self._likeness.worth(above, gap) if gap < NEAR and above > 0 else above

    def _count(self, doubt: _Doubt, look: Look, off: float, *, far: bool) -> None:
        doubt.looks += 1
        doubt.far += far
        doubt.extras = 0 if look.scheduled else doubt.extras + 1
        doubt.mean += (off - doubt.mean) * max(1 / doubt.looks, min(self._every / _MEAN_SECONDS, 0.1))
        up, down = self._steps()
        if not far:
            relief = -down if doubt.alarmed is None else _FAR_CAP / RECOVERY_LOOKS
            doubt.far_sum = max(doubt.far_sum - relief, 0.0)
        elif look.scheduled or not doubt.in_far:
            doubt.far_sum = min(doubt.far_sum + up, _FAR_CAP)
        doubt.in_far = far

    def _steps(self) -> tuple[float, float]:
        """What a look far above adds to the second sum, and what another one does."""
        usual = min(max(_FAR_SHARE, 2 * self._far_share), 0.45)
        trouble = max(_TROUBLE_SHARE, 2 * usual)
        return math.log(trouble / usual), math.log((1 - trouble) / (1 - usual))

    def _settle(self, doubt: _Doubt, look: Look, *, bad: bool) -> None:
        quiet = doubt.sum <= 0 and doubt.far_sum <= 0
        if doubt.alarmed is None:
            if doubt.sum >= _ALARM or doubt.far_sum >= _FAR_ALARM:
                doubt.alarmed, self.turned = look.began.tick, doubt.began
            elif quiet:
                self._likeness.learn(doubt.cluster)
                self._doubt = None
            return
        doubt.ended = None if bad else doubt.ended or look.began.at
        adopted = look.began.tick - doubt.alarmed >= ADOPTED_AFTER
        if adopted:
            self.baseline.adopt(doubt.mean)
        if adopted or quiet:
            self.turned, self._doubt = doubt.ended, None

    def dump(self, tick: float) -> dict[str, Any]:
        dumped: dict[str, Any] = {
            "baseline": self.baseline.dump(),
            "far": self._far_share,
            "alike": self._likeness.dump(),
            "last": tick - self._last if self._last > -math.inf else None,
            "timed_out": self._timed_out,
            "turned": self.turned.isoformat() if self.turned else None,
        }
        if (doubt := self._doubt) is not None:
            dumped["doubt"] = {
                "began": doubt.began.isoformat(),
                "ended": doubt.ended.isoformat() if doubt.ended else None,
                "sum": doubt.sum, "far_sum": doubt.far_sum, "looks": doubt.looks, "far": doubt.far,
                "in_far": doubt.in_far,
                "mean": doubt.mean, "extras": doubt.extras,
                "cluster": doubt.cluster.dump(),
                "alarmed": None if doubt.alarmed is None else tick - doubt.alarmed,
            }  # fmt: skip
        return dumped

    def load(self, dumped: Mapping[str, Any], tick: float) -> None:
        self.baseline.load(dumped["baseline"])
        self._far_share = min(max(read_number(dumped["far"]), 0.0), 1.0)
        if "alike" in dumped:  # else kept by a version that did not learn it
            self._likeness.load(dumped["alike"])
        self._last = -math.inf if dumped["last"] is None else tick - read_seconds(dumped["last"])
        self._timed_out = bool(dumped["timed_out"])
        self.turned = read_instant(dumped["turned"])
        self._doubt = _read_doubt(dumped["doubt"], tick) if "doubt" in dumped else None


def _read_doubt(dumped: Mapping[str, Any], tick: float) -> _Doubt:
    began = read_instant(dumped["began"])
    if began is None:
        raise ValueError("a doubt has a beginning")
    doubt = _Doubt(began)
    doubt.ended = read_instant(dumped["ended"])
    doubt.sum = min(max(read_number(dumped["sum"]), 0.0), _CAP)
    doubt.far_sum = min(max(read_number(dumped["far_sum"]), 0.0), _FAR_CAP)
    doubt.looks, doubt.far, doubt.extras = (read_count(dumped[name]) for name in ("looks", "far", "extras"))
    doubt.in_far = bool(dumped["in_far"])
    doubt.mean = read_number(dumped["mean"], 1000.0)
    if "cluster" in dumped:
        doubt.cluster = Cluster.load(dumped["cluster"])
    doubt.alarmed = None if dumped["alarmed"] is None else tick - read_seconds(dumped["alarmed"])
    return doubt
