"""What fails because a check that it depends on is in maintenance: nobody is paged for it, and nobody misses it."""

from __future__ import annotations

from typing import Any

from monitor.core.agenda import AT_ONCE
from monitor.core.calm import RECONSIDER
from monitor.core.calming import maintain
from monitor.core.flags import explained_by, flags, service_flags
from monitor.core.following import GRACE
from monitor.core.suppression import PATIENCE
from probes.contract import Reason
from tests.core.builders import above, check, look, moment, world
from tests.core.calmly import Calmly, once
from tests.core.stories import begun
from tests.core.succeeded import ROUTES, reloaded

NAMES = ("database", "app", "front")
OPENED = ("incident.opened", "outage")


def tiers(**of_the_database: Any) -> Calmly:
    """A front that depends on an application that depends on a database, each a service of its own."""
    conditions = of_the_database.pop("conditions", ())
    here = Calmly(
        world(
            check("database", *conditions, **of_the_database),
            check("app", depends_on=("database",)),
            check("front", depends_on=("app",)),
            routes=ROUTES,
        )
    )
    begun(here, NAMES)
    return here


def kept_back(here: Calmly, name: str) -> bool:
    return explained_by(here.world, here.world.judges[name]) == "database"


def incidents(here: Calmly) -> list[tuple[str, str]]:
    return [
        (event["type"].removeprefix("incident."), event["incident"]["root"])
        for event in here.events
        if event["type"].startswith("incident.")
    ]


def test_nobody_is_paged_for_what_a_maintained_database_takes_along() -> None:
    here = tiers()
    here.maintain(once(10, 1000, "database"), 10)
    for at, name in ((20, "database"), (25, "app"), (30, "front")):
        here.kill(name, at)
    assert here.told() == []
    assert [here.world.judges[name].state for name in NAMES] == ["down"] * 3, "looks and states go on"
    assert [here.world.services[name].state for name in NAMES] == ["operational"] * 3
    assert [flags(here.world, here.world.judges[name]) for name in NAMES] == [
        ("maintenance",), ("suppressed",), ("suppressed",),
    ]  # fmt: skip
    assert kept_back(here, "front"), "also through one that is in no window itself"
    assert service_flags(here.world, here.world.services["front"]) == ("maintenance",)
    for name in NAMES:
        here.heal(name, 100)
    assert here.told() == []
    assert flags(here.world, here.world.judges["app"]) == ()
    here.done(9000)
    assert here.told() == []
    assert here.journal.notes == {}


def test_what_fails_first_is_kept_back_until_the_database_is_known_to_be_well() -> None:
    here = tiers()
    here.maintain(once(10, 1000, "database"), 10)
    here.kill("app", 20)
    assert here.told() == []
    here.see(23, "database", Reason.REFUSED)
    here.wait(22 + PATIENCE)
    assert here.told() == [], "it is suspicious"
    here.heal("database", 35)
    here.wait(47 + RECONSIDER)
    assert here.told() == [("check.changed", "down"), ("service.changed", "outage"), OPENED]
    assert here.sentences[0] == (
        "app is down since 12:00:20 UTC: nothing listens on the port. database, which it depends on, is in "
        "maintenance, and is well."
    )
    here.heal("app", 100)
    here.done(9000)


def test_a_database_that_answers_at_once_delays_by_ten_seconds_at_most() -> None:
    here = tiers()
    here.maintain(once(10, 1000, "database"), 10)
    here.kill("app", 20)
    here.see(23, "database")
    assert here.told() == []
    here.wait(22 + PATIENCE)
    assert here.told("incident") == [OPENED]
    here.done(9000)


def test_what_breaks_by_itself_that_night_is_told_of() -> None:
    here = tiers()
    here.maintain(once(10, 1000, "database"), 10)
    here.see(20, "app", Reason.REFUSED)
    here.see(20.5, "database")
    here.kill("app", 21)
    assert incidents(here) == [("opened", "app")]
    here.done(9000)


