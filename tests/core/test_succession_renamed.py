"""Checks and services that have another name under a new plan, and names that belong to others now."""

from __future__ import annotations

from dataclasses import replace

from monitor.core.model import OutageRule
from tests.core.builders import check, world
from tests.core.stories import SHOP, Story, begun, journal_of
from tests.core.succeeded import ROUTES, reloaded, shop_story, single, sound


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
