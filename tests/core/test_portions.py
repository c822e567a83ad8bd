"""A plan taken over portion by portion: what is in one, and that looks may come between two of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.model import Check, OutageRule, Service
from monitor.core.plan import Plan
from monitor.core.portions import Portion, portions
from monitor.core.succession import arranging, take_over, under
from probes.contract import Reason
from tests.core.builders import check, moment, world
from tests.core.stories import Story, begun
from tests.core.succeeded import ROUTES, reloaded, shop_story, sound


def plan(*checks: Check, **services: Service) -> Plan:
    return world(*checks, services=services, routes=ROUTES).plan


def names(portion: Portion) -> tuple[list[str], list[str]]:
    return list(portion.before.checks), list(portion.after.checks)


def test_what_is_the_same_object_is_in_no_portion() -> None:
    before = plan(check("home"), check("cart"))
    assert portions(before, before) == []
    other = replace(before, checks=before.checks | {"cart": check("cart", owner="web")})
    assert [names(portion) for portion in portions(before, other)] == [(["cart"], ["cart"])]


def test_checks_of_one_service_are_one_portion_in_the_order_of_the_plan() -> None:
    story = shop_story()
    before = story.world.plan
    other = replace(before, checks=before.checks | {"search": check("search", service="shop", owner="web")})
    assert [names(portion) for portion in portions(before, other)] == [(["home", "checkout", "search"],) * 2]


def test_a_check_that_moves_or_has_another_name_joins_what_it_leaves_and_where_it_comes_to() -> None:
    home, cart, jobs = check("home"), check("cart"), check("jobs")
    before = plan(home, cart, jobs)
    shop = Service("shop", "Shop", ("home", "cart"), OutageRule(1, ("home",)))
    moved = plan(check("home", service="shop"), check("cart", service="shop"), jobs, shop=shop)
    services = moved.services | {"jobs": before.services["jobs"]}
    found = portions(before, replace(moved, services=services))
    assert [names(portion) for portion in found] == [(["home", "cart"], ["home", "cart"])]
    assert [list(portion.after.services) for portion in found] == [["shop"]]

    renamed = plan(check("front", was=("home", "entry")), cart, check("spare", was=("entry",)))
    services = renamed.services | {"cart": before.services["cart"]}
    found = portions(before, replace(renamed, services=services))
    assert [names(portion) for portion in found] == [(["home"], ["front", "spare"]), (["jobs"], [])]
    assert found[0].names.checks == {"home": "front"}
    assert found[0].names.services == {"home": "front"}


def test_a_service_without_checks_that_are_different_is_a_portion_of_its_own() -> None:
    before = plan(check("home"))
    other = replace(before, services={"home": replace(before.services["home"], title="Front")})
    assert [names(portion) for portion in portions(before, other)] == [(["home"], ["home"])]
    empty = Service("api", "API", (), OutageRule(1, ()))
    found = portions(before, replace(before, services=before.services | {"api": empty}))
    assert [list(portion.after.services) for portion in found] == [["api"]]


def test_looks_between_two_portions_are_judged_and_the_world_before_stays_whole() -> None:
    story = begun(Story(world(check("home"), check("cart"), check("jobs"), routes=ROUTES)), ["home", "cart", "jobs"])
    story.kill("home", 30)
    old, later = story.world, plan(check("cart", owner="web"), check("jobs", owner="web"), check("new"))
    first, *others = portions(old.plan, later)
    story.world = under(old, later)
    add(story, take_over(story.world, first, old.plan, moment(60)))
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    assert list(old.judges) == ["home", "cart", "jobs"], "who walks through it still finds all of them"
    assert story.world.judges["cart"].check.owner is None
    story.kill("cart", 61)
    for portion in others:
        story.world = under(story.world, later)
        add(story, take_over(story.world, portion, old.plan, moment(70)))
    assert list(arranging(story.world, 2)) == [None, None]
    assert list(story.world.judges) == ["cart", "jobs", "new"]
    assert list(story.world.services) == ["cart", "jobs", "new"]
    assert story.world.judges["cart"].check.owner == "web"
    story.heal("cart", 80)
    told = [kind for kind, _ in story.told("incident") if kind != "incident.updated"]
    assert told == ["incident.opened", "incident.resolved"] * 2
    sound(story)


def add(story: Story, change: Any) -> None:
    if change is not None:
        story.changes.append(change)


def test_an_incident_is_carried_out_of_its_portion_to_a_check_that_moved_away_before() -> None:
    """What was lost from sight is not known to be well, wherever it is watched now."""
    shop = Service("shop", "Shop", ("home", "cart"), OutageRule(1, ("home", "cart")))
    apart = [check("home", service="shop"), check("cart", service="shop"), check("jobs")]
    story = begun(Story(world(*apart, services={"shop": shop}, routes=ROUTES)), ["home", "cart", "jobs"])
    story.kill("home", 30)
    story.kill("cart", 40)
    for at in (50, 70, 90):
        story.see(at, "home", Reason.NO_ROUTE)
    alone = replace(shop, checks=("cart",), outage=OutageRule(1, ("cart",)))
    reloaded(story, check("cart", service="shop"), check("home"), check("jobs"), at=100, services={"shop": alone})
    home, jobs = (story.world.plan.checks[name] for name in ("home", "jobs"))
    gone = plan(home, jobs)
    kept = replace(gone, services={name: story.world.plan.services[name] for name in ("home", "jobs")})
    (portion,) = portions(story.world.plan, kept)
    assert list(portion.before.services) == ["shop"]
    old, story.world = story.world, under(story.world, kept)
    add(story, take_over(story.world, portion, old.plan, moment(110)))
    assert story.world.services["home"].incident is not None
    story.heal("home", 120)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    sound(story)


NAMES = ("a", "b", "c", "d")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["kill", "heal", "blind", "plan"]),
        st.sampled_from(NAMES),
        st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["one", "two", None])), min_size=1, max_size=4),
    ),
    max_size=14,
)


@settings(max_examples=25)
@given(STEPS)
def test_whatever_is_reloaded_nothing_is_told_twice_and_nothing_is_left_open(
    steps: list[tuple[str, str, Any]],
) -> None:
    """Each check is looked at between any two portions."""
    story, at = begun(Story(world(*map(check, NAMES), routes=ROUTES)), NAMES), 30.0
    for kind, name, layout in steps:
        at += 120
        if kind == "plan":
            at = _taken_over(story, *_laid_out(dict(layout)), at)
        elif name in story.world.judges:
            {"kill": story.kill, "heal": story.heal, "blind": _blinded(story)}[kind](name, at)
    sound(story)
    for name in list(story.world.judges):
        at += 120
        story.heal(name, at)
    assert all(status.incident is None for status in story.world.services.values())
    sound(story)


def _taken_over(story: Story, checks: list[Check], services: dict[str, Service], at: float) -> float:
    before, later = story.world.plan, plan(*checks, **services)
    parts = portions(before, later)
    story.world = under(story.world, later)
    for portion in parts:
        add(story, take_over(story.world, portion, before, moment(at)))
        for name in list(story.world.judges):
            at += 1
            story.see(at, name, Reason.REFUSED if story.world.judges[name].state.bad else None)
        story.world = under(story.world, later)
    assert list(arranging(story.world, 99)) == []
    return at


def _blinded(story: Story) -> Any:
    def blind(name: str, at: float) -> None:
        for second in (0, 20, 40):
            story.see(at + second, name, Reason.NO_ROUTE)

    return blind


def _laid_out(layout: dict[str, str | None]) -> tuple[list[Check], dict[str, Service]]:
    checks = [check(name, service=service or name) for name, service in layout.items()]
    services = {}
    for service in {item.service for item in checks if item.service != item.id}:
        names = tuple(item.id for item in checks if item.service == service)
        services[service] = Service(service, service.title(), names, OutageRule(1, names[:1]))
    return checks, services
