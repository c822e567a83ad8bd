"""An `unknown` that lasts is told, once, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from monitor.core.model import Change, Event, Journal
from monitor.core.sight import Ailment, Trouble
from monitor.core.unjudged import LASTING, NOTE, PREFIX, Unjudged
from monitor.core.world import World
from probes.contract import Arrival, Observation, Passive, Presence, Reason
from tests.core.builders import check, look, moment, world


def blind(watched: World, *times: float, name: str = "home") -> None:
    for at in times:
        watched.observe(look(at, check=name, fails=Reason.DNS_SERVFAIL))


def events(change: Change | None) -> tuple[Event, ...]:
    return change.events if change else ()


def told(change: Change | None) -> list[tuple[str, str]]:
    return [(event.type.value, event.body["sentence"]) for event in events(change)]


def kinds(change: Change | None) -> list[str]:
    return [event.type.value for event in events(change)]


def unknown(*names: str, since: float = 30) -> World:
    """Checks that were up, and unknown since."""
    watched = world(*(check(name) for name in names))
    for name in names:
        watched.observe(look(0, check=name))
        blind(watched, since, since + 30, since + 60, name=name)
    return watched


def test_ten_minutes_are_told_and_their_end() -> None:
    watched = unknown("home")
    assert watched.next_due == moment(90 + LASTING).tick
    assert watched.elapse(moment(600)) is None
    [event] = events(watched.elapse(moment(690)))
    assert event.type.value == "agent.impaired"
    assert event.sinks == ("hook",)
    assert event.body["sentence"] == "home cannot be judged since 12:00:30 UTC: the resolver could not answer."
    assert event.body["agent"] == {"id": "test", "checks": ["home"], "affected": 1}
    assert event.body["reason"] == "dns_servfail"
    assert watched.next_due is None
    watched.observe(look(900))
    assert watched.next_due == moment(900).tick
    assert told(watched.elapse(moment(900))) == [("agent.recovered", "home can be judged again after 14 min 30 s.")]


def test_what_is_seen_in_time_is_not_told() -> None:
    watched = unknown("home")
    watched.observe(look(600))
    assert watched.elapse(moment(690)) is None
    assert watched.next_due is None


def test_those_that_come_together_are_one_event_and_later_ones_another() -> None:
    watched = unknown("a", "b", "c")
    blind(watched, 0, name="a")
    for name in ("b",):
        watched.observe(look(100, check=name))
        blind(watched, 200, 230, 260, name=name)
    first = watched.elapse(moment(690))
    assert told(first) == [
        ("agent.impaired", "a and c cannot be judged since 12:00:30 UTC: the resolver could not answer.")
    ]
    assert watched.next_due == moment(260 + LASTING).tick
    assert kinds(watched.elapse(moment(860))) == ["agent.impaired"]
    watched.observe(look(900, check="b"))
    assert told(watched.elapse(moment(900))) == [("agent.recovered", "b can be judged again after 11 min 40 s.")]
    watched.observe(look(901, check="a"))
    assert watched.elapse(moment(901)) is None, "c is still unknown"
    watched.observe(look(902, check="c"))
    assert kinds(watched.elapse(moment(902))) == ["agent.recovered"]


def test_many_are_named_in_part_and_reasons_that_differ_are_said_to_be_of_one() -> None:
    names = [f"c{number}" for number in range(7)]
    watched = unknown(*names)
    for at in (95, 125, 155):
        watched.observe(look(at, check="c3", fails=Reason.BLOCKED))
    [event] = events(watched.elapse(moment(690)))
    assert event.body["sentence"] == (
        "c0, c1, c2, c3, c4 and 2 more cannot be judged since 12:00:30 UTC (of c0: the resolver could not answer)."
    )
    assert event.body["agent"]["affected"] == 7


def test_a_check_that_was_never_seen_counts_from_the_start() -> None:
    watched = world(check())
    blind(watched, 0)
    assert kinds(watched.elapse(moment(600))) == ["agent.impaired"]


def test_while_the_agent_is_in_trouble_nobody_is_told_of_what_follows_from_it() -> None:
    watched = unknown("home")
    watched.sighted([Ailment(Trouble.NETWORK, moment(20), "")], moment(25))
    assert "home" not in str(told(watched.elapse(moment(690))))
    watched.sighted([], moment(700))
    assert watched.elapse(moment(760)) is None
    assert kinds(watched.elapse(moment(700 + LASTING))) == ["agent.impaired"]


@dataclass(frozen=True, slots=True)
class Ping(Passive):
    kind: ClassVar[str] = "ping"
    door: ClassVar[str] = "ping"
    measurements: ClassVar[tuple[Any, ...]] = ()

    @property
    def target(self) -> str:
        return "nowhere"

    def receive(self, arrival: Arrival, memory: Any) -> None: ...

    def report(self, presence: Presence, memory: Any) -> Observation:
        raise AssertionError("the core never looks")


def test_a_job_that_never_pinged_is_waited_for() -> None:
    watched = world(check(probe=Ping(None)))  # type: ignore[arg-type]
    watched.observe(look(0, fails=Reason.NO_DATA))
    assert watched.elapse(moment(600)) is None


def restarted(watched: World, *changes: Change | None, at: float) -> World:
    notes: dict[str, Any] = {}
    for change in changes:
        for note in change.notes if change else ():
            notes[note.name] = note.value
    records = {name: judge.record(moment(at)) for name, judge in watched.judges.items()}
    return World(watched.plan, Journal("origin", 2, checks=records, notes=notes), moment(at))


def test_a_restart_tells_it_no_second_time_and_owes_the_end() -> None:
    watched = unknown("home")
    again = restarted(watched, watched.elapse(moment(690)), at=1000)
    blind(again, 1001, 1031, 1061)
    assert again.elapse(moment(1001 + LASTING)) is None
    again.plan = replace(again.plan, routes=())
    again.observe(look(2000))
    [event] = events(again.elapse(moment(2000)))
    assert (event.type.value, event.sinks) == ("agent.recovered", ("hook",))
    assert again.unjudged.batches == {}


def test_checks_that_are_gone_end_it() -> None:
    watched = unknown("home", "other")
    impaired = watched.elapse(moment(690))
    assert impaired is not None
    watched.judges = {}
    watched.unjudged.due = True
    watched.agenda.enter("unjudged", "", moment(700).tick)
    assert told(watched.elapse(moment(700))) == [("agent.recovered", "home and other: no longer watched.")]


def test_all_is_kept_for_a_journal_that_has_lost_it() -> None:
    watched = unknown("home")
    watched.elapse(moment(690))
    kept = {note.name: note.value for note in watched.everything(moment(700)).notes}
    assert kept[NOTE] == 1
    assert Unjudged(kept).batches == watched.unjudged.batches


WRITTEN = {"since": "2026-01-01T00:00:00+00:00", "checks": [], "told": []}


@pytest.mark.parametrize(
    "notes",
    [
        {NOTE: -1},
        {f"{PREFIX}x": WRITTEN},
        {f"{PREFIX}1": {"since": "never"}},
        {f"{PREFIX}1": {"since": None}},
        {f"{PREFIX}1": 7},
        {f"{PREFIX}-1": WRITTEN},
    ],
)
def test_a_note_that_nobody_has_written_costs_nothing_but_itself(notes: Mapping[str, Any]) -> None:
    here = Unjudged(notes | {f"{PREFIX}3": WRITTEN})
    assert (list(here.batches), here.count) == ([3], 3)
    assert here.unreadable == [name for name in notes if name != NOTE]
