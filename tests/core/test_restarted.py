"""What becomes of a world after a restart, under the same configuration or another one."""

from __future__ import annotations

from dataclasses import replace

from monitor.core.model import OutageRule, Service
from monitor.core.routing import Route
from probes.contract import Reason
from tests.core.builders import above, check, look, moment, world
from tests.core.stories import SCHEMA, SHOP, Story, again_with, begun, journal_of, shop


def test_a_restart_goes_on_with_the_open_incident() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    again = Story(shop(journal=journal_of(story), at=40))
    assert again.world.start(moment(40)) is None
    again.heal("home", 60)
    assert again.told("incident") == [("incident.updated", "degradation"), ("incident.resolved", "resolved")]
    assert again.events[-1]["incident"]["id"] == story.events[-1]["incident"]["id"]


def test_a_service_taken_out_of_the_config_ends_what_it_opened() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    again = Story(world(check("other"), journal=journal_of(story), at=60))
    change = again.world.start(moment(60))
    assert change is not None
    assert change.events[0].type == "incident.resolved"
    assert change.events[0].sinks == ("hook",)
    assert change.incidents[0].why == "no longer watched"
    SCHEMA.validate(dict(change.events[0].body))
    assert again.world.start(moment(61)) is None


def test_a_check_taken_out_of_the_config_no_longer_keeps_its_service_bad() -> None:
    story = begun(Story(shop()))
    story.kill("search", 30)
    fewer = replace(SHOP, checks=("home", "checkout"))
    checks = [check(name, service="shop") for name in fewer.checks]
    again = world(*checks, services={"shop": fewer}, journal=journal_of(story), at=60)
    assert again.start(moment(60)) is None
    change = again.observe(look(61, check="checkout")).change
    assert change is not None
    assert [event.type for event in change.events] == ["service.changed", "incident.resolved"]


def test_a_check_disabled_while_down_is_told_anew_when_it_comes_back() -> None:
    story = begun(Story(world(check("home"))), ["home"])
    story.kill("home", 30)
    off = again_with(story, check("other"), at=60)
    back = again_with(off, check("home"), at=90)
    assert back.told("incident") == [("incident.opened", "outage"), ("incident.resolved", "resolved")]
    back.see(91, "home", Reason.REFUSED)
    assert back.told("incident")[-1] == ("incident.opened", "outage")
    opened = [event["incident"]["id"] for event in back.events if event["type"] == "incident.opened"]
    assert len(set(opened)) == 2


def test_nobody_is_told_of_an_outage_that_is_only_remembered() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    off = again_with(story, check("other"), at=60)
    shop_again = {"services": {"shop": SHOP}}
    back = again_with(off, *(check(name, service="shop") for name in SHOP.checks), at=90, **shop_again)
    before = len(back.told("incident"))
    back.see(91, "checkout")
    back.see(92, "search")
    for second in range(20):
        back.see(93 + second, "home")
    assert len(back.told("incident")) == before
    assert back.world.services["shop"].state == "operational"


def test_a_check_that_is_still_slow_when_it_comes_back_is_told() -> None:
    story = begun(Story(world(check("api", above(1)))), ["api"])
    for at in (30, 31):
        story.see(at, "api", response_time=3)
    off = again_with(story, check("other"), at=60)
    back = again_with(off, check("api", above(1)), at=90)
    assert back.told("incident")[-1] == ("incident.resolved", "resolved")
    back.see(91, "api", response_time=3)
    assert back.told("incident")[-1] == ("incident.opened", "degradation")


def test_an_open_incident_goes_with_its_check_to_another_service() -> None:
    story = begun(Story(world(check("home"))), ["home"])
    story.kill("home", 30)
    moved = check("front", service="shop", was=("home",))
    service = Service("shop", "Web shop", ("front",), OutageRule(1, ("front",)))
    again = again_with(story, check("aside"), moved, at=60, services={"shop": service})
    assert again.told("incident") == [("incident.opened", "outage")]
    again.heal("front", 90)
    assert again.told("incident")[-1] == ("incident.resolved", "resolved")
    assert len({event["incident"]["id"] for event in again.events if "incident" in event}) == 1


def test_a_sink_that_is_gone_is_owed_the_end_and_nothing_else() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    again = Story(shop(journal=journal_of(story), at=40, routes=(Route(("chat",)),)))
    again.heal("home", 60)
    assert [
        event.sinks for change in again.changes for event in change.events if event.stream.startswith("inc_")
    ] == [
        ("chat",),
        ("chat", "hook"),
    ]


def test_a_renamed_check_keeps_its_state() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    renamed = check("front", service="shop", was=("home",))
    service = Service("shop", "Web shop", ("front",), OutageRule(1, ("front",)))
    again = world(renamed, services={"shop": service}, journal=journal_of(story), at=60)
    assert again.judges["front"].state == "down"
    assert again.judges["front"].seq == 2
