"""Roots that are not seen, that come and go, that fail two at a time, that have thousands hanging on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor.core.agenda import AT_ONCE
from monitor.core.following import GRACE
from monitor.core.routing import Not, Route, Term
from probes.contract import Reason
from tests.core.builders import check, moment, world
from tests.core.calmly import Calmly, flap
from tests.core.stories import begun
from tests.core.succeeded import ROUTES
from tests.core.tiers import CHAIN, Tiers, tiers

TWO_ROOTS: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": ("a", "b")}


def calmly(depends: dict[str, tuple[str, ...]], **fields: Any) -> Calmly:
    here = Calmly(world(*(check(name, depends_on=on, **fields) for name, on in depends.items()), routes=ROUTES))
    begun(here, depends)
    return here


def incidents(story: Calmly) -> list[tuple[str, str]]:
    return [
        (event["type"].removeprefix("incident."), event["incident"]["root"])
        for event in story.events
        if event["type"].startswith("incident.")
    ]


def changes(story: Calmly, name: str) -> list[str]:
    return [
        event["state"]["new"]
        for event in story.events
        if event["type"] == "check.changed" and event["check"]["id"] == name
    ]


def test_a_root_that_cannot_be_judged_explains_nothing_and_delays_nothing() -> None:
    here = calmly(CHAIN)
    for at in (20, 40, 60):
        here.see(at, "database", Reason.NO_ROUTE)
    assert here.world.judges["database"].state == "unknown"
    here.see(100, "app", Reason.REFUSED)
    here.see(100.5, "database", Reason.NO_ROUTE)
    here.kill("app", 101)
    assert incidents(here) == [("opened", "app")]
    assert changes(here, "app") == ["down"]
    here.kill("database", 130)
    assert incidents(here)[-1] == ("updated", "database"), "it is corrected as soon as it can be"
    for name in CHAIN:
        here.heal(name, 200)
    assert incidents(here)[-1] == ("resolved", "database")
    here.done(9000)


def test_a_root_that_is_lost_from_sight_resolves_nothing_and_is_blamed_no_more() -> None:
    here = calmly(CHAIN)
    here.kill("database", 20)
    here.kill("app", 25)
    for at in (60, 80, 100):
        here.see(at, "database", Reason.NO_ROUTE)
    assert here.world.judges["database"].state == "unknown"
    assert [kind for kind, _ in incidents(here)].count("resolved") == 0
    here.wait(101 + GRACE)
    assert changes(here, "app") == ["down"], "nobody knows any more whether the database is why"
    here.heal("database", 500)
    here.heal("app", 500)
    here.done(9000)
    assert [kind for kind, _ in incidents(here)].count("resolved") == 1


def test_a_root_that_flaps_explains_also_while_it_works() -> None:
    here = flap(calmly(CHAIN), 100, 400, 700, name="database")
    assert here.world.calm.is_flapping("check:database")
    assert here.world.judges["database"].state == "up"
    here.kill("app", 750)
    assert changes(here, "app") == []
    assert here.world.judges["app"].suppressed_by == "database"
    incident = here.world.services["app"].incident
    assert incident is not None
    assert incident is here.world.services["database"].incident, "one cause, one incident"
    here.heal("app", 800)
    here.done(9000)
    assert incidents(here)[-1] == ("resolved", "database")


def test_a_check_that_flaps_below_a_root_is_not_told_by_itself() -> None:
    here = calmly(CHAIN)
    here.kill("database", 20)
    flap(here, 100, 400, 700, 1000, name="app")
    assert changes(here, "app") == []
    here.wait(3000)
    assert changes(here, "app") == [], "it has held still, and nobody was told that it did not"
    here.heal("database", 3100)
    here.done(9000)
    assert changes(here, "app") == []
    assert incidents(here)[-1] == ("resolved", "database")


def test_a_check_that_flaps_on_when_the_root_is_well_is_told_once_and_its_end() -> None:
    here = calmly(CHAIN)
    here.kill("database", 20)
    flap(here, 100, 400, 700, 1000, name="app")
    here.heal("database", 1100)
    here.wait(1200 + GRACE)
    [told] = [event for event in here.events if event["type"] == "check.changed" and event["check"]["id"] == "app"]
    assert told["state"] == {"old": "up", "new": "down"}
    assert told["sentence"].endswith(": nothing listens on the port. app is flapping.")
    here.done(9000)
    assert changes(here, "app") == ["down", "up"]
    assert here.world.judges["app"].untold is None


def test_two_roots_at_once_are_one_incident_when_something_hangs_on_both() -> None:
    """Of one cause or two, an incident that is kept too long is less harm than a second page."""
    here = calmly(TWO_ROOTS)
    here.kill("a", 30)
    here.kill("b", 31)
    assert incidents(here) == [("opened", "a"), ("opened", "b")]
    here.kill("c", 40)
    assert incidents(here)[2:] == [("updated", "a"), ("resolved", "b")]
    assert here.events[-1]["incident"]["merged_into"] == here.events[-2]["incident"]["id"]
    here.heal("a", 60)
    assert here.world.judges["c"].suppressed_by == "b", "the other one explains it still"
    here.wait(100 + GRACE)
    assert incidents(here)[-1] == ("updated", "b")
    assert "The cause is b, not a as told before." in here.sentences[-1]
    assert changes(here, "c") == []
    here.heal("b", 500)
    here.heal("c", 510)
    assert incidents(here)[-1] == ("resolved", "b")
    assert changes(here, "c") == []
    here.done(9000)


def test_two_roots_of_which_each_in_turn_is_well() -> None:
    """What hangs on them stays suppressed as long as one of them explains it, and is told once when none does."""
    here = calmly(TWO_ROOTS, flapping=None)
    for name in ("a", "b", "c"):
        here.kill(name, 30)
    here.heal("a", 60)
    here.kill("a", 100)
    here.heal("a", 120)
    assert here.world.judges["c"].suppressed_by == "b"
    here.kill("a", 140)
    here.heal("b", 160)
    assert here.world.judges["c"].suppressed_by == "a"
    here.wait(180 + GRACE)
    assert changes(here, "c") == []
    here.heal("a", 500)
    here.wait(600 + GRACE)
    assert changes(here, "c") == ["down"]
    here.heal("c", 1000)
    assert changes(here, "c") == ["down", "degraded", "up"]
    ends = [kind for kind, _ in incidents(here)].count("resolved")
    assert ends == 2, "of the one that was merged, and of the whole"
    here.done(9000)


def test_the_root_is_well_and_what_hung_on_it_is_told_now_and_once() -> None:
    """Many of them: a part at a time, so that looks go on in between."""
    names = [f"c{number:02}" for number in range(AT_ONCE + 8)]
    here = calmly({"host": (), **dict.fromkeys(names, ("host",))})
    here.kill("host", 30)
    for name in names:
        here.kill(name, 31)
    here.heal("host", 60)
    told = len(here.events)
    here.wait(60 + GRACE)
    assert len(here.events) == told
    due = here.world.next_due
    assert due is not None
    change = here.world.elapse(moment(due - moment(0).tick))
    assert change is not None
    here.changes.append(change)
    assert here.world.next_due == due, "there is more of it"
    here.wait(100 + GRACE)
    assert [changes(here, name) for name in names] == [["down"]] * len(names)
    news = [event for event in here.events[told:] if event["type"].startswith("incident.")]
    assert [event["type"] for event in news] == ["incident.updated"]
    assert news[0]["incident"]["root"] == "c00"
    for name in names:
        here.heal(name, 600)
    assert incidents(here)[-1] == ("resolved", "c00")
    here.done(9000)


def test_many_that_wait_for_word_of_one_are_heard_a_part_at_a_time() -> None:
    names = [f"c{number:02}" for number in range(AT_ONCE + 8)]
    here = calmly({"host": (), **dict.fromkeys(names, ("host",))})
    for name in names:
        here.kill(name, 30)
    assert all(here.world.judges[name].waits for name in names)
    here.kill("host", 33)
    assert sum(here.world.judges[name].waits for name in names) == 8, "the others as soon as looks have had a turn"
    here.wait(36)
    assert {here.world.judges[name].suppressed_by for name in names} == {"host"}
    assert [changes(here, name) for name in names] == [[]] * len(names)
    assert {root for _, root in incidents(here)} == {"host"}
    here.done(40)


BY_TEAM = (
    *(Route((f"{name} team",), Term("service", name)) for name in ("database", "app", "front", "jobs", "mail")),
    Route(("data",), Term("label.tier", "data")),
)


def story_by_team() -> Tiers:
    depends = {"database": (), **dict.fromkeys(("app", "front", "jobs", "mail"), ("database",))}
    story = tiers(depends, routes=BY_TEAM)
    story.kill("database", 30)
    return story


def sent(story: Tiers) -> list[tuple[str, set[str]]]:
    return [
        (event.type.value.removeprefix("incident."), set(event.sinks))
        for change in story.changes
        for event in change.events
        if event.type.value.startswith("incident.")
    ]


def test_each_team_is_told_when_its_service_joins() -> None:
    story = story_by_team()
    assert sent(story) == [("opened", {"database team"})]
    told = {"database team"}
    for at, name in enumerate(("app", "front", "jobs", "mail")):
        story.kill(name, 40 + 10 * at)
        told.add(f"{name} team")
        assert sent(story)[-1] == ("updated", told), "the third one is not left out because it is no doubling"
    assert len(sent(story)) == 5
    story.see(90, "mail", Reason.REFUSED)
    assert len(sent(story)) == 5
    for name in ("mail", "jobs", "front", "app", "database"):
        story.heal(name, 100)
    assert sent(story)[-1] == ("resolved", told)


def test_a_check_that_joins_its_own_service_is_told_to_whoever_asked_for_its_label() -> None:
    checks = [
        check(
            name,
            service="shop",
            labels={"tier": "data"} if name == "c" else {},
            depends_on=("a",) if name != "a" else (),
        )
        for name in "abc"
    ]
    routes = (Route(("shop team",), Term("service", "shop")), Route(("data",), Term("label.tier", "data")))
    service = replace(world(checks[0]).services["shop"].service, checks=("a", "b", "c"), implicit=False)
    story = Tiers(world(*checks, services={"shop": service}, routes=routes))
    begun(story, "abc")
    for at, name in enumerate("abc"):
        story.kill(name, 30 + 10 * at)
    assert sent(story)[0] == ("opened", {"shop team"})
    assert sent(story)[-1] == ("updated", {"shop team", "data"})


def test_a_route_that_leaves_out_what_is_in_the_incident_anyway_makes_no_news() -> None:
    routes = (Route(("all",)), Route(("others",), Not(Term("service", "database"))))
    depends = {"database": (), **dict.fromkeys(("app", "front", "jobs", "mail", "search", "shop"), ("database",))}
    with_it, without = tiers(depends, routes=routes), tiers(depends, routes=routes[:1])
    for story in (with_it, without):
        for at, name in enumerate(depends):
            story.kill(name, 30 + 10 * at)
    assert sent(with_it) == sent(without)
