"""What ties the past under a former name to what goes on under a new one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core.model import Change, OutageRule, Service, Transition
from monitor.core.naming import known_as
from monitor.core.ribbon import spans
from tests.core.builders import START, check, moment, world
from tests.core.stories import SHOP, Story, again_with, begun, journal_of
from tests.core.succeeded import reloaded, shop_story, single, sound


def ties(story: Story) -> list[tuple[str, str, str, int, str]]:
    """(kind, subject, former name, seq, state) of each."""
    return [(t.kind, t.subject, t.was, t.seq, t.new) for t in transitions(story) if t.was]


def transitions(story: Story) -> list[Transition]:
    return [item for change in story.changes for item in change.transitions]


def numbered_once(story: Story) -> None:
    keys = [(item.kind, item.subject, item.seq) for item in transitions(story)]
    assert len(set(keys)) == len(keys)


def test_a_reload_ties_a_check_and_its_own_service_to_their_past() -> None:
    story = single()
    story.kill("home", 30)
    reloaded(story, check("front", was=("home",)), at=60)
    assert ties(story) == [("check", "front", "home", 3, "down"), ("service", "front", "home", 3, "outage")]
    tie = transitions(story)[-2]
    assert (tie.old, tie.at, tie.since) == ("down", moment(60).at, moment(30).at)
    assert tie.verdict.why == "nothing listens on the port"
    reloaded(story, check("front", was=("home",)), at=70)
    assert len(ties(story)) == 2, "once"
    reloaded(story, check("home", was=("front",)), at=80)
    assert ties(story)[2:] == [("check", "home", "front", 4, "down"), ("service", "home", "front", 4, "outage")]
    story.heal("home", 90)
    numbered_once(story)
    sound(story)


def test_a_check_of_a_written_service_is_tied_alone() -> None:
    story = shop_story()
    checks = [check(name, service="shop") for name in ("checkout", "search")]
    service = replace(SHOP, checks=("front", "checkout", "search"), outage=OutageRule(1, ("front",)))
    reloaded(story, check("front", service="shop", was=("home",)), *checks, at=60, services={"shop": service})
    assert ties(story) == [("check", "front", "home", 2, "up")]


def test_what_has_no_past_needs_no_tie() -> None:
    story = Story(world(check("home")))
    reloaded(story, check("front", was=("home",)), at=60)
    assert ties(story) == []
    assert journal_of(story).checks.keys() == {"front"}, "it may remember what has arrived"


def test_a_name_of_an_earlier_check_and_service_is_numbered_on() -> None:
    story = begun(Story(world(check("home"), check("spare"))), ["home"])
    reloaded(story, check("spare"), at=40)
    reloaded(story, check("home", was=("spare",)), at=50)
    assert ties(story) == [("check", "home", "spare", 2, "unknown")], "the past of the earlier one is not its own"
    story.see(60, "home")
    numbered_once(story)


def test_a_start_ties_as_a_reload_does_and_tells_nobody() -> None:
    story = single()
    story.kill("home", 30)
    told = len(story.events)
    again = again_with(story, check("front", was=("home",)), at=60)
    assert ties(again) == [("check", "front", "home", 3, "down"), ("service", "front", "home", 3, "outage")]
    again.kill("front", 70)
    assert len(again.events) == told, "nothing has happened to its users"
    third = again_with(again, check("front", was=("home",)), at=99)
    assert len(ties(third)) == 2, "the journal knows it by its new name"
    third.heal("front", 110)
    assert third.told("incident")[-1] == ("incident.resolved", "resolved")
    numbered_once(third)


@pytest.mark.parametrize(
    "service",
    [None, Service("front", "Front", ("front",), SHOP.outage), Service("shop", "Shop", ("front",), SHOP.outage)],
)
def test_a_start_ties_only_a_service_that_nobody_has_written(service: Service | None) -> None:
    story = single()
    if service is None:
        # Another service of that name was there before: it goes on as that one.
        story.changes.append(Change(services=(replace(journal_of(story).services["home"], service="front"),)))
        again = again_with(story, check("front", was=("home",)), at=60)
    else:
        named = replace(service, outage=replace(service.outage, checks=("front",)))
        front = check("front", service=service.id, was=("home",))
        again = again_with(story, front, at=60, services={service.id: named})
    assert ties(again) == [("check", "front", "home", 2, "up")]


def test_a_ribbon_does_not_show_that_a_name_was_changed() -> None:
    story = single()
    story.kill("home", 30)
    reloaded(story, check("front", was=("home",)), at=60)
    own = [item for item in transitions(story) if item.kind == "check"]
    found = spans(own, START, moment(90).at)
    assert [(span.state, span.end) for span in found] == [("up", moment(32).at), ("down", moment(90).at)]
    assert [span.state for span in spans(own[2:], START, moment(90).at)] == ["down"], "where only the tie is left"


@pytest.mark.parametrize(
    ("known", "seen", "expected"),
    [
        ("", "", None),
        ("front", "", "front"),
        ("front older", "", "front"),
        ("older", "", "older"),
        ("home front", "", None),
        ("home front", "front", "front"),
        ("home front", "home front", None),
        ("front", "home", None),
    ],
)
def test_looks_are_known_by_a_former_name(known: str, seen: str, expected: str | None) -> None:
    assert known_as("home", ("front", "older"), known.split(), seen.split()) == expected
