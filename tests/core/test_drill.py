"""Drills: told like an incident and marked as none; no state, no incident and no uptime of theirs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from monitor.core import drill, handling
from monitor.core.model import EventType, Impact, Moment, Note
from monitor.core.rota import Directory
from monitor.core.routing import Policy, Route, Step, Term
from monitor.core.succession import succeed
from tests.core.builders import moment
from tests.core.calmly import Calmly
from tests.core.stories import SCHEMA, begun, shop


def story() -> Calmly:
    here = Calmly(shop())
    begun(here)
    return here


def play(here: Calmly, at: float, impact: Impact = Impact.OUTAGE, lasts: float = 60, **more: Any) -> drill.Drill:
    here.wait(at)
    played, change = drill.begin(here.world, "shop", impact, lasts, moment(at), **more)
    here.keep(change)
    return played


def test_it_opens_and_resolves_and_changes_nothing() -> None:
    here = story()
    before = {name: status.state for name, status in here.world.services.items()}
    played = play(here, 10, by="ann")
    assert played.incident.id.startswith("drill-")
    assert here.told() == [("incident.opened", "outage")]
    opened = here.events[-1]
    assert opened["drill"] is True
    assert opened["sentence"] == ("[DRILL] Web shop plays an outage by ann: nothing is wrong, see that this arrives.")
    assert opened["incident"]["id"] == played.incident.id
    assert opened["reason"] is None
    assert "check" not in opened
    here.wait(69)
    assert len(here.told()) == 1
    here.wait(70)
    assert here.told()[1:] == [("incident.resolved", "resolved")]
    assert here.events[-1]["sentence"] == "[DRILL] The drill of Web shop is over after 1 min."
    assert here.events[-1]["drill"] is True
    assert {name: status.state for name, status in here.world.services.items()} == before
    assert all(not change.incidents and not change.transitions for change in here.changes[-2:])
    assert here.journal.notes == {}
    assert here.world.drills == {}
    for event in here.events:
        SCHEMA.validate(event)


def test_who_is_told() -> None:
    here = story()
    here.world.plan = replace(
        here.world.plan,
        sinks=frozenset({"pager", "chat"}),
        routes=(Route(("pager",), Term("impact", "outage")), Route(("chat",), Term("impact", "degradation"))),
    )
    assert play(here, 10).incident.told == {"pager"}
    assert play(here, 11, Impact.DEGRADATION).incident.told == {"chat"}
    assert "plays a degradation:" in here.events[-1]["sentence"]
    only = play(here, 12, only=("chat",))
    assert only.incident.told == {"chat"}
    here.wait(100)
    ends = [event for event in here.changes[-1].events if event.type is EventType.INCIDENT_RESOLVED]
    assert [event.sinks for event in ends] == [("chat",)]


@pytest.mark.parametrize(
    ("service", "lasts", "only", "told"),
    [
        ("shops", 60.0, (), "no service has this name"),
        ("shop", 0.0, (), "it must last more than 0 s, and at most 1 h"),
        ("shop", 3601.0, (), "at most 1 h"),
        ("shop", 60.0, ("pagers",), "no sink is called pagers"),
    ],
)
def test_what_is_no_drill(service: str, lasts: float, only: tuple[str, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        drill.begin(story().world, service, Impact.OUTAGE, lasts, moment(1), only=only)


def test_only_so_many_at_a_time() -> None:
    here = story()
    names = {play(here, 10).incident.id for _ in range(drill.MOST)}
    assert len(names) == drill.MOST
    with pytest.raises(ValueError, match="wait for their ends"):
        play(here, 10)


def test_its_end_is_owed_after_a_restart() -> None:
    here = story()
    played = play(here, 10)
    assert drill.notes(here.world) == (Note(f"drill:{played.incident.id}", played.as_json()),)
    assert drill.notes(here.world)[0] in here.world.everything(moment(11)).notes
    here.restart(40)
    assert here.world.drills[played.incident.id] == played
    here.wait(70)
    assert here.told()[1:] == [("incident.resolved", "resolved")]
    here.restart(80)
    assert here.world.drills == {}


@pytest.mark.parametrize("odd", [{"service": 1}, {"ends": None}, {"ends": 1e11}, {"ends": 0.0}, {"told": 7}])
def test_a_note_of_another_version_is_forgotten_at_the_start(odd: dict[str, Any]) -> None:
    here = story()
    played = play(here, 10)
    name = f"drill:{played.incident.id}"
    value = odd if "service" in odd else played.as_json() | odd
    here.keep(replace(here.changes[-1], events=(), notes=(Note(name, value), Note("other:1", 1))))
    here.restart(40)
    assert here.world.drills == {}
    assert Note(name, None) in here.changes[-1].notes, "or it would be there for ever"
    here.wait(4000)
    assert here.told()[1:] == []


def test_the_longest_there_is_goes_on_after_a_restart() -> None:
    here = story()
    played = play(here, 0.1, lasts=drill.LONGEST)
    here.restart(40)
    assert here.world.drills == {played.incident.id: played}


def test_a_service_that_has_gone_meanwhile() -> None:
    here = story()
    played = play(here, 10)
    plan = here.world.plan
    here.world, change = succeed(here.world, replace(plan, checks={}, services={}), moment(20))
    here.keep(change)
    here.wait(70)
    assert here.events[-1]["sentence"] == "[DRILL] The drill of shop is over after 1 min."
    assert drill.due(here.world, played.incident.id, moment(71)) is None


STEPS = Policy((Step(timedelta(minutes=5), ("sms",)), Step(timedelta(minutes=15), ("call",))))


def escalating() -> Calmly:
    here = story()
    routes = (Route(("chat",), Term("impact", "outage"), STEPS),)
    names = frozenset({"chat", "sms", "call"})
    here.world.plan = replace(here.world.plan, sinks=names, routes=routes, roster=Directory(names))
    return here


def recipients(here: Calmly) -> list[tuple[str, tuple[str, ...]]]:
    return [(event.type.value, event.sinks) for change in here.changes for event in change.events]


def test_the_steps_of_an_escalation_are_taken_in_the_time_there_is() -> None:
    here = escalating()
    assert play(here, 0).pace == pytest.approx(48 / 900)
    assert "The waits of the escalation are 18.8 times as short as in earnest." in here.events[-1]["sentence"]
    here.wait(15)
    assert recipients(here) == [("incident.opened", ("chat",))]
    here.wait(16)
    assert here.events[-1]["update"] == {
        "kind": "escalated", "by": None, "text": "Nobody has acknowledged it: sms is told."
    }  # fmt: skip
    assert here.events[-1]["sentence"] == "[DRILL] Web shop: Nobody has acknowledged it: sms is told."
    here.restart(30)
    here.wait(100)
    assert recipients(here) == [
        ("incident.opened", ("chat",)),
        ("incident.updated", ("sms",)),
        ("incident.updated", ("call",)),
        ("incident.resolved", ("call", "chat", "sms")),
    ]
    for event in here.events:
        SCHEMA.validate(event)


def test_whoever_has_it_ends_the_calling() -> None:
    here = escalating()
    played = play(here, 0, only=("chat", "sms"))
    here.wait(20)
    here.keep(handling.acknowledge(here.world, played.incident.id, "ann", moment(20)))
    assert handling.acknowledge(here.world, played.incident.id, "bob", moment(21)) is None
    assert here.events[-1]["sentence"] == "[DRILL] Web shop: ann has it."
    here.restart(30)
    here.wait(100)
    assert [kind for kind, _ in recipients(here)] == [
        "incident.opened", "incident.updated", "incident.updated", "incident.resolved"
    ]  # fmt: skip
    assert recipients(here)[-1] == ("incident.resolved", ("chat", "sms"))


def test_a_long_one_keeps_the_waits() -> None:
    here = escalating()
    assert play(here, 0, lasts=3600).pace == 1.0
    here.wait(299)
    assert len(here.events) == 1
    here.wait(300)
    assert recipients(here)[-1] == ("incident.updated", ("sms",))


def test_a_clock_that_is_set_ends_it() -> None:
    here = escalating()
    played = play(here, 0)
    back = Moment(moment(-100).at, moment(16).tick)
    here.keep(drill.due(here.world, played.incident.id, back))
    assert here.events[-1]["sentence"] == "[DRILL] The drill of Web shop is over after 0 s."
