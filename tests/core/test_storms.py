"""Thousands of checks of one cause: what is decided of them is done in slices, and comes to the same."""

from __future__ import annotations

from typing import Any

from monitor.core.agenda import AT_ONCE
from monitor.core.following import GRACE, MERGE
from monitor.core.suppression import PATIENCE, RELEASED
from probes.contract import Reason
from tests.core.builders import check, moment
from tests.core.succeeded import sound
from tests.core.tiers import Tiers, tiers

MANY = [f"c{number:02}" for number in range(5 * AT_ONCE)]
HOST = {"host": (), **dict.fromkeys(MANY, ("host",))}


def told_one_by_one() -> Tiers:
    """The host is slower to fail than all that hangs on it: nobody could wait for it for so long."""
    story = tiers(HOST)
    for name in MANY:
        story.kill(name, 30)
    story.wait(34 + PATIENCE)
    assert len(story.world.cases) == len(MANY)
    story.changes.clear()
    return story


def of_incidents(story: Tiers) -> list[dict[str, Any]]:
    return [event for event in story.events if "incident" in event]


def test_incidents_of_one_cause_are_merged_a_few_at_a_time() -> None:
    story = told_one_by_one()
    story.kill("host", 60)
    (change,) = (item for item in story.changes if item.incidents)
    assert len(change.incidents) == AT_ONCE + 1
    story.wait(63)
    assert all(len(item.incidents) <= AT_ONCE + 1 for item in story.changes)
    (case,) = story.world.cases.values()
    assert set(case.incident.services) == set(HOST)
    assert case.incident.root == "host"
    ended = [event for event in of_incidents(story) if event["type"] == "incident.resolved"]
    assert [event["incident"]["merged_into"] for event in ended] == [case.incident.id] * (len(MANY) - 1)
    told = [event for event in of_incidents(story) if event["type"] == "incident.updated"]
    assert len(told) <= 4, "at first, when it has doubled, and when all are in it"
    assert f"and {len(MANY)} more services" in told[-1]["sentence"]
    for name in HOST:
        story.heal(name, 90)
    assert story.world.cases == {}
    sound(story)


def test_what_has_ended_meanwhile_is_not_merged() -> None:
    story = told_one_by_one()
    story.kill("host", 60)
    (growing,) = (case for case in story.world.cases.values() if case.merging)
    gone = next(iter(growing.merging)).incident
    story.heal(gone.root, 62)
    story.wait(70)
    ends = [event for event in of_incidents(story) if event["incident"]["id"] == gone.id]
    assert [event["type"] for event in ends].count("incident.resolved") == 1
    assert len(story.world.cases) == 1


def test_an_incident_that_is_merged_itself_hands_on_what_it_would_have_taken_in() -> None:
    story = tiers({"rack": (), "disk": ("rack",), "host": ("rack",), **dict.fromkeys(MANY, ("host",))})
    story.kill("disk", 15)
    story.wait(18 + PATIENCE)
    for name in MANY:
        story.kill(name, 30)
    story.wait(34 + PATIENCE)
    story.kill("host", 60)
    while not any(case.merging for case in story.world.cases.values()):
        story.keep(story.world.elapse(moment(63 + PATIENCE)))
    story.kill("rack", 75)
    assert len(story.world.cases) > 2 * AT_ONCE
    story.wait(80)
    (case,) = story.world.cases.values()
    assert set(case.services) == {"rack", "disk", "host", *MANY}
    assert not case.merging
    ended = [event["incident"]["id"] for event in of_incidents(story) if event["type"] == "incident.resolved"]
    assert len(ended) == len(set(ended)) == len(MANY)
    for name in ("rack", "disk", "host", *MANY):
        story.heal(name, 95)
    assert story.world.elapse(moment(200)) is None
    sound(story)


def test_an_incident_that_is_over_takes_in_no_other() -> None:
    story = told_one_by_one()
    story.kill("host", 60)
    (growing,) = (case for case in story.world.cases.values() if case.merging)
    for name in list(growing.services):
        story.world.services[name].case = None
    del story.world.cases[growing.incident.id]
    before = len(story.changes)
    story.wait(70)
    assert not story.world.agenda.holds(MERGE, growing.incident.id)
    assert all(not change.incidents for change in story.changes[before:])


def test_what_a_dependency_has_suppressed_is_released_a_few_at_a_time() -> None:
    story = tiers(HOST)
    story.kill("host", 30)
    for name in MANY:
        story.kill(name, 31)
    assert story.checks == [("host", "down")]
    story.heal("host", 60)
    held = [name for name in MANY if story.world.agenda.holds(RELEASED, name)]
    assert len(held) == len(MANY) - AT_ONCE
    story.heal(held[-1], 62)  # it has followed at once
    del story.world.judges[held[-2]]  # as in the midst of a reload
    while (due := story.world.next_due) is not None and due <= moment(90).tick:
        story.keep(story.world.elapse(moment(due - moment(0).tick)))
    told = {name for name, _ in story.checks}
    assert told == {"host"}, "they have their time to follow"
    story.world.judges[held[-2]] = type(story.world.judges["host"])(check(held[-2]), None, moment(90))
    for name in MANY:
        if name not in held[-2:]:
            story.see(95, name, Reason.REFUSED)
    story.wait(100 + GRACE)
    assert {name for name, state in story.checks if state == "down"} == {"host", *MANY} - set(held[-2:])
