"""Flapping by figures of one's own, at a check and at a service; a reload changes them and forgets nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from monitor.core.model import Flapping
from tests.core.builders import check
from tests.core.calmly import FIRST_TWO, Calmly, flap, incidents
from tests.core.succeeded import reloaded
from tests.core.test_flapping import story
from tests.core.test_flapping_services import shop

MINUTE = timedelta(minutes=1)


def figures(bouts: int, within: float, quiet: float) -> Flapping:
    return Flapping(bouts, within * MINUTE, quiet * MINUTE)


def again(here: Calmly, at: float, **fields: Any) -> None:
    reloaded(here, check("home", **fields), at=at)


def test_two_within_ten_minutes() -> None:
    here = flap(story(flapping=figures(2, 10, 5)), 100, 300)
    assert "home is flapping: it got worse 2 times within 10 min." in here.sentences[-1]
    assert "until it holds still for 5 min." in here.sentences[-1]
    here.wait(300 + 20 + 5 * 60)
    assert incidents(here) == ["opened", "updated", "resolved", "opened", "resolved"]
    flap(here, 2000, 3000)
    assert "flapping" not in here.sentences[-1], "not within ten minutes"
    here.done(9000)


def test_a_reload_asks_for_more_and_keeps_what_was_counted() -> None:
    here = flap(story(), 100, 400)
    again(here, 500, flapping=figures(5, 60, 30))
    flap(here, 700, 1000)
    assert incidents(here) == FIRST_TWO * 2
    flap(here, 1300)
    assert "it got worse 5 times within 1 h" in here.sentences[-1]
    here.done(9000)


def test_a_reload_asks_for_less() -> None:
    here = flap(story(flapping=figures(5, 60, 30)), 100, 400, 700)
    again(here, 800, flapping=figures(3, 60, 30))
    assert not here.world.calm.is_flapping("check:home"), "what was told one by one is not told again"
    flap(here, 1000)
    assert here.world.calm.is_flapping("check:home")
    here.done(9000)


def test_a_reload_within_the_flapping_ends_it_sooner() -> None:
    here = flap(story(), 100, 400, 700)
    told = len(here.events)
    again(here, 900, flapping=figures(3, 60, 2))
    assert here.world.calm.is_flapping("check:home"), "it goes on where it was"
    here.wait(901)
    assert incidents(here)[-1] == "resolved"
    assert "holds still since" in " ".join(here.sentences[told:])
    here.done(9000)


def test_a_shorter_span_forgets_what_is_too_old_for_it() -> None:
    here = flap(story(), 100, 400)
    again(here, 1000, flapping=figures(3, 2, 1))
    here.wait(1001)
    assert not here.world.calm.bouts
    flap(here, 1100)
    assert incidents(here) == FIRST_TWO + FIRST_TWO[:3]
    here.done(9000)


def test_a_restart_goes_by_the_figures_of_its_file() -> None:
    here = flap(story(), 100, 400)
    here.restart(500, checks={"home": check("home", flapping=figures(5, 60, 30))})
    flap(here, 700)
    assert not here.world.calm.is_flapping("check:home")
    here.done(9000)


def test_a_service_has_figures_of_its_own() -> None:
    here = shop(flapping=figures(2, 30, 10))
    flap(here, 100, name="a")
    flap(here, 400, name="b")
    assert "Web shop is flapping: it got worse 2 times within 30 min" in " ".join(here.sentences)
    plan = here.world.plan
    service = replace(plan.services["shop"], flapping=None)
    reloaded(here, *plan.checks.values(), at=500, services={"shop": service})
    here.wait(501)
    assert incidents(here)[-1] == "resolved"
    here.done(9000)
