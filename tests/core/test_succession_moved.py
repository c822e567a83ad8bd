"""Checks that belong to another service under a new plan: an incident goes where its checks are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from monitor.core.model import Check, OutageRule, Service
from probes.contract import Reason
from tests.core.builders import check, world
from tests.core.stories import SHOP, Story, begun
from tests.core.succeeded import ROUTES, reloaded, shop_story, sound


def moved(*, shop_keeps: Iterable[str], other: Iterable[str]) -> tuple[list[Check], Mapping[str, Service]]:
    """The checks of the shop, some of them in another service."""
    here, there = tuple(shop_keeps), tuple(other)
    services = {
        "shop": replace(SHOP, checks=here, outage=OutageRule(1, here)),
        "api": Service("api", "API", there, OutageRule(1, there)),
    }
    checks = [check(name, service="shop") for name in here] + [check(name, service="api") for name in there]
    return checks, services


def test_an_incident_goes_with_the_check_that_is_all_of_it() -> None:
    story = shop_story()
    story.kill("home", 30)
    checks, services = moved(shop_keeps=["checkout", "search"], other=["home"])
    reloaded(story, *checks, at=60, services=services)
    assert story.told("incident") == [("incident.opened", "outage")], "nobody is told of it a second time"
    assert story.world.services["shop"].state == "operational"
    assert story.world.services["api"].incident is not None
    story.heal("home", 70)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    assert len({event["incident"]["id"] for event in story.events if "incident" in event}) == 1
    sound(story)


def test_an_incident_stays_where_something_else_is_bad() -> None:
    story = shop_story()
    story.kill("home", 30)
    story.kill("search", 40)
    checks, services = moved(shop_keeps=["checkout", "search"], other=["home"])
    reloaded(story, *checks, at=60, services=services)
    told = [event for event in story.events if event["type"].startswith("incident.")]
    shrunk = next(event for event in told if "another service" in event["sentence"])
    assert shrunk["sentence"].endswith("home belongs to another service now.")
    assert story.world.services["api"].incident is not None
    assert story.world.services["shop"].incident is not None
    story.heal("home", 70)
    story.heal("search", 90)
    sound(story)


def test_a_check_moved_to_a_service_with_an_incident_joins_that() -> None:
    checks, services = moved(shop_keeps=["home", "checkout"], other=["search"])
    story = begun(Story(world(*checks, services=services, routes=ROUTES)))
    story.kill("home", 30)
    story.kill("search", 40)
    checks, services = moved(shop_keeps=["checkout"], other=["search", "home"])
    reloaded(story, *checks, at=60, services=services)
    assert story.told("incident")[-2:] == [("incident.resolved", "resolved"), ("incident.updated", "outage")]
    resolved = next(event for event in story.events if event["type"] == "incident.resolved")
    assert resolved["why"] == "belongs to another service now"
    assert story.world.services["shop"].incident is None
    sound(story)


def test_what_is_left_of_a_removed_service_keeps_its_incident() -> None:
    story = begun(Story(world(check("home"), check("front"), routes=ROUTES)), ["home", "front"])
    story.kill("home", 30)
    service = Service("web", "Web", ("home", "front"), OutageRule(1, ("home", "front")))
    checks = [check(name, service="web") for name in ("home", "front")]
    reloaded(story, *checks, at=60, services={"web": service})
    assert story.told("incident") == [("incident.opened", "outage")]
    assert story.world.services["web"].state == "outage"
    story.heal("home", 70)
    sound(story)


def test_what_was_lost_from_sight_takes_its_incident_along() -> None:
    story = shop_story()
    story.kill("home", 30)
    for at in (50, 70, 90):
        story.see(at, "home", Reason.NO_ROUTE)
    checks, services = moved(shop_keeps=["checkout", "search"], other=["home"])
    reloaded(story, *checks, at=100, services=services)
    assert story.told("incident") == [("incident.opened", "outage")]
    assert story.world.services["api"].incident is not None
    reloaded(story, check("home"), at=110)
    assert story.world.services["home"].incident is not None
    story.heal("home", 120)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    sound(story)
