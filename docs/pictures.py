"""The pictures of docs/judgement.md, out of the simulator's own runs: `python -m docs.pictures`.

Each shows one check through one trouble, as `bench._virtual` plays it through the agent's core, or several
(`docs._stories`); the way to a page is drawn from its questions, and the policies
from what `python -m bench.judgement --json` printed (docs/images/judgement.json). Seeds are fixed.
"""

# ruff: noqa: SLF001  (pictures show what no interface tells)
from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from bench._cells import ORDINARY
from bench._policies import Ours
from bench._traffic import Answer, Phase, Traffic
from bench._virtual import Changed, Simulation
from docs import _stories
from docs._drawing import Axis, Drawing, Mark
from docs._flow import Question, flow
from monitor.core import failures, slowness
from monitor.core.judgement import Judgement
from monitor.core.model import Look, State
from monitor.logs import configure_logs

IMAGES = Path(__file__).parent / "images"
AFTER_AN_HOUR = 3600.0
AFTER_TWO_WEEKS = 14 * 86400.0 + 10 * 3600.0
"""Seconds of ordinary life before a picture begins: of one of slowness, what is usual must have been learned."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A check that is looked at `every` seconds, in the `shown` seconds after the `begin` of the picture: as `before`
    until `bad`, as in `trouble` until `well`, then as before."""

    title: str
    truth: tuple[str, str, str]
    """What the target is like, in words, in these three spans."""
    every: float
    shown: float
    bad: float
    well: float
    trouble: Phase
    seed: int
    before: Phase = Phase()  # noqa: RUF009  (frozen)
    begin: float = AFTER_AN_HOUR
    mark: float = 30.0
    """Seconds from one mark of the axis to the next."""


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


def watch(scene: Scene) -> tuple[Drawing, Watched]:
    """The picture so far, and the looks and changes that it is to show; their times are told from its begin on."""
    begin, before = scene.begin, scene.before
    phases = [before, replace(scene.trouble, start=begin + scene.bad), replace(before, start=begin + scene.well)]
    traffic = Traffic(phases, Random(scene.seed))  # noqa: S311
    policy, looks = Scored(scene.every, usual=traffic.measured), list[Taken]()

    def seen(at: float, answer: Answer, scheduled: bool) -> None:  # noqa: FBT001  (the simulation's port)
        if at >= begin:
            looks.append(Taken(at - begin, answer.failed, scheduled, answer.latency))

    tally = Simulation(policy, traffic, scene.every, 1.0, seen).run(begin + scene.shown)
    changes = [
        replace(item, at=item.at - begin, since=item.since - begin) for item in tally.changes if item.at >= begin
    ]
    drawing = Drawing(scene.title, Axis(0, scene.shown, scene.mark, "s"))
    edges = (0.0, scene.bad, scene.well, scene.shown)
    drawing.truth([(edges[place], edges[place + 1], words) for place, words in enumerate(scene.truth)])
    return drawing, Watched(looks, changes, [(at - begin, value) for at, value in policy.scores if at >= begin])


def score_of(policy: Ours) -> float:
    """The sum of separate failures, or of slow looks where latency is measured."""
    own = policy.judge._measured.slowness
    if own is None:
        return policy.judge._failures._score
    doubt = own._doubt
    return doubt.sum if doubt is not None else 0.0


def outage() -> Drawing:
    scene = Scene(
        "A server is dead for a minute", ("answers", "dead", "answers"),
        every=30.0, shown=150.0, bad=19.0, well=79.0, trouble=Phase(fail=1.0), seed=1,
    )  # fmt: skip
    drawing, found = watch(scene)
    _looks(drawing, found)
    _states(drawing, found, scene.shown)
    down, first = _first(found, State.DOWN), _first_failed(found)
    drawing.note(first, "first failed look")
    drawing.note(down, f"down: told {down - first:.0f} s after it")
    return drawing


def lost_packets() -> Drawing:
    scene = Scene(
        "Packets are lost for 2.7 seconds", ("answers", "", "answers"),
        every=10.0, shown=60.0, bad=30.5, well=33.2, trouble=Phase(fail=1.0), seed=1, mark=10.0,
    )  # fmt: skip
    drawing, found = watch(scene)
    _looks(drawing, found)
    _states(drawing, found, scene.shown)
    drawing.note(_first_failed(found), "a failed look: it is looked at again at once")
    return drawing


