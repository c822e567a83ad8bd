"""A target of one's own, played through the core: what each run says of it, as plain values for JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from bench._cells import MONTH
from bench._policies import Ours
from bench._traffic import Phase, Traffic
from bench._virtual import Simulation

TAIL = 3600.0
"""Seconds that the last line of a trace lasts."""


def play(
    phases: Sequence[Phase], *, every: float, seed: int, runs: int, until: float | None = None
) -> Iterator[dict[str, Any]]:
    """Each transition of each run, in the order of runs and time; then how many looks that took in all."""
    end = until or (phases[-1].start + TAIL if len(phases) > 1 else MONTH)
    looks, extra, usual = 0, 0, any(phase.latency is not None for phase in phases)
    for run in range(runs):
        random = Random(f"{seed}/{run}")
        simulation = Simulation(Ours(every, usual=usual), Traffic(phases, random), every, random.random() * every)
        told = 0.0
        while told < end:  # a line is told as it comes, not after the whole run
            told = min(told + MONTH / 30, end)
            tally = simulation.run(told)
            for change in tally.changes:
                yield {
                    "run": run,
                    "t": round(change.at, 3),
                    "from": change.old.value,
                    "to": change.new.value,
                    "reason": change.reason or None,
                }
            tally.changes.clear()
        looks, extra = looks + tally.looks, extra + tally.extra
    yield {"looks": looks, "extra": extra, "runs": runs, "seconds": end}
