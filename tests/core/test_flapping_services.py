"""Services that flap, by checks of which none does, and with checks that do."""

from __future__ import annotations

from typing import Any

from monitor.core.model import OutageRule, Service
from tests.core.builders import check, world
from tests.core.calmly import FIRST_TWO, Calmly, flap, incidents
from tests.core.stories import begun
from tests.core.succeeded import ROUTES, reloaded

HOUR = 3600.0


def shop(**fields: Any) -> Calmly:
    names = ("a", "b", "c")
    service = Service("shop", "Web shop", names, OutageRule(1, names), **fields)
    here = Calmly(world(*(check(name, service="shop") for name in names), services={"shop": service}, routes=ROUTES))
    begun(here, names)
    return here


def test_a_service_flaps_by_checks_of_which_none_does() -> None:
    here = shop()
    for at, name in ((100, "a"), (400, "b"), (700, "c"), (1000, "a"), (1300, "b")):
        flap(here, at, name=name)
    assert incidents(here) == [*FIRST_TWO, "opened", "updated"], "updated, as there are more and more checks in it"
    assert len([text for text in here.sentences if "Web shop is flapping: it got worse 3 times" in text]) == 1
    assert here.world.services["shop"].state == "outage"
    here.wait(700 + 2 + HOUR)
    here.done(9000)
    assert incidents(here)[-1] == "resolved"


def test_a_service_that_flaps_on_is_summed_up_and_may_end_badly() -> None:
    here = shop()
    for number in range(11):
        flap(here, 100 + 1500 * number, name="abc"[number % 3])
    assert [event["type"] for event in here.events if "Web shop is still flapping" in event["sentence"]] == [
        "incident.updated"
    ] * 2
    here.kill("a", 100 + 1500 * 11)
    here.wait(100 + 1500 * 11 + 2000)
    assert here.events[-1]["type"] == "incident.updated"
    assert "Web shop holds still since" in here.events[-1]["sentence"]
    here.heal("a", 100 + 1500 * 11 + 2100)
    assert incidents(here)[-1] == "resolved"
    here.done(90_000)


def test_a_check_that_flaps_is_told_with_the_incident_that_another_keeps_open() -> None:
    here = shop()
    here.kill("a", 50)
    flap(here, 100, 400, 700, 1000, name="b")
    assert [text for text in here.sentences if "b is flapping" in text][1].startswith("Web shop has an outage")
    before = len(here.events)
    here.wait(4000)
    assert here.told()[before:] == [("check.changed", "up"), ("incident.updated", "outage")]
    assert here.sentences[-1].endswith("bad for 2% of it.")
    here.heal("a", 4100)
    assert incidents(here)[-1] == "resolved"
    here.done(9000)


def test_a_service_that_is_removed_is_forgotten() -> None:
    here = shop()
    for at, name in ((100, "a"), (400, "b"), (700, "c")):
        flap(here, at, name=name)
    reloaded(here, check("z"), at=800)
    here.done(9000)
    assert here.journal.notes == {}


def test_a_service_may_be_left_alone() -> None:
    here = shop(flapping=None)
    for at, name in ((100, "a"), (400, "b"), (700, "c")):
        flap(here, at, name=name)
    assert incidents(here) == ["opened", "updated", "resolved"] * 3


def test_of_checks_that_flap_together_incidents_tell_once() -> None:
    here = shop()
    for at in (100, 400, 700, 1000, 1300, 1600, 1900, 2200, 2500, 2800, 3100, 3400, 3700, 4000, 4300, 4600):
        for name in "abc":
            here.kill(name, at)
        for name in "abc":
            here.heal(name, at + 10)
    begins = [event for event in here.events if "is flapping" in event["sentence"]]
    assert sorted(event["type"] for event in begins if event["sentence"].startswith("b")) == ["check.changed"]
    digests = [event["type"] for event in here.events if "still flapping" in event["sentence"]]
    assert sorted(digests) == ["check.changed"] * 3 + ["incident.updated"]
    before = len(here.events)
    here.done(9000)
    assert [kind for kind, _ in here.told()[before:]].count("incident.resolved") == 1
    assert "incident.updated" not in [kind for kind, _ in here.told()[before:]]
