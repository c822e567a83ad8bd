"""Several checks through one trouble, for the pictures: the agent itself in virtual time (`tests.simulation`), and
what it told its one sink. Seconds in a story are from the beginning of its picture, ten minutes after midnight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from docs._drawing import Axis, Drawing
from monitor.core.event import Source
from monitor.core.judge import Judge
from monitor.core.maintenance import Scope, Span, Window
from monitor.core.model import Check, Look, OutageRule, Service
from monitor.core.plan import Plan
from monitor.core.routing import Route
from probes.contract import Reason
from tests.simulation import SINK, Counter, Simulated, Truth, Witness, live
from tests.virtual_time import START

BEGIN = 600.0
"""Seconds of ordinary life before."""
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Of one check, from the one second to the other."""

    begin: float
    end: float
    reason: Reason

    def holds(self, at: float) -> bool:
        return self.begin <= at - BEGIN < self.end


class Onlooker(Counter):
    """Notes each change of a check's state, as (seconds, state)."""

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, list[tuple[float, str]]] = {}

    def look(self, look: Look, judge: Judge) -> None:
        super().look(look, judge)
        known = self.states.setdefault(look.check, [])
        if not known or known[-1][1] != judge.state.value:
            known.append((look.ended.tick - BEGIN, judge.state.value))

    def spans(self, check: str, shown: float) -> list[tuple[float, float, str]]:
        known = self.states[check]
        ends = [*(at for at, _ in known[1:]), shown]
        return [(max(at, 0.0), end, state) for (at, state), end in zip(known, ends, strict=True) if end > 0]


def check(name: str, truth: Truth, every: float, **fields: Any) -> Check:
    return Check(
        id=name, name=name, service=name, probe=Simulated(name, truth),
        every=timedelta(seconds=every), timeout=timedelta(seconds=min(every, 10)), **fields,
    )  # fmt: skip


def truth_of(troubles: Mapping[str, Sequence[Trouble]]) -> Truth:
    def truth(name: str, at: float) -> Reason | None:
        return next((item.reason for item in troubles.get(name, ()) if item.holds(at)), None)

    return truth


def plan_of(titles: Mapping[str, str], *checks: Check, maintenance: tuple[Window, ...] = ()) -> Plan:
    """Each check is a service of its own, with its title."""
    services = {name: Service(name, title, (name,), OutageRule(1, (name,))) for name, title in titles.items()}
    known = {item.id: item for item in checks}
    return Plan(known, services, (Route((SINK,)),), Source("fra1"), frozenset((SINK,)), maintenance)


def play(
    drawing: Drawing, plan: Plan, shown: float, *, unit: float = 1.0, witness: Witness | None = None
) -> list[dict[str, Any]]:
    """Draws the states of all checks and what was told; `unit` are the seconds of a mark on the axis. The events."""
    onlooker = Onlooker()
    notebook = live(plan, BEGIN + shown, onlooker, witnesses=witness)
    for name in plan.checks:
        spans = [(begin / unit, end / unit, state) for begin, end, state in onlooker.spans(name, shown)]
        drawing.states(spans, name)
    told = [((at - BEGIN) / unit, f"{page['type']}: {page['sentence']}") for at, page in notebook.pages]
    drawing.told(told)
    return [page for _, page in notebook.pages]


def cause() -> Drawing:
    """A database dies; what hangs on it is looked at more often, and fails first."""
    shown, dead = 240.0, (43.0, 103.0)
    refused, failing = Trouble(*dead, Reason.REFUSED), Trouble(*dead, Reason.STATUS)
    truth = truth_of({"database": [refused], "orders": [failing], "shop": [failing]})
    plan = plan_of(
        {"shop": "Web shop", "orders": "Orders", "database": "Database"},
        check("shop", truth, 15, depends_on=("orders",)),
        check("orders", truth, 30, depends_on=("database",)),
        check("database", truth, 60),
    )
    drawing = Drawing("A database dies, and what depends on it: one incident", Axis(0, shown, 30, "s"))
    drawing.band("the database", [(*dead, "dead")], shown)
    play(drawing, plan, shown)
    return drawing


def flapping() -> Drawing:
    """A service that is restarted again and again."""
    shown, minutes = 120.0, (5, 14, 23, 32, 41, 50, 59, 68)
    down = [Trouble(minute * MINUTE, (minute + 2) * MINUTE, Reason.REFUSED) for minute in minutes]
    truth = truth_of({"home": down})
    drawing = Drawing("A server dies every nine minutes: three incidents, not eight", Axis(0, shown, 20, "min"))
    drawing.band("the target", [(item.begin / MINUTE, item.end / MINUTE, "") for item in down], shown)
    play(drawing, plan_of({"home": "Web shop"}, check("home", truth, 30)), shown * MINUTE, unit=MINUTE)
    return drawing


def maintenance() -> Drawing:
    """A deploy breaks two things, and mends one of them."""
    shown, window = 60.0, (10.0, 30.0)
    home = Trouble(13 * MINUTE, 17 * MINUTE, Reason.REFUSED)
    checkout = Trouble(22 * MINUTE, 44 * MINUTE, Reason.STATUS)
    truth = truth_of({"home": [home], "checkout": [checkout]})
    begin = START.timestamp() + BEGIN
    announced = Window(
        "deploy", Scope(("home", "checkout")),
        Span(begin + window[0] * MINUTE, begin + window[1] * MINUTE), why="release 4.2",
    )  # fmt: skip
    plan = plan_of(
        {"home": "Web shop", "checkout": "Checkout"},
        check("home", truth, 30), check("checkout", truth, 30), maintenance=(announced,),
    )  # fmt: skip
    drawing = Drawing("A deploy in a window of maintenance", Axis(0, shown, 10, "min"))
    drawing.band("maintenance", [(*window, "of both")], shown)
    play(drawing, plan, shown * MINUTE, unit=MINUTE)
    return drawing


def network() -> Drawing:
    """The agent's own network is cut; meanwhile one of its targets really dies."""
    shown, cut, dead = 300.0, (50.0, 140.0), (90.0, 230.0)
    gone = Trouble(*cut, Reason.CONNECT_TIMEOUT)
    truth = truth_of({"home": [gone], "mail": [gone, Trouble(*dead, Reason.REFUSED)], "search": [gone]})
    checks = [check(name, truth, 15) for name in ("home", "search", "mail")]
    plan = plan_of({"home": "Web shop", "search": "Search", "mail": "Mail"}, *checks)
    drawing = Drawing("The agent's own network is cut, and mail dies meanwhile", Axis(0, shown, 30, "s"))
    drawing.band("the agent", [(*cut, "its network is gone")], shown)
    drawing.band("mail", [(*dead, "dead")], shown)
    play(drawing, plan, shown, witness=Witness((BEGIN + cut[0], BEGIN + cut[1])))
    return drawing
