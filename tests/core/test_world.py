"""Looks into a world, and what is told of its services and incidents."""

from __future__ import annotations

import json
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.model import OutageRule, Service
from monitor.core.routing import Route, Term
from probes.contract import Reason
from tests.core.builders import START, above, check, moment, world
from tests.core.stories import SHOP, Story, begun, shop


def test_that_all_is_well_is_not_told() -> None:
    story = begun(Story(shop()))
    assert story.told() == []
    assert story.world.services["shop"].state == "operational"


def test_an_outage_is_one_incident_with_its_root() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    assert story.told() == [("check.changed", "down"), ("service.changed", "outage"), ("incident.opened", "outage")]
    incident = story.events[-1]["incident"]
    assert incident["root"] == "home"
    assert incident["since"] == "2026-03-01T12:00:30.000Z"
    assert story.events[-1]["sentence"] == (
        "Web shop has an outage since 12:00:30 UTC: home: nothing listens on the port."
    )


def test_a_check_outside_the_rule_is_a_degradation_however_dead() -> None:
    story = begun(Story(shop()))
    story.kill("search", 30)
    assert story.told("incident") == [("incident.opened", "degradation")]
    assert "is degraded" in story.events[-1]["sentence"]


def test_an_incident_grows_worse_and_ends_once() -> None:
    story = begun(Story(shop()))
    story.kill("search", 30)
    story.kill("home", 60)
    story.kill("checkout", 90)
    story.heal("home", 120)
    story.heal("checkout", 150)
    story.heal("search", 180)
    assert story.told("incident") == [
        ("incident.opened", "degradation"),
        ("incident.updated", "outage"),
        ("incident.updated", "degradation"),
        ("incident.resolved", "resolved"),
    ]
    assert story.events[-1]["incident"]["checks"] == ["search", "home", "checkout"]
    ids = {event["incident"]["id"] for event in story.events if "incident" in event}
    assert len(ids) == 1
    assert [event["incident"]["root"] for event in story.events if "incident" in event] == [
        "search", "home", "home", "home",
    ]  # fmt: skip
    assert story.world.services["shop"].incident is None


def test_the_end_is_dated_back_to_the_first_success() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.heal("home", 60)
    resolved = story.events[-1]
    assert resolved["incident"]["resolved"] == "2026-03-01T12:01:00.000Z"
    assert resolved["incident"]["duration_seconds"] == 30
    assert resolved["sentence"] == (
        "Web shop is back to normal after 30 s. It was home: nothing listens on the port."
    )
    told = [event["sentence"] for event in story.events if event["type"] == "incident.updated"]
    assert told == [
        "Web shop is no longer out, but still degraded: home: it answers again, and is watched until that lasts."
    ]


def test_the_end_tells_how_long_the_whole_trouble_was() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.heal("home", 60)
    ends = [event["sentence"] for event in story.events if event["state"]["new"] in ("up", "operational")]
    assert ends == ["home is up again after 30 s.", "Web shop is back to normal after 30 s."]


def test_the_end_of_slowness_is_when_it_was_quick_again() -> None:
    story = begun(Story(world(check("api", above(1)))), ["api"])
    for at, took in ((30, 3), (31, 3), (60, 0.1), (61, 0.1)):
        story.see(at, "api", response_time=took)
    assert story.events[-1]["incident"]["duration_seconds"] == 30


def test_another_incident_has_another_id() -> None:
    story = begun(Story(shop()))
    for at in (30, 130):
        story.kill("home", at)
        story.heal("home", at + 30)
    opened = [event["incident"]["id"] for event in story.events if event["type"] == "incident.opened"]
    assert len(set(opened)) == 2


def test_unknown_opens_nothing_and_resolves_nothing() -> None:
    story = begun(Story(shop()))
    for at in (30, 60, 90):
        for name in ("home", "checkout", "search"):
            story.see(at, name, Reason.NO_ROUTE)
    assert story.told("incident") == []
    assert story.world.services["shop"].state == "unknown"
    assert "cannot be judged" in story.events[-1]["sentence"]
    for name in ("home", "checkout", "search"):
        story.see(120, name)
    story.kill("home", 150)
    for at in (180, 210, 240):
        story.see(at, "home", Reason.NO_ROUTE)
    assert story.told("incident") == [("incident.opened", "outage")]
    assert story.world.services["shop"].incident is not None
    story.heal("home", 270)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")


def test_a_growing_incident_names_who_joined() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.kill("checkout", 60)
    assert story.events[-1]["incident"]["checks"] == ["home", "checkout"]
    assert story.events[-1]["sentence"].endswith("home: nothing listens on the port (and 1 more).")


def test_an_outage_after_a_degradation_has_a_beginning_of_its_own() -> None:
    story = begun(Story(shop()))
    story.kill("search", 30)
    story.kill("home", 90)
    sentence = story.told("incident") and story.events[-1]["sentence"]
    assert sentence == (
        "Web shop has an outage since 12:01:30 UTC (degraded since 12:00:30 UTC): "
        "home: nothing listens on the port (and 1 more)."
    )


def test_on_the_way_back_the_worst_that_is_left_is_told_and_the_cause_is_kept() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.kill("search", 60)
    story.heal("home", 90)
    update = [event for event in story.events if event["type"] == "incident.updated"][-1]
    assert update["state"] == {"old": "outage", "new": "degradation"}
    assert "still degraded: search: nothing listens on the port" in update["sentence"]
    assert update["incident"]["root"] == "home"
    story.heal("search", 120)
    assert story.events[-1]["sentence"].endswith("It was home: nothing listens on the port.")


