"""The agent's own trouble: what it does to all that is judged, what is told of it, and what a restart keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from monitor.core.impairment import QUIET
from monitor.core.model import Change, Journal, State
from monitor.core.routing import Route
from monitor.core.sight import NOTE, TELL_AFTER, Ailment, Trouble, ailments_of, cannot_see
from monitor.core.world import World
from probes.contract import Reason
from tests.core.builders import Still, check, look, moment, world


class Remote(Still):
    kind: ClassVar[str] = "remote"

    @property
    def host(self) -> str | None:
        return "203.0.113.9"


class Local(Still):
    kind: ClassVar[str] = "local"

    @property
    def host(self) -> str | None:
        return "127.0.0.1"


def ailment(since: float, trouble: Trouble = Trouble.NETWORK, why: str = "nobody answered") -> Ailment:
    return Ailment(trouble, moment(since), why)


def watching(*names: str) -> World:
    made = world(*(check(name, probe=Remote()) for name in names or ("home",)))
    for name in made.judges:
        made.observe(look(0, check=name))
    return made


def told(change: Change | None) -> list[str]:
    return [event.type.value for event in change.events] if change else []


def fail(watched: World, *times: float, name: str = "home") -> None:
    for at in times:
        watched.observe(look(at, check=name, fails=Reason.CONNECT_TIMEOUT))


def test_trouble_is_entered_at_once_and_told_when_it_lasts() -> None:
    watched = watching()
    entered = watched.sighted([ailment(5)], moment(7))
    assert entered is not None
    [transition] = entered.transitions
    assert (transition.kind, transition.subject, transition.old, transition.new) == (
        "vantage",
        "test",
        "well",
        "network",
    )
    assert (transition.since, transition.verdict.reason) == (moment(5).at, Reason.OWN_NETWORK)
    assert told(entered) == []
    assert watched.next_due == moment(5 + TELL_AFTER).tick
    assert told(watched.elapse(moment(14))) == []
    impaired = watched.elapse(moment(15))
    assert told(impaired) == ["agent.impaired"]
    assert impaired is not None
    [event] = impaired.events
    assert event.sinks == ("hook",)
    assert event.body["state"] == {"old": "well", "new": "impaired"}
    assert event.body["sentence"].startswith("The agent test cannot see since 12:00:05 UTC: it has lost its own")
    ended = watched.sighted([], moment(130))
    assert told(ended) == ["agent.recovered"]
    assert ended is not None
    assert ended.events[0].body["sentence"].startswith("The agent test sees again after 2 min 5 s")
    assert watched.next_due is None


def test_what_is_over_before_it_is_told_is_never_told() -> None:
    watched = watching()
    watched.sighted([ailment(5)], moment(7))
    assert told(watched.sighted([], moment(9))) == []
    assert watched.elapse(moment(60)) is None


def test_the_same_trouble_again_is_no_news_and_other_trouble_is_no_second_event() -> None:
    watched = watching()
    watched.sighted([ailment(5)], moment(7))
    watched.elapse(moment(15))
    assert watched.sighted([ailment(5, why="more")], moment(16)) is None
    more = watched.sighted([ailment(17, Trouble.RESOLVER), ailment(5)], moment(17))
    assert more is None, "the worst is the same"
    milder = watched.sighted([ailment(17, Trouble.RESOLVER)], moment(20))
    assert told(milder) == []
    assert milder is not None
    assert milder.transitions[0].new == "resolver"
    assert watched.next_due is None
    assert told(watched.sighted([], moment(30))) == ["agent.recovered"]


def test_trouble_before_it_is_told_keeps_its_time_when_it_gets_another_name() -> None:
    watched = watching()
    watched.sighted([ailment(5, Trouble.RESOLVER)], moment(5))
    watched.sighted([ailment(5, Trouble.RESOLVER), ailment(9)], moment(9))
    assert told(watched.elapse(moment(15))) == ["agent.impaired"]


def test_what_is_suspected_is_dropped() -> None:
    watched = watching()
    fail(watched, 30, 31)
    assert watched.judges["home"].suspicious
    watched.sighted([ailment(29)], moment(33))
    assert not watched.judges["home"].suspicious
    fail(watched, 63)
    assert watched.judges["home"].state is State.UP, "it begins anew"


def test_what_was_called_bad_within_the_loss_is_taken_back_and_nothing_is_resolved() -> None:
    watched = watching()
    fail(watched, 30, 31, 33)
    assert watched.judges["home"].state is State.DOWN
    taken_back = watched.sighted([ailment(29)], moment(35))
    assert taken_back is not None
    judge, status = watched.judges["home"], watched.services["home"]
    assert (judge.state, judge.verdict.reason) == (State.UNKNOWN, Reason.OWN_NETWORK)
    assert [(item.kind, item.new) for item in taken_back.transitions] == [
        ("vantage", "network"),
        ("check", "unknown"),
        ("service", "unknown"),
    ]
    assert "incident.resolved" not in told(taken_back)
    assert status.incident is not None
    watched.sighted([], moment(60))
    back = watched.observe(look(61)).change
    assert "incident.resolved" in told(back)
    assert judge.state is State.UP


def test_a_degradation_that_became_an_outage_within_the_loss_is_unknown_and_not_well() -> None:
    watched = watching()
    for at in range(0, 40, 2):
        fail(watched, 100 + at)
        watched.observe(look(101 + at))
    judge = watched.judges["home"]
    assert judge.state is State.DEGRADED
    fail(watched, *(200 + at for at in range(40)))
    assert judge.state is State.DOWN
    watched.sighted([ailment(199)], moment(245))
    assert judge.state is State.UNKNOWN
    watched.sighted([], moment(250))
    watched.observe(look(251))
    assert judge.state is State.DEGRADED, "as before; it ends by good looks"


def test_what_was_bad_before_stays_bad() -> None:
    watched = watching()
    fail(watched, 30, 31, 33)
    assert watched.sighted([ailment(34)], moment(35)) is not None
    assert watched.judges["home"].state is State.DOWN


def test_what_is_not_caused_by_a_network_stays() -> None:
    watched = watching()
    for at in (30, 31, 33):
        watched.observe(look(at, fails=Reason.STATUS))
    watched.sighted([ailment(29)], moment(35))
    assert watched.judges["home"].state is State.DOWN


def test_the_machine_itself_needs_no_network_but_does_need_time() -> None:
    watched = world(check("home", probe=Local()))
    watched.observe(look(0))
    fail(watched, 30, 31)
    watched.sighted([ailment(29)], moment(32))
    assert watched.judges["home"].suspicious
    watched.sighted([ailment(29, Trouble.PAUSED)], moment(32))
    assert not watched.judges["home"].suspicious


def test_trouble_that_blinds_nobody_leaves_all_as_it_is() -> None:
    watched = watching()
    fail(watched, 30, 31)
    watched.sighted([ailment(29, Trouble.JOURNAL)], moment(32))
    assert watched.judges["home"].suspicious


def restarted(watched: World, *changes: Change | None, at: float) -> World:
    notes = {note.name: note.value for change in changes if change for note in change.notes}
    records = {name: judge.record(moment(at)) for name, judge in watched.judges.items()}
    journal = Journal("origin", 2, checks=records, notes=notes)
    return World(watched.plan, journal, moment(at))


def test_a_restart_knows_what_was_told_and_tells_its_end_to_the_same() -> None:
    watched = watching()
    entered = watched.sighted([ailment(5)], moment(7))
    impaired = watched.elapse(moment(15))
    again = restarted(watched, entered, impaired, at=100)
    assert again.sight.has(Trouble.NETWORK) is not None
    assert again.sight.has(Trouble.PAUSED) is None
    assert again.next_due is None
    assert again.sighted([ailment(5)], moment(101)) is None
    again.plan = replace(again.plan, routes=())
    ended = again.sighted([], moment(105))
    assert ended is not None
    assert told(ended) == ["agent.recovered"]
    assert ended.events[0].sinks == ("hook",), "who was told is owed the end"
    assert again.everything(moment(106)).notes == ended.notes


def test_a_restart_tells_what_was_not_told_yet() -> None:
    watched = watching()
    again = restarted(watched, watched.sighted([ailment(5)], moment(7)), at=20)
    assert told(again.elapse(moment(20 + TELL_AFTER))) == ["agent.impaired"]


def test_a_restart_in_good_health_goes_on_counting() -> None:
    watched = watching()
    changes = [watched.sighted([ailment(5)], moment(7)), watched.sighted([], moment(9))]
    again = restarted(watched, *changes, at=20)
    assert (again.sight.state, again.sight.seq) == ("well", 2)


def test_a_replay_reads_it_from_the_transition() -> None:
    watched = watching()
    for now, item in ((7, ailment(5)), (9, ailment(5, Trouble.PAUSED, "")), (20, None)):
        change = watched.sighted([item] if item else [], moment(now))
        assert change is not None
        found = ailments_of(change.transitions[0], moment(now).tick)
        assert found == ((item,) if item else ())


def test_pages_tell_why() -> None:
    watched = watching()
    assert cannot_see(watched.sight) == ""
    watched.sighted([ailment(5)], moment(7))
    assert cannot_see(watched.sight) == (
        "the agent cannot see since 12:00:05 UTC: it has lost its own network: nobody answered"
    )


def test_an_agent_that_sees_is_not_said_to_be_blind() -> None:
    watched = watching()
    watched.sighted([ailment(5, Trouble.JOURNAL)], moment(7))
    assert cannot_see(watched.sight) == "", "the journal tells of itself"
    impaired = watched.elapse(moment(15))
    assert impaired is not None
    assert impaired.events[0].body["sentence"] == (
        "The agent test is in trouble since 12:00:05 UTC: it cannot write its journal: nobody answered. "
        "It looks and tells as ever."
    )
    watched.sighted([ailment(5, Trouble.JOURNAL), ailment(20, Trouble.CLOCK)], moment(20))
    assert cannot_see(watched.sight) == (
        "the agent is in trouble since 12:00:05 UTC: its clock was set: nobody answered"
    )
    ended = watched.sighted([], moment(40))
    assert ended is not None
    assert ended.events[0].body["sentence"].startswith("The agent test is well again after 35 s: it could not")


def test_routes_may_leave_it_out() -> None:
    watched = world(check("home", probe=Remote()), routes=(Route(()),))
    watched.sighted([ailment(5)], moment(7))
    change = watched.elapse(moment(15))
    assert change is not None
    assert change.events[0].sinks == ()
    assert watched.sight.note().name == NOTE


def test_who_has_answered_is_remembered_for_a_start_without_a_network() -> None:
    watched = watching()
    first = watched.heard_from(("192.0.2.1:53",), moment(0))
    assert first is not None
    assert watched.heard_from(("192.0.2.1:53",), moment(3000)) is None, "once an hour"
    later = watched.heard_from(("192.0.2.1:53",), moment(3700))
    again = restarted(watched, later, at=7200)
    assert set(again.sight.witnesses) == {"192.0.2.1:53"}
    assert again.sight.state == "well"
    assert again.everything(moment(7201)).notes == (again.sight.note(),)
    watched.heard_from(("192.0.2.2:53",), moment(8 * 86400))
    assert set(watched.sight.witnesses) == {"192.0.2.2:53"}, "the other one is gone for a week"
    assert restarted(watched, later, at=30 * 86400).sight.witnesses == {}


def spell(watched: World, at: float) -> list[str]:
    """Trouble for 15 s; what was told because of it."""
    changes = [watched.sighted([ailment(at)], moment(at)), watched.elapse(moment(at + 10))]
    changes.append(watched.sighted([], moment(at + 15)))
    return [kind for change in changes for kind in told(change)]


def test_trouble_that_comes_and_goes_is_told_three_times_and_then_when_it_is_over() -> None:
    watched = watching()
    assert spell(watched, 0) == spell(watched, 60) == ["agent.impaired", "agent.recovered"]
    assert spell(watched, 120) == ["agent.impaired"]
    assert watched.next_due == moment(135).tick + QUIET.total_seconds()
    for at in range(180, 6000, 60):
        assert spell(watched, at) == []
    over = watched.elapse(moment(5955 + 1800))
    assert told(over) == ["agent.recovered"]
    assert over is not None
    [event] = over.events
    assert event.body["sentence"] == (
        "The agent test has seen well for 30 min; before that, it had lost its own network again and again."
    )
    assert event.sinks == ("hook",)
    assert watched.next_due is None
    assert spell(watched, 9000) == ["agent.impaired", "agent.recovered"], "it begins anew"


def test_the_third_time_says_that_it_is_the_last_and_spells_that_are_far_apart_are_told_each() -> None:
    watched = watching()
    for at in (0, 2000, 4000, 6000):
        assert spell(watched, at) == ["agent.impaired", "agent.recovered"]
    watched.sighted([ailment(6100)], moment(6100))
    third = watched.elapse(moment(6110))
    assert third is not None
    assert (
        third.events[0]
        .body["sentence"]
        .endswith("That was told 3 times within 1 h: further spells are not, until there is none for 30 min.")
    )


def test_a_restart_owes_the_end_that_was_held_back() -> None:
    watched = watching()
    changes: list[Change | None] = []
    for at in (0, 60, 120):
        changes += [watched.sighted([ailment(at)], moment(at)), watched.elapse(moment(at + 10))]
        changes.append(watched.sighted([], moment(at + 15)))
    again = restarted(watched, *changes, at=200)
    assert told(again.elapse(moment(200 + 1799))) == []
    assert told(again.elapse(moment(200 + 1800))) == ["agent.recovered"]
