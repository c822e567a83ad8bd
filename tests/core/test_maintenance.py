"""Maintenance: nothing is paged for it, what gets well is told, and at the end what is otherwise than before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from monitor.core import calming
from monitor.core.identity import maintenance_id
from monitor.core.maintenance import Scope, Span, Window, find, read_window
from monitor.core.model import Change, Note
from monitor.core.routing import Route, Term
from probes.contract import Reason
from tests.core.builders import check, moment, world
from tests.core.calmly import T0, Calmly, once
from tests.core.succeeded import ROUTES, reloaded
from tests.core.test_world import SHOP, begun, shop

EVERYTHING: dict[str, Any] = {"routes": ROUTES}


def story(*names: str, **fields: Any) -> Calmly:
    found = Calmly(world(*(check(name) for name in names or ("home",)), **{**EVERYTHING, **fields}))
    begun(found, names or ("home",))
    return found


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
    here = Calmly(shop(**EVERYTHING))
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
    here = Calmly(shop(**EVERYTHING))
    here = Calmly(world(*here.world.plan.checks.values(), labelled, services={"shop": SHOP}, **EVERYTHING))
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
    assert here.journal.notes.keys() == {"flapping:check:home"} or here.journal.notes == {}


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
    here = Calmly(world(check(), **EVERYTHING))
    here.maintain(once(0, 100, "home"), 0)
    here.see(5)
    here.wait(200)
    assert here.told() == []
    assert here.world.services["home"].state == "operational"


def test_the_first_look_that_fails_within_is_told_at_the_end() -> None:
    here = Calmly(world(check(), **EVERYTHING))
    here.maintain(once(0, 100, "home"), 0)
    here.kill("home", 5)
    assert here.told() == []
    here.wait(100)
    assert here.told("incident") == [("incident.opened", "outage")]


def test_a_rename_takes_it_along() -> None:
    here = story()
    here.maintain(once(10, 500, "home"), 10)
    here.kill("home", 20)
    reloaded(here, check("front", was=("home",)), at=30)
    here.wait(31)
    assert here.world.calm.covered.keys() == {"front"}
    here.restart(40)
    assert here.world.calm.covered.keys() == {"front"}
    assert here.told() == []
    here.see(490, "front", Reason.REFUSED)
    here.wait(500)
    assert here.told("incident") == [("incident.opened", "outage")]
    here.done(9000)


def test_a_rename_by_a_restart_takes_it_along() -> None:
    here = story()
    here.maintain(once(10, 500, "home"), 10)
    here.kill("home", 20)
    renamed = world(check("front", was=("home",)), **EVERYTHING).plan
    here.restart(40, checks=renamed.checks, services=renamed.services)
    assert here.world.calm.covered.keys() == {"front"}
    here.see(50, "front", Reason.REFUSED)
    here.wait(499)
    assert here.told() == []
    here.wait(500)
    assert here.told("incident") == [("incident.opened", "outage")]


def test_what_is_removed_within_was_never_told_of() -> None:
    here = story("home", "shop")
    here.maintain(once(10, 500, "home"), 10)
    here.kill("home", 20)
    reloaded(here, check("shop"), at=30)
    assert here.told() == []
    assert here.world.calm.held == {}
    here.restart(40)
    here.done(9000)
    assert here.journal.notes == {}


def test_what_is_removed_while_nobody_runs_is_forgotten() -> None:
    here = story("home", "shop")
    here.maintain(once(10, 500, "home"), 10)
    here.kill("home", 20)
    left = world(check("shop"), **EVERYTHING).plan
    here.restart(40, checks=left.checks, services=left.services)
    here.done(9000)
    assert here.told() == []
    assert here.journal.notes == {}


def test_windows_of_the_configuration_come_and_go_with_it() -> None:
    here = story()
    planned = replace(once(10, 100, "home"), by="")
    here.world.plan = replace(here.world.plan, maintenance=(planned,))
    here.restart(5)
    assert here.world.calm.covered == {}
    here.wait(10)
    assert here.world.calm.covered.keys() == {"home"}
    here.kill("home", 20)
    reloaded(here, check(), at=50)
    here.wait(51)
    assert here.world.calm.covered == {}
    assert here.told("incident") == [("incident.opened", "outage")]
    assert here.world.next_due is None or here.world.calm.bouts


@dataclass(frozen=True, slots=True)
class Hourly:
    """At each full hour of the story."""

    text: str = "0 * * * *"

    def after(self, at: float) -> float:
        return T0 + ((at - T0) // 3600 + 1) * 3600


def test_windows_recur() -> None:
    window = Window("w", Scope(("home",)), schedule=Hourly(), lasts=600.0)
    assert window.span(T0 + 10) == Span(T0, T0 + 600)
    assert window.span(T0 + 600) == Span(T0 + 3600, T0 + 4200)
    here = story()
    here.world.plan = replace(here.world.plan, maintenance=(window,))
    here.restart(700)
    covered = []
    for at in range(700, 12_000, 100):
        here.wait(at)
        covered.append(bool(here.world.calm.covered))
    assert covered == [at % 3600 < 600 for at in range(700, 12_000, 100)]


def test_a_clock_that_is_set_is_noticed_within_a_minute() -> None:
    here = story()
    here.maintain(once(7200, 7500, "home"), 0)
    here.wait(100)
    assert here.world.calm.covered == {}
    set_clock = replace(moment(170), at=moment(7300).at)
    assert here.world.next_due is not None
    assert here.world.next_due <= set_clock.tick
    here.world.elapse(set_clock)
    assert here.world.calm.covered.keys() == {"home"}
    back = replace(moment(240), at=moment(240).at)
    here.world.elapse(back)
    assert here.world.calm.covered == {}


@pytest.mark.parametrize(
    "value",
    [
        {},
        7,
        None,
        {"checks": [1], "services": [], "labels": {}, "from": 1, "until": 2, "why": "", "by": ""},
        {"checks": [], "services": [], "labels": [], "from": 1, "until": 2, "why": "", "by": ""},
        {"checks": [], "services": [], "labels": {}, "from": "x", "until": 2, "why": "", "by": ""},
    ],
)
def test_notes_that_nobody_has_written_are_dropped(value: Any) -> None:
    here = story()
    here.changes.append(
        replace(here.changes[0], notes=(Note("maintenance:a", value), Note("told:home", value), Note("other", 1)))
    )
    here.changes[-1] = replace(here.changes[-1], notes=(*here.changes[-1].notes, Note("flapping:check:home", value)))
    here.restart(10)
    assert not here.world.calm.ad_hoc
    assert not here.world.calm.held
    assert here.journal.notes == {"other": 1}


def test_a_window_is_noted_as_it_is() -> None:
    window = once(1, 2, "a", services=("b",), tier="c")
    assert read_window("w", window.as_json()) == window
    assert window.scope.text == "b, a, tier=c"


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


def watched() -> Any:
    checks = [check("home", service="shop", labels={"tier": "web"}), check("db", labels={"tier": "data"})]
    twin = check("api", service="api")
    return world(
        *checks, replace(twin, name="the api"), replace(check("c1"), name="twin"), replace(check("c2"), name="twin"),
        services={"shop": replace(SHOP, checks=("home",)), "db": replace(SHOP, id="db", checks=("home", "db"))},
    ).plan  # fmt: skip


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["home"], "home"),
        (["shop"], "shop"),
        (["the api", "check:home", "service:shop"], "shop, api, home"),
        (["tier=web", "label:tier=web"], "tier=web"),
        (["check:db"], "db"),
        (["service:db"], "db"),
        (["c1", "c1"], "c1"),
    ],
)
def test_names_that_people_give(names: list[str], text: str) -> None:
    assert find(names, watched()).text == text


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["hom"], r"name 1 is neither a check nor a service \(did you mean home\?\)"),
        (["home", "xyzzy"], "name 2 is neither a check nor a service; a label is written tier=web"),
        (["service:home"], "name 1 is neither"),
        (["check:tier=web"], "name 1 is neither"),
        (["twin"], "name 1 is neither"),
        (["db"], "name 1 is a check and a service: write check: or service: before it"),
        (["tier=wbe"], "no check has these labels"),
        (["tier=web", "tier2=x"], "no check has these labels"),
    ],
)
def test_names_that_mean_nothing_or_too_much(names: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find(names, watched())


def test_ids_are_short_and_decided() -> None:
    assert maintenance_id("origin", 1) == maintenance_id("origin", 1) != maintenance_id("origin", 2)
    assert len(maintenance_id("origin", 1)) == 8


def test_flags_of_checks_and_services() -> None:
    here = Calmly(shop(**EVERYTHING))
    begun(here)
    status = here.world.services["shop"]
    assert (calming.flags(here.world, "home"), calming.service_flags(here.world, status)) == ((), ())
    here.maintain(once(0, 500, "home"), 1)
    assert (calming.flags(here.world, "home"), calming.service_flags(here.world, status)) == (("maintenance",), ())
    here.maintain(once(0, 500, services=("shop",), name="x"), 2)
    assert calming.service_flags(here.world, status) == ("maintenance",)
    here.wait(500)
    for at in (600, 900, 1200):
        here.kill("home", at)
        here.heal("home", at + 10)
    assert (calming.flags(here.world, "home"), calming.service_flags(here.world, status)) == (
        ("flapping",),
        ("flapping",),
    )
    assert calming.flags(here.world, "checkout") == ()


def test_a_rename_leaves_the_windows_of_others_alone() -> None:
    here = story("home", "shop")
    here.maintain(once(10, 500, "shop"), 10)
    reloaded(here, check("front", was=("home",)), check("shop"), at=30)
    here.wait(31)
    assert here.world.calm.covered.keys() == {"shop"}
    assert [window.scope.text for window in here.world.calm.ad_hoc.values()] == ["shop"]


def test_a_window_that_is_over_is_none() -> None:
    here = story()
    here.world.plan = replace(here.world.plan, maintenance=(once(1, 2, "home"),))
    here.restart(100)
    assert not here.world.calm.covered
    assert not list(here.world.calm.windows(here.world.plan.maintenance, T0 + 100))
