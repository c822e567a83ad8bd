"""What is told of checks that depend on others: nothing, while a failing one explains it, or may do so."""

from __future__ import annotations

from dataclasses import replace

from monitor.core.following import GRACE
from monitor.core.suppression import PATIENCE
from probes.contract import Reason
from tests.core.builders import above, check, moment, world
from tests.core.stories import begun, journal_of
from tests.core.succeeded import ROUTES, sound
from tests.core.tiers import CHAIN, Tiers, linked, restarted, tiers


def test_children_of_a_failing_check_join_its_incident_and_are_not_told() -> None:
    story = tiers()
    story.kill("database", 30)
    story.kill("app", 35)
    story.kill("front", 40)
    assert story.incidents[0] == ("opened", "database", "outage")
    assert {root for _, root, _ in story.incidents} == {"database"}
    assert story.checks == [("database", "down")]
    assert {event["incident"]["id"] for event in story.events if "incident" in event} == {
        story.world.services["front"].incident.id  # type: ignore[union-attr]
    }
    assert story.world.judges["front"].state == "down", "looks and states go on"
    story.see(59, "front")
    assert story.asked[-1] == ("app", "database"), "it answers: so they may, too, however seldom they are looked at"
    story.see(59.5, "front")
    assert story.asked[-1] == ()
    for name in ("database", "app", "front"):
        story.heal(name, 60)
    assert story.incidents[-1] == ("resolved", "database", "resolved")
    assert [kind for kind, *_ in story.incidents].count("resolved") == 1
    assert story.checks == [("database", "down"), ("database", "degraded"), ("database", "up")]
    sound(story)


def test_children_that_fail_first_wait_for_word_of_their_parents() -> None:
    story = tiers()
    story.see(30, "front", Reason.REFUSED)
    assert story.asked[-1] == (), "one lost packet moves nobody"
    story.see(31, "front", Reason.REFUSED)
    assert story.asked[-1] == ("app", "database")
    story.see(31.5, "app", Reason.REFUSED)
    story.see(31.5, "database", Reason.REFUSED)
    story.see(32, "front", Reason.REFUSED)
    assert story.world.judges["front"].state == "down"
    assert story.told("incident") == []
    assert story.told("check") == []
    for at in (32.5, 33.5):
        story.see(at, "app", Reason.REFUSED)
    assert story.world.judges["app"].state == "down"
    assert story.told("incident") == [], "the database is still suspicious"
    for at in (32.5, 33.5):
        story.see(at, "database", Reason.REFUSED)
    assert story.incidents == [("opened", "database", "outage")]
    assert story.checks == [("database", "down")]
    assert story.events[-1]["incident"]["services"] == ["database", "app", "front"]
    sound(story)


def test_nobody_waits_for_a_parent_that_has_been_seen_well() -> None:
    story = tiers()
    story.see(30, "app", Reason.REFUSED)
    story.see(31, "app", Reason.REFUSED)
    story.see(31.5, "database")
    story.see(32, "app", Reason.REFUSED)
    assert story.checks == [("app", "down")]
    assert story.incidents == [("opened", "app", "outage")]
    story.heal("app", 60)
    assert story.checks[-1] == ("app", "up")
    sound(story)


def test_nobody_waits_longer_than_ten_seconds() -> None:
    story = tiers()
    story.kill("app", 30)
    assert story.events == [event for event in story.events if event["type"] == "service.changed"]
    assert story.world.next_due == moment(32 + PATIENCE).tick
    story.wait(32 + PATIENCE)
    assert story.checks == [("app", "down")]
    assert story.incidents == [("opened", "app", "outage")]
    sound(story)


def test_what_is_suppressed_stays_so_over_a_restart_and_is_told_if_it_lasts() -> None:
    story = tiers()
    story.kill("database", 30)
    story.kill("app", 35)
    assert story.world.judges["app"].suppressed_by == "database"
    again = restarted(story, linked(CHAIN), at=50)
    assert again.world.judges["app"].suppressed_by == "database"
    again.kill("app", 55)
    again.heal("database", 60)
    assert again.checks == [("database", "down"), ("database", "degraded"), ("database", "up")]
    again.wait(70 + GRACE - 5)
    assert again.incidents[-1][1] == "database", "it may only be slow to follow"
    again.wait(75 + GRACE)
    assert again.checks[-1] == ("app", "down")
    assert again.incidents[-1] == ("updated", "app", "outage")
    again.heal("app", 80 + GRACE)
    assert again.checks[-1] == ("app", "up")
    assert again.incidents[-1] == ("resolved", "app", "resolved")
    sound(again)


def test_what_waited_when_the_agent_died_is_told_after_the_restart() -> None:
    story = tiers()
    story.kill("app", 30)
    assert story.checks == []
    again = restarted(story, linked(CHAIN), at=40)
    assert again.world.judges["app"].waits
    again.see(41, "app", Reason.REFUSED)
    assert again.told("incident") == []
    again.see(42, "database")
    again.wait(60)
    assert again.checks == [("app", "down")]
    assert again.incidents == [("opened", "app", "outage")]
    sound(again)


