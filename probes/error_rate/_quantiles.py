"""Percentiles from the buckets of a classic histogram."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """The value that `share` (0 to 1) of the observations do not exceed, in the histogram's unit; None without any.

    `buckets` are cumulative counts by upper bound, as ``le`` has them, infinity included. As PromQL's
    ``histogram_quantile``: linear between the bounds of the bucket that it falls into, the lowest of which begins at
    0, and the highest finite bound for what lies beyond it (Prometheus' documentation, query functions).
    """
    bounds = sorted(buckets)
    if len(bounds) < 2 or bounds[-1] != math.inf:
        return None
    # Buckets of different layouts, added, may seem to fall: then as PromQL does, what was reached is not lost.
    counts = list(accumulate((buckets[bound] for bound in bounds), max))
    if counts[-1] <= 0:
        return None
    rank = share * counts[-1]
    at = next(index for index, count in enumerate(counts) if count >= rank)
    if at == len(bounds) - 1:
        return bounds[-2]
    if at == 0 and bounds[0] <= 0:
        return bounds[0]
    low, below = (bounds[at - 1], counts[at - 1]) if at else (0.0, 0.0)
    inside = counts[at] - below
    return low + (bounds[at] - low) * ((rank - below) / inside if inside else 1.0)