def test_at_the_end_one_incident_names_the_database() -> None:
    here = tiers()
    here.maintain(once(10, 100, "database"), 10)
    for at, name in ((20, "front"), (21, "database"), (30, "app")):
        here.kill(name, at)
    here.wait(99)
    assert here.told() == []
    here.wait(100)
    assert here.told("check") == [("check.changed", "down")]
    assert incidents(here)[0] == ("opened", "database")
    assert {root for _, root in incidents(here)} == {"database"}
    incident = here.world.services["front"].incident
    assert incident is not None
    assert set(incident.services) == set(NAMES)
    assert [here.world.judges[name].suppressed_by for name in NAMES] == [None, "database", "database"]
    for name in NAMES:
        here.heal(name, 200)
    assert incidents(here)[-1] == ("resolved", "database")
    here.done(9000)


def test_what_is_slow_to_follow_has_its_time_also_beyond_the_end() -> None:
    here = tiers()
    here.maintain(once(10, 100, "database"), 10)
    here.kill("database", 20)
    here.kill("app", 25)
    here.heal("database", 60)
    here.wait(60 + GRACE)
    assert here.told() == [], "a connection pool may take a minute"
    here.wait(60 + 12 + GRACE + RECONSIDER)
    assert incidents(here) == [("opened", "app")]
    assert here.sentences[0].endswith("The maintenance is over.")
    here.done(9000)


def test_what_does_not_follow_is_told_though_the_window_goes_on() -> None:
    here = tiers()
    here.maintain(once(10, 5000, "database"), 10)
    here.kill("database", 20)
    here.kill("app", 25)
    here.heal("database", 60)
    here.wait(60 + 12 + GRACE + RECONSIDER)
    assert incidents(here) == [("opened", "app")]
    here.kill("database", 600)
    assert incidents(here) == [("opened", "app")]
    here.heal("app", 700)
    here.heal("database", 800)
    assert incidents(here)[-1] == ("resolved", "app"), "what gets better is told"
    here.done(9000)


def test_a_restart_within_and_one_after_the_end() -> None:
    here = tiers()
    here.maintain(once(10, 100, "database"), 10)
    here.kill("database", 20)
    here.kill("app", 25)
    here.restart(50)
    assert kept_back(here, "app")
    here.see(60, "app", Reason.REFUSED)
    here.see(61, "database", Reason.REFUSED)
    here.wait(90)
    assert here.told() == []
    here.restart(200)
    here.see(210, "app", Reason.REFUSED)
    assert here.told("incident") == [], "it waits for word of the database"
    here.see(212, "database", Reason.REFUSED)
    assert {root for _, root in incidents(here)} == {"database"}
    assert here.told("check") == [("check.changed", "down")]
    for name in ("database", "app"):
        here.heal(name, 300)
    here.done(9000)


def test_a_database_that_was_slow_for_long_shelters_nobody() -> None:
    here = tiers(conditions=(above(1),))
    for at in (30, 31):
        here.see(at, "database", response_time=3)
    here.maintain(once(1000, 5000, "database"), 1000)
    here.see(1300, "app", Reason.REFUSED)
    here.see(1300.5, "database", response_time=3)
    here.kill("app", 1301)
    assert ("opened", "app") in incidents(here)
    here.done(9000)


def test_a_database_that_cannot_be_judged_shelters() -> None:
    here = tiers()
    here.maintain(once(10, 5000, "database"), 10)
    for at in (20, 40, 60):
        here.see(at, "database", Reason.NO_ROUTE)
    here.kill("app", 70)
    assert here.told() == []
    here.heal("database", 100)
    here.heal("app", 120)
    here.done(9000)
    assert here.told() == []


def test_what_flaps_with_it_does_not_count() -> None:
    here = tiers()
    here.maintain(once(10, 5000, "database"), 10)
    for at in (100, 400, 700, 1000):
        here.kill("database", at)
        here.kill("app", at + 1)
        here.heal("database", at + 20)
        here.heal("app", at + 20)
    assert not here.world.calm.bouts
    here.done(9000)
    assert here.told() == []


