"""Several looks, one after another: how each went, and how long each phase took at least, mostly and at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitor.commands._looked import Looked, as_json
from monitor.core.wording import seconds

ANSWERED, TOTAL = "response_time", "all"


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds of one phase, over the looks that came to it; how many they were."""

    looks: int
    least: float
    median: float
    most: float


def spreads(several: Sequence[Looked]) -> dict[str, Spread]:
    """By phase, in the order in which they happened; `TOTAL` is the whole look, our own work included."""
    found: dict[str, list[float]] = {}
    for looked in several:
        for name, value in looked.look.observation.phases.items():
            found.setdefault(name, []).append(value)
    answered = [looked.answered for looked in several if looked.answered is not None]
    if answered:
        found[ANSWERED] = answered
    found[TOTAL] = [looked.took for looked in several]
    return {name: Spread(len(values), min(values), median(values), max(values)) for name, values in found.items()}


def outcomes(several: Sequence[Looked]) -> Mapping[str, int]:
    """How often each outcome was: a reason, `breached`, or `ok`; the most frequent first."""
    return dict(Counter(outcome(looked) for looked in several).most_common())


def outcome(looked: Looked) -> str:
    reason = looked.look.observation.reason
    return reason.value if reason is not None else "breached" if looked.finding else "ok"


def show_one(console: Console, hide: Callable[[str], str], number: int, looked: Looked) -> None:
    """A line, as soon as the look is over."""
    observation = looked.look.observation
    told = outcome(looked)
    colour = (
        "green"
        if told == "ok"
        else "red"
        if observation.reason and observation.reason.blame == "target"
        else "yellow"
    )
    where = observation.evidence.get("address", "")
    breached = ", ".join(item.condition.text for item in looked.said if item.breached)
    why = observation.detail or breached
    took = looked.took if looked.answered is None else looked.answered
    line = f"  {number:>4}  [{colour}]{told:16}[/]{seconds(took):>9}  "
    console.print(f"{line}{escape(hide(where)):24}{escape(hide(why))}", soft_wrap=True)


def show_sum(console: Console, several: Sequence[Looked]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
    table.add_column("phase")
    for title in ("min", "median", "max", "looks"):
        table.add_column(title, justify="right")
    for name, spread in spreads(several).items():
        figures = (seconds(value) for value in (spread.least, spread.median, spread.most))
        table.add_row(escape(name), *figures, str(spread.looks))
    console.print(table)
    told = ", ".join(f"{count} {name}" for name, count in outcomes(several).items())
    console.print(f"{len(several)} looks: {told}")


def sum_as_json(several: Sequence[Looked]) -> dict[str, Any]:
    return {
        "looks": [as_json(looked) for looked in several],
        "outcomes": dict(outcomes(several)),
        "phases": {
            name: {"looks": item.looks, "min": item.least, "median": item.median, "max": item.most}
            for name, item in spreads(several).items()
        },
    }