def test_the_cause_is_the_worst_that_was_seen_of_it() -> None:
    story = begun(Story(shop()))
    for second in range(20):
        story.see(30 + second, "search", Reason.STATUS if second % 2 else None)
    assert "of the latest looks failed" in story.events[-1]["sentence"]
    for second in range(40):
        story.see(50 + second, "search", Reason.REFUSED)
    assert story.world.judges["search"].state == "down"
    story.heal("search", 120)
    assert story.events[-1]["sentence"].endswith("It was search: nothing listens on the port.")


def test_what_was_bad_when_we_lost_sight_of_it_is_not_well_because_of_that() -> None:
    rule = OutageRule(2, ("port", "page"))
    office = Service("office", "Back office", ("port", "page"), rule)
    checks = [check(name, service="office") for name in ("port", "page")]
    story = begun(Story(world(*checks, services={"office": office})), ("port", "page"))
    story.kill("port", 30)
    story.kill("page", 40)
    for at in (60, 90, 120):
        story.see(at, "page", Reason.BLOCKED)
    story.heal("port", 130)
    assert story.world.services["office"].state == "unknown"
    assert ("incident.resolved", "resolved") not in story.told()
    story.heal("page", 160)
    assert [kind for kind, _ in story.told("incident")].count("incident.opened") == 1
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    degraded = [event for event in story.events if event["state"] == {"old": "unknown", "new": "degraded"}]
    assert degraded[0]["since"] == "2026-03-01T12:02:40.000Z", "the first success, not when sight was lost"


def test_a_shrinking_incident_of_the_same_impact_tells_nothing_new() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.kill("checkout", 60)
    before = len(story.told("incident"))
    story.heal("checkout", 90)
    assert len(story.told("incident")) == before


def test_when_the_root_recovers_and_another_is_left_the_root_moves() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.heal("home", 60)
    story.kill("search", 100)
    story.kill("home", 130)
    assert story.events[-1]["incident"]["root"] == "home"


def test_routes_decide_and_the_end_goes_to_whoever_was_told() -> None:
    routes = (Route(("pager",), Term("impact", "outage")), Route(("chat",), Term("impact", "degradation")))
    story = begun(Story(shop(routes=routes)))
    story.kill("search", 30)
    story.kill("home", 60)
    story.heal("home", 90)
    story.heal("search", 120)
    sinks = [event.sinks for change in story.changes for event in change.events if event.stream.startswith("inc_")]
    assert sinks == [("chat",), ("pager", "chat"), ("chat", "pager"), ("chat", "pager")]


def test_labels_and_owners_can_route() -> None:
    routes = (
        Route(("web",), Term("owner", "web")),
        Route(("gold",), Term("label.tier", "gold")),
        Route(("east",), Term("label.region", "east")),
    )
    checks = [check("home", service="shop", labels={"tier": "gold"}, owner="web")]
    service = Service("shop", "Shop", ("home",), OutageRule(1, ("home",)), labels={"region": "east"})
    story = begun(Story(world(*checks, services={"shop": service}, routes=routes)), ["home"])
    story.kill("home", 30)
    assert story.changes[-1].events[-1].sinks == ("web", "gold", "east")


def test_hundreds_of_checks_of_one_service_are_told_a_few_times() -> None:
    names = tuple(f"c{number}" for number in range(150))
    big = Service("big", "Big", names, OutageRule(1, names))
    story = Story(world(*(check(name, service="big") for name in names), services={"big": big}))
    begun(story, names)
    for name in names:
        story.kill(name, 30)
    assert len(story.told("incident")) == 8
    assert max(len(json.dumps(event, ensure_ascii=False).encode()) for event in story.events) < 20_000


SEEN = st.sampled_from([None, None, Reason.REFUSED, Reason.LATE])


@given(st.lists(st.tuples(st.floats(0.1, 60), st.sampled_from(SHOP.checks), SEEN), max_size=150))
def test_whatever_happens_every_opened_incident_can_be_closed(looks: list[tuple[float, str, Reason | None]]) -> None:
    story, at = Story(shop()), 0.0
    for gap, name, fails in looks:
        at += gap
        story.see(at, name, fails)
    for name in SHOP.checks:
        for second in range(60):
            story.see(at + 1 + second, name)
    opened = {event["incident"]["id"] for event in story.events if event["type"] == "incident.opened"}
    resolved = [event["incident"]["id"] for event in story.events if event["type"] == "incident.resolved"]
    assert sorted(resolved) == sorted(opened)
    ids = [event["id"] for event in story.events]
    assert len(ids) == len(set(ids))
    assert story.world.services["shop"].since is not None
    assert story.world.services["shop"].since >= START - timedelta(days=1)


def test_everything_that_is_known_is_told_to_a_journal_that_has_lost_it() -> None:
    here = begun(Story(shop()), ["home", "checkout"])
    here.kill("home", 1)
    change = here.world.everything(moment(31))
    assert [(record.check, record.state) for record in change.checks] == [("home", "down"), ("checkout", "up")]
    assert [(record.service, record.state) for record in change.services] == [("shop", "outage")]
    assert [incident.root for incident in change.incidents] == ["home"]
