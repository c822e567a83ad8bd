"""A new plan while the world goes on: what is kept, what is told, and that nothing is told twice."""

from __future__ import annotations

from dataclasses import replace

from monitor.core.model import OutageRule, Service
from monitor.core.routing import Route, Term
from monitor.core.succession import succeed
from monitor.core.world import World
from probes.contract import Reason
from tests.core.builders import check, moment, world
from tests.core.stories import SHOP, Story, again_with, begun, journal_of
from tests.core.succeeded import ROUTES, reloaded, shop, shop_story, single, sound


def test_the_same_plan_changes_nothing_and_keeps_every_judge() -> None:
    story = shop_story()
    story.kill("search", 30)
    before, told = dict(story.world.judges), len(story.changes)
    checks, services = shop()
    reloaded(story, *checks, at=60, services=services)
    assert {name: id(judge) for name, judge in story.world.judges.items()} == {n: id(j) for n, j in before.items()}
    assert len(story.changes) == told
    assert story.world.services["shop"].incident is not None
    story.heal("search", 70)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    sound(story)


def test_an_added_check_does_not_make_its_service_unknown() -> None:
    story = shop_story()
    told = len(story.changes)
    checks, services = shop("cart")
    reloaded(story, *checks, at=60, services=services)
    assert story.world.services["shop"].state == "operational"
    story.see(61, "cart")
    assert story.events[told:] == []
    sound(story)


def test_a_removed_check_ends_the_incident_that_it_made() -> None:
    story = shop_story()
    story.kill("home", 30)
    checks, services = shop(without=["home"])
    reloaded(story, *checks, at=60, services=services)
    kinds = [(event["type"], event["state"]["new"]) for event in story.events[-3:]]
    assert kinds == [
        ("check.changed", "unknown"),
        ("service.changed", "operational"),
        ("incident.resolved", "resolved"),
    ]
    assert story.events[-3]["sentence"] == "home cannot be judged since 12:01:00 UTC: no longer watched."
    assert story.events[-1]["sentence"] == (
        "Web shop: home is no longer watched, which ends the incident after 30 s."
    )
    sound(story)


def test_a_removed_check_that_was_well_is_not_told() -> None:
    story = shop_story()
    told = len(story.events)
    checks, services = shop(without=["home"])
    reloaded(story, *checks, at=60, services=services)
    assert story.events[told:] == []
    assert "home" not in story.world.judges


def test_an_incident_shrinks_by_a_removed_check_and_says_so() -> None:
    story = shop_story()
    story.kill("home", 30)
    story.kill("search", 40)
    checks, services = shop(without=["home"])
    reloaded(story, *checks, at=60, services=services)
    last = story.events[-1]
    assert (last["type"], last["state"]["new"]) == ("incident.updated", "degradation")
    assert last["incident"]["root"] == "search"
    assert "still degraded: search: nothing listens" in last["sentence"]
    assert last["sentence"].endswith("home is no longer watched.")
    sound(story)


def test_an_incident_of_the_same_impact_tells_the_loss_of_its_root() -> None:
    story = shop_story()
    story.kill("home", 30)
    story.kill("checkout", 40)
    checks, services = shop(without=["home"])
    reloaded(story, *checks, at=60, services=services)
    last = story.events[-1]
    assert (last["type"], last["state"]["new"]) == ("incident.updated", "outage")
    assert last["incident"]["root"] == "checkout"
    story.heal("checkout", 70)
    assert story.events[-1]["sentence"].endswith("It was checkout: nothing listens on the port.")
    sound(story)


def test_the_loss_of_another_than_the_root_keeps_the_root() -> None:
    story = shop_story()
    story.kill("home", 30)
    story.kill("checkout", 40)
    checks, services = shop(without=["checkout"])
    reloaded(story, *checks, at=60, services=services)
    assert story.events[-1]["incident"]["root"] == "home"
    assert story.events[-1]["sentence"].endswith("checkout is no longer watched.")
    sound(story)


def test_what_was_lost_from_sight_keeps_the_incident_open() -> None:
    story = shop_story()
    story.kill("home", 30)
    story.kill("checkout", 40)
    for at in (50, 70, 90):
        story.see(at, "checkout", Reason.NO_ROUTE)
    checks, services = shop(without=["home"])
    reloaded(story, *checks, at=100, services=services)
    incident = story.world.services["shop"].incident
    assert incident is not None
    story.heal("checkout", 110)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    sound(story)


def test_a_service_whose_checks_are_all_new_has_no_incident_left() -> None:
    story = shop_story()
    story.kill("home", 30)
    service = replace(SHOP, checks=("front",), outage=OutageRule(1, ("front",)))
    reloaded(story, check("front", service="shop"), at=60, services={"shop": service})
    assert story.world.services["shop"].state == "unknown"
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    sound(story)
    story.kill("front", 70)
    opened = [event["incident"]["id"] for event in story.events if event["type"] == "incident.opened"]
    assert len(set(opened)) == 2
    sound(story)


