"""The pictures of docs/judgement.md, out of the simulator's own runs: `python -m docs.pictures`.

Each shows one check through one trouble, as `bench._virtual` plays it through the agent's core; the last one is drawn
from what `python -m bench.judgement --json` printed (docs/images/judgement.json). Seeds are fixed.
"""

# ruff: noqa: SLF001  (pictures show what no interface tells)
from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench._policies import Ours
from bench._traffic import Answer, Phase, Traffic
from bench._virtual import Changed, Simulation
from docs._drawing import Axis, Drawing, Mark
from monitor.core import failures, slowness
from monitor.core.judge import Judgement
from monitor.core.model import Look, State

IMAGES = Path(__file__).parent / "images"
LEARNT = 14 * 86400.0
"""Seconds of ordinary life before a picture of slowness begins."""
DAILY = Phase(latency=0.3, sigma=0.12, memory=60.0, wander=0.6, tail=0.005, day=0.3)


@dataclass(frozen=True, slots=True)
class Taken:
    """A look as it is drawn; `at` in seconds from the beginning of the picture."""

    at: float
    failed: bool
    scheduled: bool
    latency: float | None


@dataclass
class Watched:
    """What a picture shows of a simulated check."""

    looks: list[Taken]
    changes: list[Changed]
    scores: list[tuple[float, float]]
    """(seconds, the sum of one channel) after each look."""


class Scored(Ours):
    """Notes its sum after each look."""

    def __init__(self, every: float, *, usual: bool) -> None:
        super().__init__(every, usual=usual)
        self.scores: list[tuple[float, float]] = []

    def observe(self, look: Look) -> Judgement:
        judgement = super().observe(look)
        self.scores.append((look.ended.tick, score_of(self)))
        return judgement


def watch(phases: Sequence[Phase], every: float, begin: float, end: float, seed: int, *, start: float) -> Watched:
    """The looks and changes between two moments of a life that began at 0; times are told from `begin` on."""
    policy, looks = Scored(every, usual=any(phase.latency is not None for phase in phases)), list[Taken]()

    def seen(at: float, answer: Answer, scheduled: bool) -> None:  # noqa: FBT001  (the simulation's port)
        if at >= begin:
            looks.append(Taken(at - begin, answer.failed, scheduled, answer.latency))

    simulation = Simulation(policy, Traffic(phases, Random(seed)), every, start, seen)  # noqa: S311
    changes = [
        Changed(item.at - begin, item.old, item.new, item.reason, item.since - begin)
        for item in simulation.run(end).changes
        if item.at >= begin
    ]
    return Watched(looks, changes, [(at - begin, value) for at, value in policy.scores if at >= begin])


def score_of(policy: Ours) -> float:
    """The sum of separate failures, or of slow looks where latency is measured."""
    own = policy.judge._measured.slowness
    if own is None:
        return policy.judge._failures._score
    doubt = own._doubt
    return doubt.sum if doubt is not None else 0.0


def outage() -> Drawing:
    begin, shown = 3600.0, 150.0
    dead, back = begin + 19.0, begin + 79.0
    phases = [Phase(), Phase(dead, 1.0), Phase(back)]
    found = watch(phases, 30.0, begin, begin + shown, 1, start=1.0)
    drawing = Drawing("A server is dead for a minute", Axis(0, shown, 30, "s"))
    drawing.truth(
        [(0, dead - begin, "answers"), (dead - begin, back - begin, "dead"), (back - begin, shown, "answers")]
    )
    _looks(drawing, found)
    _states(drawing, found, shown)
    down = _first(found, State.DOWN)
    first = next(look.at for look in found.looks if look.failed)
    drawing.note(first, "first failed look")
    drawing.note(down, f"down: told {down - first:.0f} s after it")
    return drawing


def lost_packets() -> Drawing:
    begin, shown = 3600.0, 60.0
    gone, back = begin + 30.5, begin + 33.2
    phases = [Phase(), Phase(gone, 1.0), Phase(back)]
    found = watch(phases, 10.0, begin, begin + shown, 1, start=1.0)
    drawing = Drawing("Packets are lost for 2.7 seconds", Axis(0, shown, 10, "s"))
    drawing.truth([(0, gone - begin, "answers"), (gone - begin, back - begin, ""), (back - begin, shown, "answers")])
    _looks(drawing, found)
    _states(drawing, found, shown)
    drawing.note(next(look.at for look in found.looks if look.failed), "a failed look: it is looked at again at once")
    return drawing


