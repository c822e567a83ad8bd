"""Windows of maintenance: when they hold, what they are noted as, and the names that people give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from monitor.core.identity import maintenance_id
from monitor.core.maintenance import Scope, Span, Window, find, read_window
from monitor.core.model import Moment, Note
from tests.core.builders import check, moment, world
from tests.core.calmly import T0, once, story
from tests.core.stories import SHOP


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
    here.world.plan = replace(here.world.plan, maintenance=(replace(once(7200, 7500, "home"), by=""),))
    here.restart(1)
    here.wait(100)
    assert here.world.calm.covered == {}
    set_clock = Moment(moment(7300).at, moment(170).tick)
    assert here.world.next_due is not None
    assert here.world.next_due <= set_clock.tick
    here.world.elapse(set_clock)
    assert here.world.calm.covered.keys() == {"home"}
    back = moment(240)
    here.world.elapse(back)
    assert here.world.calm.covered == {}


def test_a_clock_that_is_set_back_does_not_call_off_what_was_announced() -> None:
    """It was told to hold from now on."""
    here = story()
    here.maintain(once(5000, 6000, "home"), 5000)
    assert here.world.calm.covered.keys() == {"home"}
    here.world.elapse(Moment(moment(1000).at, moment(5060).tick))
    assert here.world.calm.covered.keys() == {"home"}
    here.world.elapse(Moment(moment(6000).at, moment(10_060).tick))
    assert here.world.calm.covered == {}, "and ends at the time that was told"


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


def test_a_window_that_is_over_is_none() -> None:
    here = story()
    here.world.plan = replace(here.world.plan, maintenance=(once(1, 2, "home"),))
    here.restart(100)
    assert not here.world.calm.covered
    assert not list(here.world.calm.windows(here.world.plan.maintenance, T0 + 100))
