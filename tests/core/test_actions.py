"""Which action an event sets off, what holds it, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from monitor.core import actions, drill, handling
from monitor.core.actions import KEPT, PREFIX, STOPPED, Actions, Fate, Run
from monitor.core.model import Change, Impact, Note
from monitor.core.routing import Term
from monitor.core.ruling import Rule, Trigger
from tests.core.builders import moment
from tests.core.calmly import Calmly, once
from tests.core.stories import begun, shop

FREE = Rule(dry_run=False, cool_down=timedelta(0), at_most=50)
"""No brake but that it is once for an incident."""


class Acting(Calmly):
    """A home that may be down; each event that is told is looked at for actions."""

    def take(self, at: float) -> Sequence[Run]:
        """What the newest event sets off."""
        self.wait(at)
        runs, change = actions.begin(self.world, self.events[-1], moment(at))
        self.keep(change)
        return runs

    def finish(self, run: Run, at: float, fate: Fate = Fate.DONE, text: str = "drain ended with 0") -> None:
        self.wait(at)
        self.keep(actions.finish(self.world, run, fate, text, moment(at)))

    def bout(self, at: float, fate: Fate = Fate.DONE) -> Sequence[Run]:
        """It is down; what was set off is done; it is well again."""
        self.kill("home", at)
        runs = self.take(at + 3)
        for run in runs:
            self.finish(run, at + 4, fate)
        self.heal("home", at + 10)
        return runs

    @property
    def texts(self) -> list[str]:
        told = [event["update"] for event in self.events if event.get("update", {}).get("kind") == "action"]
        return [item["text"] for item in told]


def acting(**rules: Rule) -> Acting:
    here = Acting(shop())
    here.world.plan = replace(here.world.plan, actions=rules)
    begun(here)
    return here


def test_it_is_taken_once_for_an_incident_and_that_is_recorded_in_it() -> None:
    here = acting(drain=FREE)
    here.kill("home", 10)
    (run,) = here.take(20)
    assert (run.action, run.trigger, run.dry, run.fate) == ("drain", Trigger.OPENED, False, Fate.RUNNING)
    assert here.journal.notes[PREFIX + "drain"][0]["fate"] == "running", "it is noted before it begins"
    assert here.take(21) == ()
    here.finish(run, 25)
    assert here.events[-1]["update"] == {
        "kind": "action",
        "by": "drain",
        "text": "The action drain was taken: drain ended with 0.",
    }
    assert here.take(26) == (), "what it tells itself sets nothing off"
    here.keep(handling.acknowledge(here.world, run.incident, "ann", moment(27)))
    assert here.take(28) == (), "nor does what people do"
    here.kill("checkout", 30)
    assert here.take(40) == (), "once for an incident"
    assert len(here.texts) == 1
    assert here.world.actions.runs["drain"] == (replace(run, fate=Fate.DONE, text="drain ended with 0"),)


def test_which_events_set_it_off() -> None:
    when = Term("service", "shop")
    here = acting(
        other=replace(FREE, when=Term("service", "other")),
        back=replace(FREE, on=frozenset((Trigger.RESOLVED,)), when=when),
    )
    here.kill("home", 10)
    assert here.take(20) == ()
    here.heal("home", 30)
    (run,) = here.take(60)
    assert (run.action, run.trigger) == ("back", Trigger.RESOLVED)
    told = len(here.events)
    here.finish(run, 61, Fate.FAILED, "no end")
    assert len(here.events) == told, "nobody is told again of what has ended"
    assert here.world.actions.runs["back"][0].text == "no end"
    assert actions.begin(here.world, {"type": "check.changed"}, moment(62)) == ((), None)


def test_by_default_it_is_a_dry_run() -> None:
    here = acting(drain=Rule())
    here.kill("home", 10)
    (run,) = here.take(20)
    assert run.dry
    here.finish(run, 21, Fate.DRY, "it runs drain")
    assert here.texts == ["The action drain would be taken: it runs drain."]


def test_dry_runs_hold_no_real_ones() -> None:
    here = acting(drain=Rule())
    here.bout(10, Fate.DRY)
    here.world.plan = replace(here.world.plan, actions={"drain": Rule(dry_run=False)})
    assert [run.dry for run in here.bout(100)] == [False]


def test_it_cools_down() -> None:
    here = acting(drain=replace(FREE, cool_down=timedelta(minutes=30)))
    assert len(here.bout(10)) == 1
    assert here.bout(600) == ()
    assert here.texts[-1] == "The action drain is held: it was taken less than 30 min ago."
    assert len(here.bout(2000)) == 1
    assert [run.fate for run in here.world.actions.runs["drain"]] == [Fate.DONE, Fate.HELD, Fate.DONE]


def test_it_is_taken_so_often_at_most() -> None:
    here = acting(drain=replace(FREE, at_most=2, per=timedelta(hours=1)))
    assert [len(here.bout(at)) for at in (10, 600, 1200, 3700)] == [1, 1, 0, 1]
    assert "it was taken 2 times within 1 h, which is the most" in here.texts[2]


def test_a_hold_is_told_once_for_an_incident() -> None:
    here = acting(drain=replace(FREE, once=False, cool_down=timedelta(hours=1)))
    here.kill("home", 10)
    (run,) = here.take(20)
    here.finish(run, 21)
    opened = next(event for event in here.events if event["type"] == "incident.opened")
    for at in (30, 31):
        runs, change = actions.begin(here.world, opened, moment(at))
        assert runs == ()
        here.keep(change)
    assert len(here.texts) == 2


def test_one_that_runs_is_not_begun_beside_itself() -> None:
    here = acting(drain=FREE)
    here.kill("home", 10)
    here.take(20)
    here.heal("home", 30)
    here.kill("home", 100)
    assert here.take(110) == ()
    assert here.texts[-1] == "The action drain is held: it still runs for another incident."


def test_all_are_stopped_and_started_over_a_restart() -> None:
    here = acting(drain=FREE)
    here.keep(actions.stop(here.world, "ann", moment(5)))
    assert actions.stop(here.world, "bob", moment(6)) is None
    here.restart(7, actions={"drain": FREE})
    here.see(8)
    assert here.bout(10) == ()
    assert here.texts == ["The action drain is held: ann has stopped all actions."]
    here.keep(actions.resume(here.world))
    assert actions.resume(here.world) is None
    assert STOPPED not in here.journal.notes
    assert len(here.bout(100)) == 1


def test_the_configuration_stops_all_too() -> None:
    here = acting(drain=FREE)
    here.world.plan = replace(here.world.plan, acts=False)
    assert here.bout(10) == ()
    assert here.texts == ["The action drain is held: agent.actions is off."]


def test_maintenance_holds_it() -> None:
    here = acting(drain=FREE)
    here.kill("home", 10)
    here.maintain(once(11, 500, "home"), 15)
    opened = next(event for event in here.events if event["type"] == "incident.opened")
    runs, change = actions.begin(here.world, opened, moment(20))
    here.keep(change)
    assert runs == ()
    assert "all that it is about is in maintenance" in here.texts[-1]


def test_a_drill_is_a_dry_run_that_is_not_remembered() -> None:
    here = acting(drain=FREE)
    played, change = drill.begin(here.world, "shop", Impact.OUTAGE, 60, moment(10))
    here.keep(change)
    (run,) = here.take(11)
    assert run.dry
    here.finish(run, 12, Fate.DRY, "it runs drain")
    assert here.events[-1]["drill"] is True
    assert here.texts == ["The action drain would be taken: it runs drain."]
    assert here.world.actions.runs == {}
    assert PREFIX + "drain" not in here.journal.notes
    here.wait(80)
    assert drill.acted(here.world, played.incident.id, handling.Update(handling.Kind.ACTION), moment(81)) is None


def test_what_was_taken_holds_no_drill() -> None:
    here = acting(drain=Rule())
    here.bout(10, Fate.DRY)
    here.keep(drill.begin(here.world, "shop", Impact.OUTAGE, 60, moment(100))[1])
    assert len(here.take(101)) == 1


def test_what_ran_when_the_agent_ended_is_not_begun_again() -> None:
    here = acting(drain=FREE, gone=FREE)
    here.kill("home", 10)
    assert len(here.take(20)) == 2
    here.restart(30, actions={"drain": FREE})
    assert here.world.actions.runs["drain"][0].fate is Fate.LOST
    assert "is not taken again" in here.texts[-1]
    assert here.take(31) == ()
    assert "gone" in here.world.actions.runs, "its incident is open"
    here.see(40)
    here.heal("home", 50)
    here.restart(100, actions={"drain": FREE})
    assert set(here.world.actions.runs) == {"drain"}
    assert PREFIX + "gone" not in here.journal.notes


def test_runs_are_bounded() -> None:
    here = acting(drain=FREE)
    old = Run("run_x", "drain", "inc_old", Trigger.OPENED, moment(0).at, dry=False, fate=Fate.DONE)
    here.world.actions.runs["drain"] = tuple(replace(old, id=f"run_{n}", at=moment(n).at) for n in range(KEPT + 9))
    here.world.plan = replace(here.world.plan, actions={"drain": replace(FREE, at_most=KEPT * 2)})
    here.kill("home", 1000)
    here.take(1010)
    assert len(here.world.actions.runs["drain"]) == KEPT


def test_what_is_held_in_a_storm_is_bounded_though_it_is_open() -> None:
    """All of it was noted anew with each incident: of 10,000, for minutes."""
    here = acting(drain=FREE)
    here.kill("home", 10)
    (run,) = here.take(20)
    held = tuple(replace(run, id=f"run_{n}", fate=Fate.HELD) for n in range(KEPT + 9))
    here.world.actions.runs["drain"] = (run, *held)
    here.finish(run, 25)
    assert len(here.world.actions.runs["drain"]) == KEPT + 1
    assert here.world.actions.runs["drain"][0].fate is Fate.DONE


def test_a_run_of_nobody_is_told_and_not_kept() -> None:
    here = acting(drain=FREE)
    stray = Run("run_x", "drain", "inc_none", Trigger.OPENED, moment(0).at, dry=False, fate=Fate.RUNNING)
    here.finish(stray, 5)
    assert here.world.actions.runs == {}


@pytest.mark.parametrize("value", [3, [{}], [{"id": "x"}], None, [["run"]]])
def test_what_nobody_has_written_is_forgotten_and_a_stop_is_one(value: Any) -> None:
    found = Actions.of({PREFIX + "drain": value, STOPPED: value, "other": 1})
    assert found.unreadable == (PREFIX + "drain",)
    assert found.stopped is not None
    here = acting(drain=FREE)
    here.keep(Change(notes=(Note(PREFIX + "drain", value or 0),)))
    here.restart(10)
    assert Note(PREFIX + "drain", None) in here.changes[-1].notes


def test_a_time_that_is_missing_is_unreadable() -> None:
    kept = {"id": "r", "action": "a", "incident": "i", "on": "opened", "at": None, "dry_run": True, "fate": "done"}
    assert Actions.of({PREFIX + "a": [kept | {"text": ""}]}).unreadable == (PREFIX + "a",)


def test_all_of_it_is_written_again_for_a_journal_that_has_lost_it() -> None:
    here = acting(drain=FREE)
    here.bout(10)
    here.keep(actions.stop(here.world, "ann", moment(50)))
    notes = {note.name: note.value for note in here.world.everything(moment(60)).notes}
    again = Actions.of(notes)
    assert again.runs == here.world.actions.runs
    assert again.stopped == here.world.actions.stopped