def half_failing() -> Drawing:
    begin, shown = 3600.0, 240.0
    bad, well = begin + 20.0, begin + 140.0
    phases = [Phase(), Phase(bad, 0.5), Phase(well)]
    found = watch(phases, 30.0, begin, begin + shown, 3, start=1.0)
    drawing = Drawing("Half of all requests fail for two minutes", Axis(0, shown, 30, "s"))
    drawing.truth([(0, bad - begin, "answers"), (bad - begin, well - begin, "every second request fails"),
                   (well - begin, shown, "answers")])  # fmt: skip
    _looks(drawing, found)
    drawing.curve(
        "separate failures, added up", found.scores, 16.0, limit=failures._ALARM, limit_name="degraded from here"
    )
    _states(drawing, found, shown)
    drawing.note(_first(found, State.DEGRADED), "degraded, and not down: no run of failures lasts")
    return drawing


def slow() -> Drawing:
    begin, shown = LEARNT + 10 * 3600.0, 360.0
    bad, well = begin + 75.0, begin + 225.0
    doubled = Phase(bad, latency=0.6, sigma=0.12, memory=60.0, wander=0.6, tail=0.005, day=0.3)
    again = Phase(well, latency=0.3, sigma=0.12, memory=60.0, wander=0.6, tail=0.005, day=0.3)
    found = watch([DAILY, doubled, again], 30.0, begin, begin + shown, 4, start=1.0)
    drawing = Drawing("Answers take twice as long for two and a half minutes", Axis(0, shown, 30, "s"))
    drawing.truth([(0, bad - begin, "as ever"), (bad - begin, well - begin, "twice as slow"),
                   (well - begin, shown, "as ever")])  # fmt: skip
    marks = [Mark(look.at, look.latency, solid=look.scheduled) for look in found.looks if look.latency is not None]
    drawing.dots("response time (s); filled: scheduled looks", marks, 1.0)
    drawing.curve(
        "how far above usual, added up", found.scores, 21.0, limit=slowness._ALARM, limit_name="degraded from here"
    )
    _states(drawing, found, shown)
    drawing.note(
        _first(found, State.DEGRADED), f"degraded: {_first(found, State.DEGRADED) - bad + begin:.0f} s after"
    )
    return drawing


def policies(told: Mapping[str, Mapping[str, float]]) -> Drawing:
    """Each policy: false pages a check-month against how long an outage takes to be called."""
    drawing = Drawing(
        "A target that is gone for 5 s at a time, 1 % of all time; a look every 10 s", Axis(0, 80, 10, "s")
    )
    drawing.scatter(
        "mean seconds until a total outage is called down",
        "outages called in a month that were none",
        {name: (item["outage_mean"], item["false_down"]) for name, item in told.items()},
        least=0.01,
        most=10_000.0,
    )
    return drawing


def _looks(drawing: Drawing, found: Watched) -> None:
    for name, scheduled in (("scheduled looks", True), ("extra looks", False)):
        marks = [Mark(look.at, failed=look.failed) for look in found.looks if look.scheduled is scheduled]
        drawing.row(name, marks)


def _states(drawing: Drawing, found: Watched, shown: float) -> None:
    """What the check is called meanwhile."""
    at, state, spans = 0.0, State.UP, list[tuple[float, float, str]]()
    for change in found.changes:
        spans.append((at, change.at, state.value))
        at, state = change.at, change.new
    drawing.states([*spans, (at, shown, state.value)])


def _first(found: Watched, state: State) -> float:
    return next(change.at for change in found.changes if change.new is state)


PICTURES: Mapping[str, Callable[[], Drawing]] = {
    "judgement-outage": outage,
    "judgement-loss": lost_packets,
    "judgement-half": half_failing,
    "judgement-slow": slow,
}


def main() -> int:
    for name, draw in PICTURES.items():
        (IMAGES / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")
    figures = IMAGES / "judgement.json"
    if figures.exists():
        told = json.loads(figures.read_text("utf-8"))["policies"]
        at_ten = {
            item["name"]: {"outage_mean": item["outage_among_bursts"], "false_down": item["false_down"]["bursts_5s"]}
            for item in told.values()
        }
        (IMAGES / "judgement-policies.svg").write_text(policies(at_ten).svg(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