def test_a_dependency_that_was_only_slow_for_long_is_not_blamed() -> None:
    for slow_since, blamed in ((30.0, "app"), (1200.0, "database")):
        checks = [check("database", above(1)), check("app", depends_on=("database",))]
        story = Tiers(world(*checks, routes=ROUTES))
        begun(story, ["database", "app"])
        for second in (0, 1, 1300 - slow_since):
            story.see(slow_since + second, "database", response_time=3)
        story.kill("app", 1300)
        story.see(1303, "database", response_time=3)
        story.wait(1320)
        roots = {
            event["incident"]["root"]
            for event in story.events
            if "app" in event.get("incident", {}).get("checks", ())
        }
        assert roots == {blamed}
        if blamed == "database":
            last = story.events[-1]["sentence"]
            assert "app: nothing listens on the port (and 1 more). The cause is probably database: response" in last
        sound(story)


def test_a_suppressed_check_that_turns_worse_than_its_dependency_explains_is_told() -> None:
    checks = [check("database", above(1)), check("app", above(1), depends_on=("database",))]
    story = Tiers(world(*checks, routes=ROUTES))
    begun(story, ["database", "app"])
    for at in (30, 31):
        story.see(at, "database", response_time=3)
    for at in (40, 41):
        story.see(at, "app", response_time=3)
    assert story.world.judges["app"].suppressed_by == "database"
    for at in range(100, 800, 100):
        story.see(at, "database", response_time=3)
        story.see(at, "app", response_time=3)
    story.see(1000, "database", response_time=3)
    story.see(1000, "app", Reason.REFUSED, response_time=3)
    story.see(1000.5, "app", Reason.REFUSED, response_time=3)
    story.see(1001, "database", response_time=3)
    story.see(1002, "app", Reason.REFUSED, response_time=3)
    assert story.checks[-1] == ("app", "down")
    assert story.events[-1]["state"] == {"old": "degradation", "new": "outage"}
    told = next(event for event in story.events if event["type"] == "check.changed" and event["check"]["id"] == "app")
    assert told["state"] == {"old": "up", "new": "down"}, "from what people were told last"
    sound(story)


def test_a_parent_whose_state_is_only_remembered_explains_nothing_yet() -> None:
    story = tiers()
    story.kill("database", 30)
    again = restarted(story, linked(CHAIN), at=50)
    again.kill("app", 60)
    assert again.world.judges["app"].waits
    again.see(63, "database", Reason.REFUSED)
    assert again.world.judges["app"].suppressed_by == "database"
    sound(again)


def test_trouble_that_cannot_be_judged_any_more_stays_untold() -> None:
    story = tiers()
    story.kill("database", 30)
    story.kill("app", 35)
    for at in (50, 70, 90):
        story.see(at, "app", Reason.NO_ROUTE)
    assert story.world.judges["app"].state == "unknown"
    assert all(name != "app" for name, _ in story.checks)
    for name in ("database", "app"):
        story.heal(name, 120)
    assert story.checks == [("database", "down"), ("database", "degraded"), ("database", "up")]
    sound(story)


def test_a_check_that_was_told_degraded_is_told_up_though_its_outage_was_suppressed() -> None:
    checks = [check("database"), check("app", above(1), depends_on=("database",))]
    story = Tiers(world(*checks, routes=ROUTES))
    begun(story, ["database", "app"])
    for at in (30, 31):
        story.see(at, "app", response_time=3)
    story.see(32, "database")
    story.wait(45)
    assert story.checks == [("app", "degraded")]
    story.kill("database", 50)
    story.kill("app", 55)
    for name in ("database", "app"):
        for second in range(14):
            story.see(80 + second, name, response_time=0.1)
    ends = [
        (e["state"]["old"], e["state"]["new"])
        for e in story.events
        if e.get("check", {}).get("id") == "app" and e["type"] == "check.changed"
    ]
    assert ends == [("up", "degraded"), ("degraded", "up")]
    sound(story)


def test_nothing_is_told_of_what_cannot_be_judged_when_its_time_has_come() -> None:
    story = tiers()
    story.kill("database", 30)
    story.kill("app", 35)
    for at in (50, 70, 90):
        story.see(at, "app", Reason.NO_ROUTE)
    story.heal("database", 100)
    story.wait(100 + 2 * GRACE)
    assert all(name != "app" for name, _ in story.checks)
    story.heal("app", 110 + 2 * GRACE)
    assert all(name != "app" for name, _ in story.checks)
    sound(story)


def test_what_nobody_can_have_written_of_untold_trouble_costs_no_state() -> None:
    story = tiers()
    story.kill("app", 30)
    kept = journal_of(story)
    record = kept.checks["app"]
    for strange in ({"told": "up", "previous": None, "by": None}, {"told": "late"}, 7):
        broken = replace(record, snapshot={**record.snapshot, "untold": strange})
        checks = linked(CHAIN)
        journal = replace(kept, checks={**kept.checks, "app": broken})
        again = world(*checks, routes=ROUTES, journal=journal, at=40)
        assert (again.judges["app"].state, again.judges["app"].untold) == ("down", None)