def half_failing() -> Drawing:
    scene = Scene(
        "Half of all requests fail for two minutes", ("answers", "every second request fails", "answers"),
        every=30.0, shown=240.0, bad=20.0, well=140.0, trouble=Phase(fail=0.5), seed=3,
    )  # fmt: skip
    drawing, found = watch(scene)
    _looks(drawing, found)
    drawing.curve(
        "separate failures, added up", found.scores, 16.0, limit=failures._ALARM, limit_name="degraded from here"
    )
    _states(drawing, found, scene.shown)
    drawing.note(_first(found, State.DEGRADED), "degraded, and not down: no run of failures lasts")
    return drawing


def slow() -> Drawing:
    scene = Scene(
        "Answers take twice as long for two and a half minutes", ("as ever", "twice as slow", "as ever"),
        every=30.0, shown=360.0, bad=75.0, well=225.0, trouble=replace(ORDINARY, latency=0.6), seed=4,
        before=ORDINARY, begin=AFTER_TWO_WEEKS,
    )  # fmt: skip
    drawing, found = watch(scene)
    marks = [Mark(look.at, look.latency, solid=look.scheduled) for look in found.looks if look.latency is not None]
    drawing.dots("response time (s); filled: scheduled looks", marks, 1.0)
    drawing.curve(
        "how far above usual, added up", found.scores, 21.0, limit=slowness._ALARM, limit_name="degraded from here"
    )
    _states(drawing, found, scene.shown)
    degraded = _first(found, State.DEGRADED)
    drawing.note(degraded, f"degraded: {degraded - scene.bad:.0f} s after")
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


WAY_TO_A_PAGE = (
    Question(
        "Is it the target's own trouble?", "yes", "no",
        "The check becomes unknown, and nobody is paged. If it stays so for 10 minutes: agent.impaired. "
        "See: brownout look NAME, its reason.",
    ),
    Question(
        "Does it last?", "yes", "no",
        "A blip, told to nobody. A failing target: ten looks in a row over 5 s, or over what was learned of it; "
        "a threshold: as it is written. See: down_after in /api/v1/checks/NAME.",
    ),
    Question(
        "Is the check in maintenance?", "no", "yes",
        "It is kept back, and told at the end of the window if it is still so. See: brownout maintain.",
    ),
    Question(
        "Does it flap?", "no", "yes",
        "The third time within an hour is told as flapping; then a digest, and its end. See: the flag flapping.",
    ),
    Question(
        "Does a failing dependency explain it?", "no", "yes",
        "It is part of that one's incident, and no check.changed tells of it. See: suppressed_by.",
    ),
    Question(
        "Does it make an incident, or one worse than told?", "yes", "no",
        "The incident that is open has told it, or its service is well all the same. See: the service's rule, "
        "brownout status.",
    ),
    Question(
        "Does a route send it to somebody?", "yes", "no",
        "Nobody is told. A route without event takes incidents and agent.*, and when: must match. "
        "See: routes in checks.yaml.",
    ),
    Question(
        "Does the sink accept it?", "yes", "no",
        "It is tried again for three days; refused for good it is a dead letter. See: brownout_outbox_waiting, "
        "brownout_outbox_dead, the log.",
    ),
)  # fmt: skip
"""In the order in which the agent asks them."""


def way() -> str:
    return flow(
        "From a failed look to a page, and where it may end",
        "A look fails, or a figure is beyond a limit",
        WAY_TO_A_PAGE,
        "A page",
    )


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


def _first_failed(found: Watched) -> float:
    return next(look.at for look in found.looks if look.failed)


def _first(found: Watched, state: State) -> float:
    return next(change.at for change in found.changes if change.new is state)


PICTURES: Mapping[str, Callable[[], Drawing]] = {
    "judgement-outage": outage,
    "judgement-loss": lost_packets,
    "judgement-half": half_failing,
    "judgement-slow": slow,
    "judgement-cause": _stories.cause,
    "judgement-flapping": _stories.flapping,
    "judgement-maintenance": _stories.maintenance,
    "judgement-network": _stories.network,
}


def main() -> int:
    configure_logs(str, quiet=True)
    for name, draw in PICTURES.items():
        (IMAGES / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")
    (IMAGES / "judgement-way.svg").write_text(way(), encoding="utf-8")
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
