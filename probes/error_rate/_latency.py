"""Percentiles of any number of response times, in bounded memory.

A histogram whose buckets grow by a fixed factor, as in DDSketch (Masson, Rim, Lee, "DDSketch: A Fast and
Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", VLDB 2019): with gamma = (1 + a) / (1 - a), the
middle of a bucket is off by no more than the part a of any value in it. a is 1 % here.
"""

from __future__ import annotations

from math import ceil, log

ERROR = 0.01
"""The relative error of a percentile, for times from `LEAST` to `MOST`."""
LEAST, MOST = 1e-5, 1e5
"""Seconds; what is less counts as none, what is more as this."""

_GAMMA = (1 + ERROR) / (1 - ERROR)
_LOG = log(_GAMMA)
_FIRST = ceil(log(LEAST) / _LOG)
_NONE = _FIRST - 1


class Latency:
    """Response times by bucket: at most 1,153 of them."""

    __slots__ = ("_buckets", "count")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0

    def add(self, bucket: int, times: int = 1) -> None:
        self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.count += times

    def merge(self, other: Latency) -> None:
        for bucket, times in other._buckets.items():
            self.add(bucket, times)

    def percentile(self, part: float) -> float:
        """The time in seconds that `part` of all took no longer than; raises ValueError when there is none."""
        rank = max(1, ceil(part * self.count - 1e-9))
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return value(bucket)
        raise ValueError("no time was added")


def bucket(seconds: float) -> int:
    """The bucket of a time, which must be a number and not negative."""
    return _NONE if seconds < LEAST else ceil(log(min(seconds, MOST)) / _LOG)


def value(bucket: int) -> float:
    return 0.0 if bucket == _NONE else 2 * _GAMMA**bucket / (_GAMMA + 1)
