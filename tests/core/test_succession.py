"""A new plan while the world goes on: what is kept, what is told, and that nothing is told twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from monitor.core.model import Check, OutageRule, Service
from monitor.core.routing import Route, Term
from monitor.core.succession import succeed
from monitor.core.world import World
from probes.contract import Reason
from tests.core.builders import check, moment, world
from tests.core.succeeded import ROUTES, reloaded, shop, shop_story, single, sound
from tests.core.test_world import SHOP, Story, again_with, begun, journal_of


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


def test_a_renamed_check_takes_its_service_and_its_incident_along() -> None:
    story = single()
    story.kill("home", 30)
    told = len(story.events)
    reloaded(story, check("front", was=("home",)), at=60)
    assert story.events[told:] == [], "nothing has happened to its users"
    assert story.world.services["front"].state == "outage"
    incident = story.world.services["front"].incident
    assert incident is not None
    assert (incident.root, incident.checks, incident.services) == ("front", ("front",), ("front",))
    # A crash right now forgets none of it.
    kept = journal_of(story)
    assert kept.checks["front"].state == "down"
    assert kept.services["front"].state == "outage"
    assert [item.root for item in kept.incidents] == ["front"]
    story.heal("front", 70)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    sound(story)


def test_a_renamed_check_of_a_written_service() -> None:
    story = shop_story()
    story.kill("home", 30)
    told = len(story.events)
    service = replace(SHOP, checks=("front", "checkout", "search"), outage=OutageRule(1, ("front", "checkout")))
    checks = [check("front", service="shop", was=("home",))]
    checks += [check(name, service="shop") for name in ("checkout", "search")]
    reloaded(story, *checks, at=60, services={"shop": service})
    assert story.events[told:] == []
    assert story.world.services["shop"].incident is not None
    assert story.world.services["shop"].incident.root == "front"
    # Lingering in the file, `was` means nothing more.
    reloaded(story, *checks, at=70, services={"shop": service})
    assert story.events[told:] == []
    sound(story)


def test_a_renamed_check_that_was_never_judged() -> None:
    story = Story(world(check("home"), routes=ROUTES))
    reloaded(story, check("front", was=("home",)), at=60)
    story.kill("front", 70)
    assert story.told("incident") == [("incident.opened", "outage")]
    sound(story)


def test_a_check_renamed_back_never_uses_an_id_twice() -> None:
    story = single()
    story.kill("home", 30)
    reloaded(story, check("front", was=("home",)), at=60)
    story.heal("front", 70)
    reloaded(story, check("home", was=("front",)), at=100)
    assert story.world.judges["home"].state == "up"
    story.kill("home", 110)
    story.heal("home", 130)
    sound(story)


def test_a_name_that_was_another_check_before_goes_on_counting() -> None:
    story = begun(Story(world(check("home"), check("spare"), routes=ROUTES)), ["home", "spare"])
    for at in (30, 60, 90):
        story.kill("home", at)
        story.heal("home", at + 5)
    reloaded(story, check("spare"), at=130)
    reloaded(story, check("home", was=("spare",)), at=140)
    assert story.world.judges["home"].seq > 5
    story.kill("home", 150)
    sound(story)


def test_a_check_that_is_there_under_both_names_is_removed_under_the_former() -> None:
    story = begun(Story(world(check("home"), check("front"), routes=ROUTES)), ["home", "front"])
    story.kill("home", 30)
    reloaded(story, check("front", was=("home",)), at=60)
    assert story.world.judges["front"].state == "up"
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    sound(story)


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


def test_another_impact_is_told_as_an_update() -> None:
    story = shop_story()
    story.kill("home", 30)
    checks, _ = shop()
    service = replace(SHOP, outage=OutageRule(1, ("checkout",)))
    reloaded(story, *checks, at=60, services={"shop": service})
    assert story.told("incident")[-1] == ("incident.updated", "degradation")
    sound(story)


def test_the_end_goes_to_whoever_was_told_and_is_still_there() -> None:
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
    assert sinks["incident.resolved"] == ("pager",), "chat is gone; hook was never told of its beginning"
    assert sinks["check.changed"] == ("pager",), "by the routes that told the beginning"
    assert sinks["service.changed"] == ()


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
