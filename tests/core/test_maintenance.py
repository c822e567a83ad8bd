"""Maintenance: nothing is paged for it, what gets well is told, and at the end what is otherwise than before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core import calming
from monitor.core.flags import flags, service_flags
from monitor.core.model import Change
from monitor.core.routing import Route, Term
from probes.contract import Reason
from tests.core.builders import check, moment, world
from tests.core.calmly import Calmly, once, story
from tests.core.stories import SHOP, begun, shop
from tests.core.succeeded import ROUTES


def test_what_breaks_and_heals_within_is_not_told() -> None:
    here = story()
    here.maintain(once(10, 100, "home"), 10)
    here.kill("home", 20)
    assert here.world.judges["home"].state == "down", "looks go on, and so do states"
    assert here.world.services["home"].state == "operational"
    here.heal("home", 40)
    here.wait(200)
    assert here.told() == []
    assert [t.new for change in here.changes for t in change.transitions if t.kind != "maintenance"] == [
        "up",
        "operational",
        "down",
        "degraded",
        "up",
    ]
    assert here.journal.notes == {}
    here.done(9000)


def test_what_is_still_broken_at_the_end_is_told_then() -> None:
    here = story()
    here.maintain(once(10, 100, "home"), 10)
    here.kill("home", 20)
    here.wait(99)
    assert here.told() == []
    here.wait(100)
    assert here.told() == [("check.changed", "down"), ("service.changed", "outage"), ("incident.opened", "outage")]
    assert here.sentences[0] == (
        "home is down since 12:00:20 UTC: nothing listens on the port. The maintenance is over."
    )
    assert here.events[0]["state"] == {"old": "up", "new": "down"}
    assert here.events[2]["incident"]["since"] == "2026-03-01T12:00:20.000Z"
    here.heal("home", 120)
    assert here.told("incident")[-1] == ("incident.resolved", "resolved")
    here.done(9000)


def test_a_resolve_passes_and_a_relapse_waits_for_the_end() -> None:
    here = story()
    here.kill("home", 10)
    here.maintain(once(20, 100, "home"), 20)
    here.heal("home", 30)
    way_back = [("incident.updated", "degradation"), ("incident.resolved", "resolved")]
    assert here.told("incident") == [("incident.opened", "outage"), *way_back]
    here.kill("home", 60)
    assert len(here.told("incident")) == 3
    here.wait(100)
    assert here.told("incident")[3:] == [("incident.opened", "outage")]
    here.done(9000)


def test_what_was_broken_before_and_is_so_after_is_told_once() -> None:
    here = story()
    here.kill("home", 10)
    here.maintain(once(20, 100, "home"), 20)
    here.wait(200)
    assert here.told("incident") == [("incident.opened", "outage")]
    here.maintain(once(210, 300, "home"), 210)
    here.heal("home", 220)
    here.kill("home", 240)
    here.heal("home", 260)
    here.wait(400)
    assert [kind for kind, _ in here.told("incident")] == ["incident.opened", "incident.updated", "incident.resolved"]
    here.done(9000)


def test_others_of_the_service_are_told_of() -> None:
    here = Calmly(shop(routes=ROUTES))
    begun(here)
    here.maintain(once(10, 500, "home"), 10)
    here.kill("home", 20)
    here.kill("checkout", 40)
    opened = [event for event in here.events if event["type"] == "incident.opened"]
    assert [event["incident"]["checks"] for event in opened] == [["checkout"]]
    here.heal("checkout", 60)
    assert here.told("incident")[-1] == ("incident.resolved", "resolved"), "home is down still, and nobody is told"
    here.wait(500)
    assert here.told("incident")[-1] == ("incident.opened", "outage")
    here.done(9000)


def test_services_and_labels_are_covered() -> None:
    labelled = check("db", labels={"tier": "data", "zone": "a"})
    here = Calmly(shop(routes=ROUTES))
    here = Calmly(world(*here.world.plan.checks.values(), labelled, services={"shop": SHOP}, routes=ROUTES))
    here.maintain(once(0, 50, services=("shop", "nothing")), 0)
    assert sorted(here.world.calm.covered) == ["checkout", "home", "search"]
    here.maintain(once(0, 60, name="x", tier="data", zone="a"), 1)
    assert sorted(here.world.calm.covered) == ["checkout", "db", "home", "search"]
    here.maintain(once(0, 60, name="y", tier="data", zone="b"), 2)
    assert here.world.calm.covered["db"].window.id == "x"
    assert here.world.calm.covered["db"].ends == moment(60).at
    here.wait(55)
    assert sorted(here.world.calm.covered) == ["db"]
    assert here.world.calm.ad_hoc.keys() == {"x", "y"}
    here.done(100)
    assert here.world.calm.ad_hoc == {}


def test_a_window_that_is_ended_before_its_time() -> None:
    here = story()
    here.maintain(once(10, 10_000, "home"), 10)
    here.kill("home", 20)
    here.end(50, "another")
    assert here.told() == []
    here.end(50)
    assert here.told("incident") == [("incident.opened", "outage")]
    assert here.journal.notes == {}


def test_windows_that_overlap_are_one() -> None:
    here = story()
    here.maintain(once(10, 100, "home"), 10)
    here.maintain(once(50, 300, "home", name="x"), 11)
    here.kill("home", 20)
    here.wait(299)
    assert here.told() == []
    here.wait(300)
    assert here.told("incident") == [("incident.opened", "outage")]


@pytest.mark.parametrize("moments", [(15,), (30,), (15, 30, 60), (95, 96)])
def test_a_restart_keeps_the_window_and_what_was_told(moments: tuple[float, ...]) -> None:
    here = story()
    here.maintain(once(10, 100, "home"), 10)
    for at in moments:
        if at == moments[0] and at > 20:
            here.kill("home", 20)
        here.restart(at)
    if moments[0] < 20:
        here.kill("home", 70)
    here.see(97, fails=Reason.REFUSED)
    assert here.told() == []
    assert here.world.services["home"].state == "operational"
    here.wait(100)
    assert here.told() == [("check.changed", "down"), ("service.changed", "outage"), ("incident.opened", "outage")]
    here.done(9000)


def test_a_window_that_ends_while_nobody_runs() -> None:
    """It is told once the check was seen again: what was so before the stop need not be so now."""
    here = story()
    here.maintain(once(10, 100, "home"), 10)
    here.kill("home", 20)
    here.restart(200)
    assert here.told() == []
    here.see(210, fails=Reason.REFUSED)
    assert here.told() == [("check.changed", "down"), ("service.changed", "outage"), ("incident.opened", "outage")]
    assert here.journal.notes == {}
    here.done(9000)


def test_a_check_that_heals_after_nobody_ran_opens_no_incident() -> None:
    here = story()
    here.maintain(once(10, 100, "home"), 10)
    here.kill("home", 20)
    here.restart(200)
    here.heal("home", 210)
    assert here.told("incident") == []
    assert here.world.services["home"].state == "operational"
    here.done(9000)


def test_sight_that_is_lost_within_is_told_at_the_end() -> None:
    here = story()
    here.maintain(once(10, 500, "home"), 10)
    for at in (20, 40, 60, 80):
        here.see(at, fails=Reason.NO_DESCRIPTORS)
    assert here.world.judges["home"].state == "unknown"
    assert here.told() == []
    here.wait(500)
    assert here.told() == [("check.changed", "unknown"), ("service.changed", "unknown")]
    here.done(9000)


def test_the_first_good_look_within_is_no_news() -> None:
    here = Calmly(world(check(), routes=ROUTES))
    here.maintain(once(0, 100, "home"), 0)
    here.see(5)
    here.wait(200)
    assert here.told() == []
    assert here.world.services["home"].state == "operational"


def test_the_first_look_that_fails_within_is_told_at_the_end() -> None:
    here = Calmly(world(check(), routes=ROUTES))
    here.maintain(once(0, 100, "home"), 0)
    here.kill("home", 5)
    assert here.told() == []
    here.wait(100)
    assert here.told("incident") == [("incident.opened", "outage")]


def test_routes_of_incidents_alone_are_told_as_much() -> None:
    here = Calmly(world(check(), routes=(Route(("pager",), Term("impact", "outage")),)))
    begun(here, ["home"])
    here.maintain(once(10, 100, "home"), 10)
    here.kill("home", 20)
    assert not [event for change in here.changes for event in change.events if event.sinks]
    here.wait(100)
    assert [event.type for change in here.changes for event in change.events if event.sinks] == ["incident.opened"]


def test_what_was_announced_can_be_done_again() -> None:
    """So a replay of the past comes to the same."""
    here, again = story(), story()
    here.maintain(once(10, 1000, "home"), 10)
    here.kill("home", 20)
    here.end(50)
    kept = [item for change in here.changes for item in change.transitions if item.kind == "maintenance"]
    assert [(item.new, item.seq, item.verdict.why) for item in kept] == [
        ("announced", 1, "home: a deploy"), ("ended", 2, "home: a deploy")
    ]  # fmt: skip
    again.changes.append(calming.again(again.world, kept[0], moment(10)) or Change())
    again.kill("home", 20)
    again.changes.append(calming.again(again.world, kept[1], moment(50)) or Change())
    assert again.told() == here.told()
    assert calming.again(again.world, kept[1], moment(60)) is None, "it has ended"
    with pytest.raises(KeyError):
        calming.again(again.world, replace(kept[0], evidence={}), moment(70))


def test_flags_of_checks_and_services() -> None:
    here = Calmly(shop(routes=ROUTES))
    begun(here)
    status = here.world.services["shop"]
    assert (flags(here.world, here.world.judges["home"]), service_flags(here.world, status)) == ((), ())
    here.maintain(once(0, 500, "home"), 1)
    assert (flags(here.world, here.world.judges["home"]), service_flags(here.world, status)) == (("maintenance",), ())
    here.maintain(once(0, 500, services=("shop",), name="x"), 2)
    assert service_flags(here.world, status) == ("maintenance",)
    here.wait(500)
    for at in (600, 900, 1200):
        here.kill("home", at)
        here.heal("home", at + 10)
    assert (flags(here.world, here.world.judges["home"]), service_flags(here.world, status)) == (
        ("flapping",),
        ("flapping",),
    )
    assert flags(here.world, here.world.judges["checkout"]) == ()
