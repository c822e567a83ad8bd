"""One cause, one incident, across services: joined, corrected, merged, left, ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from monitor.core.model import Check, Impact, OutageRule, Service
from monitor.core.routing import Route, Term
from probes.contract import Reason
from tests.core.builders import check, moment, world
from tests.core.stories import begun, journal_of
from tests.core.succeeded import ROUTES, reloaded, sound
from tests.core.tiers import CHAIN, Tiers, linked, restarted, tiers


def test_the_root_is_corrected_when_a_deeper_one_turns_out_to_fail() -> None:
    story = tiers()
    story.kill("app", 30)
    story.wait(45)
    story.kill("database", 50)
    assert story.incidents == [("opened", "app", "outage"), ("updated", "database", "outage")]
    assert story.events[-1]["sentence"].endswith("The cause is database, not app as told before.")
    assert story.events[-1]["incident"]["since"] == "2026-03-01T12:00:30.000Z"
    for name in ("database", "app"):
        story.heal(name, 60)
    assert story.incidents[-1] == ("resolved", "database", "resolved")
    assert story.events[-1]["sentence"] == (
        "App and Database are back to normal after 30 s. It was database: nothing listens on the port."
    )
    assert ("app", "up") in story.checks, "what was told is told of its end"
    sound(story)


TWO = {"database": (), "app": ("database",), "jobs": ("database",)}


def test_two_incidents_that_turn_out_to_be_one_are_merged_at_every_sink() -> None:
    routes = (
        Route(("one",), Term("service", "app")),
        Route(("two",), Term("service", "jobs")),
    )
    story = tiers(TWO, routes=routes)
    story.kill("app", 30)
    story.kill("jobs", 35)
    story.wait(50)
    first, second = (status.incident for status in story.world.services.values() if status.incident)
    assert story.told("incident") == [("incident.opened", "outage")] * 2
    story.kill("database", 60)
    events = [event for change in story.changes for event in change.events if event.stream.startswith("inc_")]
    update, end = events[-2:]
    assert (update.type, update.stream) == ("incident.updated", first.id)
    assert update.sinks == ("one", "two"), "whoever was told of the other hears how it goes on"
    assert update.body["incident"]["root"] == "database"
    assert update.body["incident"]["affected"] == ["app", "jobs", "database"]
    assert (end.type, end.stream, end.sinks) == ("incident.resolved", second.id, ("two",))
    assert end.body["incident"]["merged_into"] == first.id
    assert end.body["sentence"] == f"Jobs: this incident goes on as {first.id}, which has the same cause."
    for name in TWO:
        story.heal(name, 90)
    last = [event for change in story.changes for event in change.events][-1]
    assert (last.type, last.stream, set(last.sinks)) == ("incident.resolved", first.id, {"one", "two"})
    assert last.body["sentence"].startswith("Jobs and 2 more services are back to normal")
    sound(story)


def test_a_merged_incident_has_no_second_life_after_a_restart() -> None:
    story = tiers(TWO)
    story.kill("app", 30)
    story.kill("jobs", 35)
    story.wait(50)
    story.kill("database", 60)
    again = restarted(story, linked(TWO), at=70)
    assert len({id(status.case) for status in again.world.services.values()}) == 1
    for name in TWO:
        again.heal(name, 90)
    assert again.incidents[-1][0] == "resolved"
    sound(again)


def test_a_service_that_is_well_leaves_the_incident_and_the_others_go_on() -> None:
    story = tiers()
    for name in ("database", "app", "front"):
        story.kill(name, 30)
    story.heal("front", 60)
    assert story.incidents[-1][0] != "resolved"
    assert story.world.services["front"].incident is None
    story.heal("database", 80)
    story.heal("app", 80)
    resolved = story.events[-1]["incident"]
    assert resolved["resolved"] == "2026-03-01T12:01:20.000Z"
    assert resolved["services"] == ["database", "app", "front"]
    assert resolved["affected"] == []
    sound(story)


def test_less_than_an_outage_is_told_when_the_worst_has_left() -> None:
    soft = Service("app", "App", ("app",), OutageRule(1, ()))
    checks = [check("database"), check("app", depends_on=("database",))]
    story = Tiers(world(*checks, services={"app": soft}, routes=ROUTES))
    begun(story, ["database", "app"])
    for name in ("database", "app"):
        story.kill(name, 30)
    story.heal("database", 60)
    assert story.incidents[-1] == ("updated", "database", "degradation")
    update = next(event for event in reversed(story.events) if event["type"] == "incident.updated")
    assert update["sentence"].startswith("App and Database are no longer out, but still degraded")
    story.heal("app", 90)
    *_, ended = [incident for change in story.changes for incident in change.incidents]
    assert (ended.impact, ended.worst) == (Impact.DEGRADATION, Impact.OUTAGE), "what it was is kept"
    sound(story)


def test_what_an_incident_was_that_has_become_part_of_another_is_known_of_that_one() -> None:
    soft = {name: Service(name, name, (name, f"{name}-slow"), OutageRule(1, (name,))) for name in ("app", "jobs")}
    checks = [
        check("database"),
        check("app", depends_on=("database",)),
        check("app-slow", service="app", depends_on=("database",)),
        check("jobs", depends_on=("database",)),
        check("jobs-slow", service="jobs", depends_on=("database",)),
    ]
    story = Tiers(world(*checks, services=soft, routes=ROUTES))
    begun(story, [item.id for item in checks])
    story.kill("app-slow", 30)
    for name in ("jobs-slow", "jobs"):
        story.kill(name, 40)
    story.wait(60)
    story.heal("jobs", 60)
    seen = [status.incident for status in story.world.services.values() if status.incident]
    assert [(item.impact.value, item.worst.value) for item in seen] == [
        ("degradation", "degradation"), ("degradation", "outage")
    ]  # fmt: skip
    story.kill("database", 100)
    for item in checks:
        story.heal(item.id, 120)
    ended = {item.id: item for change in story.changes for item in change.incidents}
    assert [item.worst.value for item in ended.values()] == ["outage", "outage"]
    sound(story)


def test_a_chain_is_one_incident_although_its_middle_is_not_seen_to_fail() -> None:
    story = tiers()
    story.kill("database", 30)
    story.see(34, "app")
    story.kill("front", 40)
    assert {root for _, root, _ in story.incidents} == {"database"}
    assert story.world.judges["front"].suppressed_by == "database"
    sound(story)


def test_what_somebody_has_written_down_is_named_first_and_the_cause_has_the_runbook() -> None:
    shop = Service("shop", "Web shop", ("front",), OutageRule(1, ("front",)), runbook="/shop")
    checks = [check("database", runbook="/database"), check("front", service="shop", depends_on=("database",))]
    story = Tiers(world(*checks, services={"shop": shop}, routes=ROUTES))
    begun(story, ["database", "front"])
    story.see(30, "front", Reason.REFUSED)
    story.see(31, "database", Reason.REFUSED)
    story.kill("front", 32)
    story.kill("database", 33)
    [opened] = [event for event in story.events if event["type"] == "incident.opened"]
    assert opened["sentence"] == (
        "Web shop and Database have an outage since 12:00:30 UTC: database: nothing listens on the port (and 1 more)."
    )
    assert opened["links"] == {"runbook": "/database"}
    assert opened["service"]["id"] == "shop"
    sound(story)


def test_two_ways_to_one_cause_are_one_incident() -> None:
    story = tiers({"host": (), "app": ("host",), "cache": ("host",), "front": ("app", "cache")})
    for name in ("host", "app", "cache", "front"):
        story.kill(name, 30)
    assert {root for _, root, _ in story.incidents} == {"host"}
    assert len({event["incident"]["id"] for event in story.events if "incident" in event}) == 1
    sound(story)


def test_several_checks_of_one_service_join_it_once() -> None:
    names = ("front", "cart")
    shop = Service("shop", "Web shop", names, OutageRule(1, names))
    checks = [check("database"), *(check(name, service="shop", depends_on=("database",)) for name in names)]
    story = Tiers(world(*checks, services={"shop": shop}, routes=ROUTES))
    begun(story, ("database", *names))
    for name in names:
        story.see(30, name, Reason.REFUSED)
        story.kill(name, 31)
    story.kill("database", 34)
    [opened] = [event["incident"] for event in story.events if event["type"] == "incident.opened"]
    assert opened["services"] == ["database", "shop"]
    assert sorted(opened["checks"]) == ["cart", "database", "front"]
    sound(story)


def test_what_is_only_remembered_joins_when_it_has_been_seen() -> None:
    story = tiers()
    story.kill("app", 30)
    again = restarted(story, linked(CHAIN), at=40)
    again.kill("database", 41)
    [opened] = [event["incident"] for event in again.events if event["type"] == "incident.opened"]
    assert opened["services"] == ["database"]
    again.see(45, "app", Reason.REFUSED)
    assert again.world.services["app"].incident == again.world.services["database"].incident
    assert again.checks == [("database", "down")]
    sound(again)


def test_a_service_whose_checks_are_all_new_leaves_an_incident_that_others_keep_open() -> None:
    def plan(front: str) -> tuple[list[Check], dict[str, Service]]:
        checks = [check("database"), check(front, service="shop", depends_on=("database",))]
        return checks, {"shop": Service("shop", "Web shop", (front,), OutageRule(1, (front,)))}

    checks, services = plan("front")
    story = Tiers(world(*checks, services=services, routes=ROUTES))
    begun(story, ["database", "front"])
    story.kill("database", 30)
    story.kill("front", 34)
    for at in (50, 70, 90):
        for name in ("front", "database"):
            story.see(at, name, Reason.NO_ROUTE)
    checks, services = plan("fresh")
    reloaded(story, *checks, at=100, services=services)
    assert story.world.services["shop"].incident is None
    assert story.incidents[-1][0] == "updated"
    assert story.events[-1]["sentence"].endswith("front is no longer watched.")
    story.heal("database", 110)
    assert story.incidents[-1] == ("resolved", "database", "resolved")
    sound(story)


def test_an_incident_goes_on_without_a_service_that_is_watched_no_longer() -> None:
    story = tiers()
    for name in ("database", "app", "front"):
        story.kill(name, 30)
    checks = [check("database"), check("app", depends_on=("database",))]
    reloaded(story, *checks, at=60)
    incident = story.world.services["database"].incident
    assert incident is not None
    assert story.world.services["app"].incident is incident
    assert story.world.services["database"].case.services == {"database": None, "app": None}  # type: ignore[union-attr]
    reloaded(story, check("pg", was=("database",)), check("app", depends_on=("pg",)), at=70)
    assert story.world.services["app"].incident is story.world.services["pg"].incident
    assert story.world.services["app"].incident.root == "pg"  # type: ignore[union-attr]
    for name in ("pg", "app"):
        story.heal(name, 80)
    assert story.incidents[-1] == ("resolved", "pg", "resolved")
    sound(story)


def test_of_two_incidents_that_a_journal_has_of_one_service_the_older_ends() -> None:
    story = tiers()
    story.kill("database", 30)
    kept = journal_of(story)
    [newer] = kept.incidents
    older = replace(newer, id=newer.id[:-1] + "a", opened=newer.opened - timedelta(hours=1))
    again = Tiers(world(check("database"), routes=ROUTES, journal=replace(kept, incidents=(older, newer)), at=40))
    again.keep(again.world.start(moment(40)))
    assert again.world.services["database"].incident == newer
    [end] = [event for change in again.changes for event in change.events]
    assert (end.type, end.stream) == ("incident.resolved", older.id)
    assert all(not change.services for change in again.changes), "the service itself goes on as it is"
