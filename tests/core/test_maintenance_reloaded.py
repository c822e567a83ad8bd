"""Maintenance while the plan changes: renames, removals, windows that come and go with the file."""

from __future__ import annotations

from dataclasses import replace

from probes.contract import Reason
from tests.core.builders import check, world
from tests.core.calmly import once, story
from tests.core.succeeded import ROUTES, reloaded


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
    renamed = world(check("front", was=("home",)), routes=ROUTES).plan
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
    left = world(check("shop"), routes=ROUTES).plan
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
    assert here.world.next_due is None


def test_a_rename_leaves_the_windows_of_others_alone() -> None:
    here = story("home", "shop")
    here.maintain(once(10, 500, "shop"), 10)
    reloaded(here, check("front", was=("home",)), check("shop"), at=30)
    here.wait(31)
    assert here.world.calm.covered.keys() == {"shop"}
    assert [window.scope.text for window in here.world.calm.ad_hoc.values()] == ["shop"]
