"""Flapping: one message when it begins, a digest while it lasts, one when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core import calming
from monitor.core.flapping import Bouts
from monitor.core.model import Flapping, State
from monitor.core.untold import Untold
from probes.contract import Reason
from tests.core.builders import above, check, moment, world
from tests.core.calmly import FIRST_TWO, Calmly, flap, incidents, once
from tests.core.stories import begun
from tests.core.succeeded import ROUTES, reloaded

POLICY = Flapping()
HOUR = 3600.0


def story(**fields: Any) -> Calmly:
    here = Calmly(world(check("home", **fields), routes=ROUTES))
    begun(here, ["home"])
    return here


def test_the_third_bout_within_an_hour_is_one_message() -> None:
    here = flap(story(), 100, 400)
    assert incidents(here) == FIRST_TWO
    flap(here, 700, 1000, 1300, 1600)
    assert incidents(here) == [*FIRST_TWO, "opened"]
    assert here.sentences[-1] == (
        "Home has an outage since 12:11:40 UTC: home: nothing listens on the port. home is flapping: it got worse 3 "
        "times within 1 h. Further changes are gathered until it holds still for 30 min."
    )
    assert [event["type"] for event in here.events[-3:]] == ["check.changed", "service.changed", "incident.opened"]
    assert here.world.judges["home"].state == "up", "the state is what it is"
    assert here.world.services["home"].state == "outage", "and counts as what was told"
    assert calming.is_well_now(here.world, here.world.services["home"])
    here.kill("home", 1900)
    assert not calming.is_well_now(here.world, here.world.services["home"])


def test_it_ends_when_it_has_held_still() -> None:
    here = flap(story(), 100, 400, 700, 1000)
    before = len(here.events)
    over = here.world.calm.bouts["check:home"].last - 1000 + 1800
    here.wait(over - 1)
    assert len(here.events) == before
    here.wait(over)
    assert here.told()[before:] == [
        ("check.changed", "up"), ("service.changed", "operational"), ("incident.resolved", "resolved")
    ]  # fmt: skip
    assert here.sentences[before] == (
        "home is up again after 5 min 10 s. home holds still since 12:16:59 UTC, after 6 changes within 35 min 17 s, "
        "bad for 2% of it."
    )
    assert here.events[-1]["incident"]["resolved"] == "2026-03-01T12:16:50.000Z", "dated back to the last good run"
    here.done(9000)
    assert here.journal.notes == {}
    flap(here, 10_000)
    assert incidents(here)[-3:] == ["opened", "updated", "resolved"], "what comes begins anew"


def test_it_ends_badly() -> None:
    here = flap(story(), 100, 400, 700)
    here.kill("home", 1000)
    before = len(here.events)
    here.wait(3000)
    assert here.told()[before:] == [("check.changed", "down"), ("incident.updated", "outage")]
    assert "home holds still since 12:16:42 UTC" in here.sentences[-1]
    here.heal("home", 3100)
    assert incidents(here)[-1] == "resolved"
    here.done(9000)


def test_a_digest_while_it_lasts() -> None:
    here = story()
    flap(here, *(100 + 600 * n for n in range(40)))
    digests = [event for event in here.events if "still flapping" in event["sentence"]]
    assert [event["type"] for event in digests] == ["check.changed", "incident.updated"] * 2
    assert [event["at"][11:19] for event in digests[::2]] == ["13:21:42", "15:21:42"]
    assert digests[0]["sentence"] == "home is still flapping: 18 changes within 1 h, bad for 3% of it."
    assert [text for text in here.sentences if ": ." in text] == [], "also of a check that is well at this moment"
    assert incidents(here).count("opened") == 3
    here.done(100 + 600 * 40 + 3000)
    assert incidents(here)[-1] == "resolved"


def test_what_gets_worse_than_what_was_told_is_told() -> None:
    slow = {"degraded": above(0.8)}
    here = Calmly(world(check("home", slow["degraded"]), routes=ROUTES))
    begun(here, ["home"])
    for at in (100, 400, 700):
        for second in range(3):
            here.see(at + second, response_time=2.0)
        for second in range(3):
            here.see(at + 10 + second, response_time=0.1)
    assert incidents(here) == ["opened", "resolved", "opened", "resolved", "opened"]
    assert here.world.services["home"].state == "degradation"
    here.kill("home", 1000)
    assert here.told("incident")[-1] == ("incident.updated", "outage")
    here.heal("home", 1100)
    flap(here, 1300)
    assert incidents(here)[-1] == "updated"
    here.done(9000)
    assert incidents(here)[-1] == "resolved"


@pytest.mark.parametrize("at", [90.0, 390.0, 690.0, 990.0, 2000.0])
def test_a_restart_goes_on_with_it(at: float) -> None:
    straight, restarted = story(), story()
    for begins in (100, 400, 700, 1000):
        if begins - 300 < at <= begins:
            restarted.restart(at)
        flap(straight, begins)
        flap(restarted, begins)
    if at == 2000:
        restarted.restart(at)
    for here in (straight, restarted):
        here.see(2100)
        here.done(9000)
    assert restarted.sentences == straight.sentences


def test_how_it_is_after_a_restart_is_told_when_it_was_seen() -> None:
    here = flap(story(), 100, 400, 700, 1000)
    here.restart(5000)
    assert incidents(here)[-1] == "opened"
    here.wait(5200)
    assert incidents(here)[-1] == "opened"
    here.see(5210)
    here.wait(5300)
    assert incidents(here)[-1] == "resolved"
    here.done(9000)


def test_a_long_outage_that_ends_slowly_is_one_bout() -> None:
    here = flap(story(), 100, 4000, 8000, 12_000)
    assert incidents(here) == ["opened", "updated", "resolved"] * 4


def test_falling_back_from_degraded_counts() -> None:
    up, degraded, down = State.UP, State.DEGRADED, State.DOWN
    bouts = Bouts(up)
    begins = [bouts.change(state, 10.0 * n, POLICY) for n, state in enumerate((degraded, down, degraded, down, up))]
    assert begins == [False] * 5
    assert bouts.count == 2
    assert bouts.change(State.UNKNOWN, 60, POLICY) is False
    assert bouts.change(degraded, 70, POLICY) is True


def test_off_tells_every_change() -> None:
    here = flap(story(flapping=None), 100, 400, 700, 1000, 1300)
    assert incidents(here) == ["opened", "updated", "resolved"] * 5
    assert here.journal.notes == {}


def test_it_is_turned_off_while_it_lasts() -> None:
    here = flap(story(), 100, 400, 700)
    reloaded(here, check("home", flapping=None), at=800)
    here.wait(801)
    assert incidents(here)[-1] == "resolved"
    here.done(9000)


def test_what_flaps_and_is_removed_ends_its_incident() -> None:
    here = flap(story(), 100, 400, 700)
    reloaded(here, check("other"), at=800)
    assert incidents(here)[-1] == "resolved"
    assert not here.world.calm.bouts
    here.done(9000)
    assert here.journal.notes == {}


def test_a_rename_takes_it_along() -> None:
    here = flap(story(), 100, 400, 700)
    reloaded(here, check("front", was=("home",)), at=800)
    assert here.world.calm.is_flapping("check:front")
    flap(here, 1000, name="front")
    assert incidents(here) == [*FIRST_TWO, "opened"]
    here.restart(1100)
    here.see(1110, "front")
    here.done(9000)
    assert incidents(here)[-1] == "resolved"


def test_in_maintenance_nothing_flaps_and_what_flaps_is_let_be() -> None:
    here = story()
    here.maintain(once(50, 2000, "home"), 50)
    flap(here, 100, 400, 700, 1000)
    assert here.told() == []
    assert not here.world.calm.bouts
    here = flap(story(), 100, 400, 700)
    here.maintain(once(800, 9 * HOUR, "home"), 800)
    flap(here, 1000, 1500, 2000, 2500)
    told = len(here.events)
    assert incidents(here)[-1] == "resolved", "the first that gets well within is told"
    here.done(10 * HOUR)
    assert len(here.events) == told


def test_sight_lost_while_it_flaps_changes_nothing() -> None:
    here = flap(story(), 100, 400, 700)
    before = len(here.events)
    for at in (800, 840, 880, 920):
        here.see(at, fails=Reason.NO_DESCRIPTORS)
    assert here.world.judges["home"].state == "unknown"
    assert len(here.events) == before
    here.wait(4000)
    assert [item for item in here.told()[before:] if not item[0].startswith("agent.")] == [
        ("check.changed", "unknown"), ("service.changed", "unknown"), ("incident.updated", "outage")
    ]  # fmt: skip
    here.done(9000)


def test_a_digest_that_falls_into_maintenance_is_not_told() -> None:
    here = flap(story(), 100, 400, 700, 1500, 2500, 3500)
    here.maintain(once(3600, 9000, "home"), 3600)
    here.wait(8000)
    assert [text for text in here.sentences if "still flapping" in text or "holds still since" in text] == []
    here.done(20_000)


def test_without_an_incident_there_is_nothing_to_say_it_with() -> None:
    here = flap(story(), 100, 400, 700)
    here.world.services["home"].case = None
    assert calming.say_of_incident(here.world, here.world.services["home"], moment(800).at, "x") is None


def test_what_flapped_and_is_there_no_more_by_a_restart_is_forgotten() -> None:
    here = flap(story(), 100, 400, 700)
    here.kill("home", 750)
    left = world(check("other"), routes=ROUTES).plan
    here.restart(800, checks=left.checks, services=left.services)
    here.done(9000)
    assert not here.world.calm.bouts
    assert not [name for name in here.journal.notes if name.startswith("flapping:")]


def test_a_rename_may_turn_it_off() -> None:
    here = flap(story(), 100, 400, 700)
    reloaded(here, check("front", was=("home",), flapping=None), at=800)
    here.wait(801)
    assert not here.world.calm.bouts
    here.see(810, "front")
    here.done(9000)
    assert here.journal.notes == {}


def test_of_what_nobody_was_told_there_is_no_digest() -> None:
    """Its failing dependency explains it."""
    here = flap(story(), 100, 400, 700, 1500, 2500, 3500)
    here.world.judges["home"].untold = Untold(State.UP, moment(0).at, "db")
    here.wait(4400)
    digests = [event["type"] for event in here.events if "still flapping" in event["sentence"]]
    assert digests == ["incident.updated"]
