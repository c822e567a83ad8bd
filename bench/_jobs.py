"""Which cells `bench.judgement` simulates, how much of each, and in how many parts for two processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import _cells
from bench._cells import ALIKE, WANDERING, Cell, Found
from bench._policies import POLICIES

EVERIES = (10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Job:
    """One part of a cell."""

    group: str
    policy: str
    every: float
    seed: int
    cell: Cell
    count: float
    """Check-months, or troubles."""
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, float]:
        return self.group, self.policy, self.every

    def run(self) -> Found:
        return self.cell(self.policy, self.every, self.seed, self.count, **self.fields)


@dataclass(frozen=True, slots=True)
class Group:
    """A figure's cells: how much in all, and in how many parts; the same for `--quick` in one."""

    cell: Cell
    fields: Mapping[str, Any]
    everies: tuple[float, ...]
    ours: tuple[int, int]
    """(how much, in so many parts)"""
    peers: tuple[int, int] = (0, 1)
    quick: float = 0.2


def _false(fail: float, burst: float | None, ours: int, peers: int, part: int) -> Group:
    fields = {"fail": fail, "burst": burst}
    return Group(_cells.false_alarms, fields, (10.0,), (ours, ours // part), (peers, max(peers // 10, 1)))


def _trouble(ours: int, peers: int = 0, everies: tuple[float, ...] = EVERIES, **fields: Any) -> Group:
    return Group(_cells.trouble, fields, everies, (ours, ours // 100), (peers, max(peers // 500, 1)), quick=20)


def _slowness(troubles: int, everies: tuple[float, ...], **fields: Any) -> Group:
    return Group(_cells.slowness, fields, everies, (troubles, troubles // 50), quick=4)


def _as_ever(months: int, part: int, everies: tuple[float, ...], **fields: Any) -> Group:
    return Group(_cells.false_slowness, fields, everies, (months, months // part), quick=0.05)


GROUPS: Mapping[str, Group] = {
    "iid": _false(0.01, None, 240, 100, 10),
    "bursts_2s": _false(0.01, 2.0, 150, 40, 10),
    "bursts_5s": _false(0.01, 5.0, 150, 40, 10),
    "seldom": _false(0.001, None, 20, 0, 10),
    "outage": _trouble(1000, 1000, fail=1.0),
    "outage_among_bursts": _trouble(400, 400, everies=(10.0,), fail=1.0, burst=5.0),
    "blackhole": _trouble(600, fail=1.0, blackhole=True),
    "third": _trouble(2000, everies=(10.0, 30.0), fail=0.3),
    "half": _trouble(2000, 500, everies=(10.0, 30.0), fail=0.5),
    "first_days": Group(_cells.first_days, {"fail": 0.01, "burst": 5.0}, (10.0,), (400, 4), quick=20),
    "twice_as_slow": _slowness(400, EVERIES, latency=0.6),
    "twice_as_slow_wandering": _slowness(400, EVERIES, nature=WANDERING, latency=0.6),
    "half_as_slow_again": _slowness(400, (30.0,), latency=0.45),
    "half_as_slow_again_wandering": _slowness(400, (30.0,), nature=WANDERING, latency=0.45),
    "a_fifth_slow": _slowness(400, (30.0,), slow=0.2),
    "as_ever": _as_ever(24, 3, EVERIES),
    "as_ever_wandering": _as_ever(24, 3, EVERIES, nature=WANDERING),
    "all_alike": _as_ever(10, 2, (30.0,), nature=ALIKE),
    "one_success": Group(_cells.one_success, {}, EVERIES, (200, 2), quick=10),
}
"""By name, as `--only` takes it."""


def jobs(*, quick: bool, seed: int, only: Sequence[str] | None = None, part: float = 1.0) -> list[Job]:
    """All parts, the long ones first; `part` of them, as far as they can be divided."""
    made = []
    for name, group in GROUPS.items():
        if only and name not in only:
            continue
        for policy in POLICIES:
            whole, parts = group.ours if policy == "ours" else group.peers
            if not whole:
                continue
            share: float = whole // parts
            if quick:
                share, parts = group.quick, 1
            parts = max(round(parts * part), 1)
            for every in group.everies:
                for number in range(parts):
                    seeds = f"{seed}/{name}/{policy}/{every}/{number}"
                    made.append(Job(name, policy, every, _number(seeds), group.cell, share, group.fields))
    return sorted(made, key=lambda job: job.policy != "ours")


def _number(text: str) -> int:
    """The same in each process and each Python, where `hash` is not."""
    return int.from_bytes(text.encode()) % (2**61 - 1)