def test_a_blind_service_whose_checks_are_all_new_has_no_incident_left() -> None:
    story = single()
    story.kill("home", 30)
    for at in (50, 70, 90):
        story.see(at, "home", Reason.NO_ROUTE)
    assert story.world.services["home"].incident is not None
    service = Service("home", "Home", ("front",), OutageRule(1, ("front",)))
    reloaded(story, check("front", service="home"), at=100, services={"home": service})
    assert story.events[-1]["sentence"].startswith("Home: home is no longer watched, which ends")
    sound(story)


def test_a_well_service_whose_checks_are_all_new_stays_what_it_was() -> None:
    story = shop_story()
    service = replace(SHOP, checks=("front",), outage=OutageRule(1, ("front",)))
    reloaded(story, check("front", service="shop"), at=60, services={"shop": service})
    assert story.world.services["shop"].state == "operational"
    sound(story)


def test_a_removed_service_ends_what_it_told() -> None:
    story = single()
    story.kill("home", 30)
    reloaded(story, check("other"), at=60)
    kinds = [(event["type"], event["state"]["new"]) for event in story.events[-3:]]
    assert kinds == [
        ("check.changed", "unknown"),
        ("service.changed", "unknown"),
        ("incident.resolved", "resolved"),
    ]
    sound(story)


def test_what_comes_back_goes_on_counting_and_is_told_anew() -> None:
    story = single()
    story.kill("home", 30)
    reloaded(story, check("other"), at=60)
    reloaded(story, check("home"), check("other"), at=90)
    assert story.world.judges["home"].state == "unknown"
    assert story.world.judges["home"].seq == 3
    story.kill("home", 100)
    assert story.told("incident")[-1] == ("incident.opened", "outage")
    opened = [event["incident"]["id"] for event in story.events if event["type"] == "incident.opened"]
    assert len(set(opened)) == 2
    sound(story)


def test_what_comes_back_as_a_restart_would_bring_it() -> None:
    story = again_with(single(), check("other"), at=60)
    reloaded(story, check("home"), check("other"), at=90)
    assert (story.world.judges["home"].state, story.world.judges["home"].seq) == ("up", 1)
    assert story.world.unseen == {"home"}
    story.kill("home", 100)
    sound(story)


def test_what_has_not_been_seen_since_the_start_is_not_seen_by_a_reload() -> None:
    story = single()
    story.kill("home", 30)
    again = Story(world(check("home"), routes=ROUTES, journal=journal_of(story), at=60))
    reloaded(again, check("front", was=("home",)), at=70)
    assert again.world.unseen == {"front"}


def test_another_impact_is_told_as_an_update() -> None:
    story = shop_story()
    story.kill("home", 30)
    checks, _ = shop()
    service = replace(SHOP, outage=OutageRule(1, ("checkout",)))
    reloaded(story, *checks, at=60, services={"shop": service})
    assert story.told("incident")[-1] == ("incident.updated", "degradation")
    sound(story)


def test_the_end_goes_to_whoever_was_told_and_to_nobody_else() -> None:
    everything = Term("event", "*")
    checks, services = shop()
    routes = (Route(("chat", "pager"), everything),)
    story = begun(Story(world(*checks, services=services, routes=routes)))
    story.kill("home", 30)
    checks, services = shop(without=["home"])
    reloaded(
        story, *checks, at=60, services=services, routes=(Route(("hook",)), Route(("pager",), Term("event", "x")))
    )
    sinks = {event.type.value: event.sinks for event in story.changes[-1].events}
    assert sinks["incident.resolved"] == ("chat", "pager"), "hook was never told of its beginning"
    assert sinks["check.changed"] == ("pager",), "by the routes that told the beginning"
    assert sinks["service.changed"] == ()


def test_the_end_goes_to_a_sink_that_was_removed_and_nothing_else_does() -> None:
    checks, services = shop()
    routes = (Route(("chat",), Term("event", "*")),)
    story = begun(Story(world(*checks, services=services, routes=routes)))
    story.kill("home", 30)
    plan = world(*checks, services=services).plan
    story.world, _ = succeed(story.world, plan, moment(60))
    story.kill("checkout", 70)
    assert all("chat" not in event.sinks for event in story.changes[-1].events)
    checks, services = shop(without=["home", "checkout"])
    plan = world(*checks, services=services).plan
    _, change = succeed(story.world, plan, moment(90))
    assert change is not None
    sinks = {event.type.value: event.sinks for event in change.events}
    assert "chat" in sinks["incident.resolved"]
    assert "chat" not in (*sinks["check.changed"], *sinks["service.changed"])


def test_new_routes_hear_how_an_open_incident_goes_on() -> None:
    story = shop_story()
    story.kill("search", 30)
    checks, services = shop()
    reloaded(story, *checks, at=60, services=services, routes=(Route(("chat",)),))
    story.kill("home", 70)
    assert story.changes[-1].events[-1].sinks == ("chat",)
    sound(story)


def test_a_world_that_never_began_can_be_succeeded() -> None:
    fresh = World(world(check("home")).plan, world(check("home")).journal, moment(0))
    after, change = succeed(fresh, world(check("other")).plan, moment(1))
    assert change is None
    assert list(after.judges) == ["other"]