def test_a_reload_that_takes_the_dependency_away() -> None:
    here = tiers()
    here.maintain(once(10, 5000, "database"), 10)
    here.kill("database", 20)
    here.kill("app", 25)
    reloaded(here, check("database"), check("app"), check("front", depends_on=("app",)), at=50)
    here.wait(51)
    assert here.told() == [], "the database is why it is so, all the same"
    reloaded(here, check("app"), check("front", depends_on=("app",)), at=60)
    here.wait(61)
    assert incidents(here) == [("opened", "app")]
    here.done(9000)


def test_what_was_told_before_is_told_of_its_end() -> None:
    here = tiers()
    here.see(20, "app", Reason.REFUSED)
    here.see(20.5, "database")
    here.kill("app", 21)
    here.maintain(once(100, 5000, "database"), 100)
    here.kill("database", 110)
    here.heal("app", 200)
    assert incidents(here)[-1] == ("resolved", "app")
    here.kill("app", 300)
    assert len(incidents(here)) == 3, "that it fails again waits"
    here.done(9000)


def test_a_check_that_is_removed_and_put_back_is_in_its_window_again() -> None:
    here = tiers()
    here.maintain(once(10, 500, "app"), 10)
    here.kill("app", 20)
    reloaded(here, check("database"), check("front"), at=30)
    here.wait(31)
    assert here.world.calm.covered == {}
    reloaded(here, check("database"), check("app", depends_on=("database",)), check("front"), at=40)
    here.wait(41)
    assert here.world.calm.covered.keys() == {"app"}
    here.kill("app", 50)
    assert here.told("incident") == here.told("check") == []
    here.wait(499)
    here.see(499, "app", Reason.REFUSED)
    here.wait(520)
    assert incidents(here) == [("opened", "app")]
    here.done(9000)


def test_what_a_journal_has_lost_of_it_is_written_down_again() -> None:
    here = tiers()
    here.maintain(once(10, 5000, "database"), 10)
    here.kill("front", 12)
    here.heal("front", 30)
    here.kill("database", 100)
    here.kill("app", 105)
    here.wait(110)
    known = {note.name: note.value for note in here.world.everything(moment(here.now)).notes}
    assert known == here.journal.notes
    assert {name.partition(":")[0] for name in known} == {"maintenance", "told"}


def test_what_breaks_right_after_it_is_back_may_only_be_slow_to_follow() -> None:
    here = tiers()
    here.maintain(once(10, 5000, "database"), 10)
    here.kill("database", 20)
    here.heal("database", 40)
    here.kill("app", 60)
    here.wait(40 + GRACE)
    assert here.told() == []
    here.wait(60 + GRACE + RECONSIDER)
    assert incidents(here) == [("opened", "app")]
    here.done(9000)


def test_many_that_hang_on_it_are_told_a_part_at_a_time() -> None:
    """So that looks go on in between; and the window may begin again, and a check heal, before it is their turn."""
    names = [f"c{number:02}" for number in range(2 * AT_ONCE)]
    here = Calmly(world(check("host"), *(check(name, depends_on=("host",)) for name in names), routes=ROUTES))
    begun(here, ("host", *names))
    here.maintain(once(10, 100, "host"), 10)
    here.kill("host", 20)
    for name in names:
        here.kill(name, 25)
    here.wait(99)
    here.keep(here.world.elapse(moment(100)))
    left = len(names) + 1 - AT_ONCE
    assert len(here.world.calm.held) == left
    for second in range(12):
        here.keep(here.world.observe(look(100 + second, check=names[-1])).change)
    here.keep(maintain(here.world, once(113, 200, "host", name="again"), moment(113)))
    here.wait(199)
    assert len(here.world.calm.held) == left - 1, "one is well, and the others wait"
    here.done(300)
    assert not here.world.calm.held
    assert {root for _, root in incidents(here)} == {"host"}
    assert here.told("check") == [("check.changed", "down")]
