"""Who is told of what no route takes: that the agent itself cannot see."""

from __future__ import annotations

import pytest

from monitor.core.model import Change, Service
from monitor.core.routing import ALWAYS, AllOf, AnyOf, Expression, Not, Route, Term, possible, told_of_degradations
from monitor.core.sight import Ailment, Trouble
from monitor.core.unjudged import LASTING
from probes.contract import Reason
from tests.core.builders import check, look, moment, world

OUTAGES = Term("impact", "outage")
DEGRADATIONS = Term("impact", "degradation")
DESIGN = (
    Route(("pager", "chat"), AllOf((Term("service", "shop"), OUTAGES))),
    Route(("chat",), DEGRADATIONS),
    Route(("hook",), Term("event", "check.changed")),
)
"""The routes of the design document's example."""

SHOP, OTHER = Term("service", "shop"), Term("service", "api")


@pytest.mark.parametrize(
    ("when", "found"),
    [
        (ALWAYS, True),
        (SHOP, True),
        (OTHER, False),
        (Term("owner", "web"), None),
        (Not(SHOP), False),
        (Not(Term("owner", "web")), None),
        (AllOf((SHOP, Term("owner", "web"))), None),
        (AllOf((OTHER, Term("owner", "web"))), False),
        (AnyOf((OTHER, Term("owner", "web"))), None),
        (AnyOf((SHOP, Term("owner", "web"))), True),
        (AnyOf((OTHER, Not(SHOP))), False),
    ],
)
def test_what_is_not_known_is_not_guessed(when: Expression, found: bool | None) -> None:
    assert possible(when, {"service": ("shop",)}) is found


NOBODY: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        (DESIGN, ("chat",)),
        (DESIGN[:1], NOBODY),
        ((Route(("pager",), OUTAGES),), NOBODY),
        ((Route(("pager",), Not(DEGRADATIONS)),), ("pager",)),
        ((Route(("pager",), OUTAGES), Route(("web",), SHOP), Route(("api",), OTHER)), ("web", "api")),
        ((Route(("pager",), OUTAGES), Route(("web",), AllOf((Not(SHOP), Not(OUTAGES))))), ("web",)),
        ((Route(("hook",), Term("event", "check.changed")),), NOBODY),
        ((Route(("hook",), AllOf((Term("event", "incident.*"), DEGRADATIONS))),), NOBODY),
        ((Route(("chat",)), Route(("web",), SHOP)), ("chat",)),
    ],
)
def test_that_the_agent_cannot_see_goes_where_degradations_go(
    routes: tuple[Route, ...], told: tuple[str, ...]
) -> None:
    watched = world(check(), routes=routes)
    watched.sighted([Ailment(Trouble.NETWORK, moment(5), "nobody answered")], moment(7))
    [impaired] = events(watched.elapse(moment(15)))
    assert impaired == ("agent.impaired", told)
    [(kind, owed)] = events(watched.sighted([], moment(60)))
    assert (kind, set(owed)) == ("agent.recovered", set(told))


def test_what_is_unknown_for_long_goes_to_those_who_are_told_of_its_service() -> None:
    routes = (
        Route(("pager",), OUTAGES),
        Route(("web",), AllOf((SHOP, DEGRADATIONS))),
        Route(("api",), AllOf((OTHER, DEGRADATIONS))),
        Route(("tier",), AllOf((Term("label.tier", "web"), DEGRADATIONS))),
    )
    shop = Service("shop", "Web shop", ("home",), outage=world(check()).services["home"].service.outage)
    watched = world(check("home", service="shop", labels={"tier": "data"}), services={"shop": shop}, routes=routes)
    for at in (0, 30, 60, 90):
        watched.observe(look(at, fails=Reason.NO_ROUTE))
    [event] = events(watched.elapse(moment(90 + LASTING)))
    assert event == ("agent.impaired", ("web",))


def test_a_route_that_takes_it_is_believed() -> None:
    routes = (*DESIGN, Route(("ops",), Term("event", "agent.*")))
    watched = world(check(), routes=routes)
    watched.sighted([Ailment(Trouble.NETWORK, moment(5), "nobody answered")], moment(7))
    assert events(watched.elapse(moment(15))) == [("agent.impaired", ("ops",))]
    facts = {"event": ("agent.impaired",), "service": (), "impact": ()}
    assert told_of_degradations(routes, facts) == ("chat",)


def events(change: Change | None) -> list[tuple[str, tuple[str, ...]]]:
    return [(event.type.value, event.sinks) for event in change.events] if change else []
