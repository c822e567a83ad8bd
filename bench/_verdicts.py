"""What the simulated cells come to: the table of policies, and the goals of the project with their limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean, median
from typing import Any

from bench._cells import Found
from bench._jobs import GROUPS
from bench._line import Figure, Line, percentile
from bench._policies import POLICIES

Cells = Mapping[tuple[str, str, float], Found]
BURSTS = ("iid", "bursts_2s", "bursts_5s")
HOUR_OF_TROUBLE = 6.0
"""A trouble of the simulation lasts ten minutes."""


def table(found: Cells) -> Iterator[str]:
    """Lines for people: one for each policy, then what is told of ours only."""
    head = (
        "policy", "false DOWN a check-month: iid / 2 s / 5 s bursts", "outage, mean/p99 s to DOWN: T=10 · 30 · 60",
        "half failing, T=10: called DOWN, changes an hour",
    )  # fmt: skip
    rows = [head]
    for policy, (name, _) in POLICIES.items():
        false = " / ".join(_rate(found.get((group, policy, 10.0))) for group in BURSTS)
        outage = " · ".join(_times(found.get(("outage", policy, every))) for every in (10.0, 30.0, 60.0))
        rows.append((name, false, outage, _half(found.get(("half", policy, 10.0)))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"


def _rate(found: Found | None) -> str:
    if found is None or not found.sums.get("months"):
        return "-"
    rate = found.sums["down"] / found.sums["months"]
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _times(found: Found | None) -> str:
    down = found.lists.get("down") if found else None
    return f"{fmean(down):.1f}/{percentile(down, 99):.1f}" if down else "-"


def _half(found: Found | None) -> str:
    if found is None:
        return "-"
    count = found.sums["incidents"]
    return f"{found.sums.get('called_down', 0) / count:.1%}, {found.sums['flaps'] / count * HOUR_OF_TROUBLE:.1f}"


def as_json(found: Cells, result: Line) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "policies": {
            policy: {
                "name": name,
                "false_down": {
                    group: item.sums["down"] / item.sums["months"]
                    for group in BURSTS
                    if (item := found.get((group, policy, 10.0))) is not None
                },
                "outage_among_bursts": _mean(found.get(("outage_among_bursts", policy, 10.0))),
                "outage": {
                    f"{every:g}": {"mean": fmean(item.lists["down"]), "p99": percentile(item.lists["down"], 99)}
                    for every in (10.0, 30.0, 60.0)
                    if (item := found.get(("outage", policy, every))) is not None
                },
            }
            for policy, (name, _) in POLICIES.items()
        },
        "figures": [
            {"name": item.label, "value": item.value, "unit": item.unit, "limit": item.limit, "ok": item.ok}
            for item in result.figures
        ],
        "how": result.how,
    }


def _mean(found: Found | None) -> float | None:
    return fmean(found.lists["down"]) if found is not None and found.lists.get("down") else None


def line(found: Cells, seconds: float) -> Line:
    """The goals of DETECTION.md that were simulated, with their limits."""
    ours = {(group, every): item for (group, policy, every), item in found.items() if policy == "ours"}
    order = [(group, every) for group in GROUPS for every in GROUPS[group].everies if (group, every) in ours]
    figures = [figure for group, every in order for figure in _goals(group, every, ours[group, every])]
    months = sum(item.sums.get("months", 0) for item in ours.values())
    incidents = sum(item.sums.get("incidents", 0) for item in ours.values())
    how = f"{months:,.0f} check-months and {incidents:,.0f} troubles of ours, {seconds:.0f} s; T is the interval"
    return Line("judgement", tuple(figures), how)


def _goals(group: str, every: float, found: Found) -> Iterator[Figure]:
    at = f"T{every:g}"
    sums = found.sums
    match group:
        case "iid" | "bursts_2s" | "bursts_5s":
            limit = 0.01 if group == "iid" else 0.05
            yield Figure(f"{group}_false_down", sums["down"] / sums["months"], "a check-month", limit)
            yield Figure(f"{group}_false_degraded", sums["degraded"] / sums["months"], "a check-month")
            extra = sums["extra"] / sums["scheduled"] * 100
            yield Figure(f"{group}_extra_looks", extra, "%", 17.0 if group == "iid" else None)
        case "seldom":
            yield Figure("seldom_extra_looks", sums["extra"] / sums["scheduled"] * 100, "%", 1.5)
        case "outage":
            yield from _outage(at, every, found)
        case "outage_among_bursts":
            yield Figure(f"{group}_{at}_mean", fmean(found.lists["down"]), "s")
            yield Figure(f"{group}_{at}_p99", percentile(found.lists["down"], 99), "s")
        case "blackhole":
            yield Figure(f"blackhole_{at}_mean", fmean(found.lists["down"]), "s", every / 2 + 8)
            yield Figure(f"blackhole_{at}_p99", percentile(found.lists["down"], 99), "s")
        case "third" | "half":
            yield from _gray(f"{group}_{at}", group, every, found)
        case "first_days":
            yield Figure("first_days_false_down", sums["down"] / sums["checks"], "a check")
        case "twice_as_slow":
            yield from _slow(f"{group}_{at}", found, every / 2 + 15, every + 15)
        case "twice_as_slow_wandering" | "half_as_slow_again" | "half_as_slow_again_wandering" | "a_fifth_slow":
            yield from _slow(f"{group}_{at}", found, None, None)
        case "as_ever" | "as_ever_wandering" | "all_alike":
            most = 0.05 if group == "as_ever" else None  # the goal is for the noise of the study
            yield Figure(f"{group}_{at}_false_degraded", sums["degraded"] / sums["months"], "a_check-month", most)
            yield Figure(f"{group}_{at}_extra_looks", sums["extra"] / sums["scheduled"] * 100, "%")
        case "one_success":
            yield Figure(f"one_success_{at}_called_up", sums["up"], "times", 0.0)


def _slow(name: str, found: Found, most: float | None, p95: float | None) -> Iterator[Figure]:
    yield Figure(f"{name}_median", median(found.lists["bad"]), "s", most)
    yield Figure(f"{name}_p95", percentile(found.lists["bad"], 95), "s", p95)
    yield Figure(f"{name}_missed", found.sums["missed"] / found.sums["incidents"] * 100, "%")
    yield Figure(f"{name}_to_up_p95", percentile(found.lists.get("recovered", []), 95), "s")


def _outage(at: str, every: float, found: Found) -> Iterator[Figure]:
    down = found.lists["down"]
    yield Figure(f"outage_{at}_mean", fmean(down), "s", every / 2 + 5.5)
    yield Figure(f"outage_{at}_p99", percentile(down, 99), "s", every + 5.5)
    yield Figure(f"outage_{at}_not_called_down", found.sums["incidents"] - found.sums["called_down"], "times", 0.0)
    yield from _recovery(f"outage_{at}", every, found)


def _gray(name: str, group: str, every: float, found: Found) -> Iterator[Figure]:
    count = found.sums["incidents"]
    called = found.sums.get("called_down", 0.0) / count * 100
    yield Figure(f"{name}_called_down", called, "%", 0.1 if group == "third" else 1.0)
    yield Figure(f"{name}_to_degraded_median", median(found.lists["bad"]), "s", 40.0 if every == 10 else 90.0)
    yield Figure(f"{name}_into_bad", found.sums["into_bad"] / count, "times a trouble", 1.1)
    yield from _recovery(name, every, found)


def _recovery(name: str, every: float, found: Found) -> Iterator[Figure]:
    recovered = found.lists["recovered"]
    yield Figure(f"{name}_to_up_median", median(recovered), "s")
    yield Figure(f"{name}_to_up_p95", percentile(recovered, 95), "s", every + 45)
