"""What people do about an open incident: told with it, kept over a restart, and gone with its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.core import handling
from monitor.core.handled import MOST_REMARKS, PREFIX
from monitor.core.model import Impact, Journal, Transition
from monitor.core.routing import Route, Term
from probes.contract import Reason
from tests.core.builders import check, moment, world
from tests.core.calmly import Calmly, story
from tests.core.stories import begun, shop
from tests.core.succeeded import ROUTES, sound


def acknowledge(here: Calmly, at: float, by: str = "ann") -> None:
    here.wait(at)
    here.keep(handling.acknowledge(here.world, here.incident, by, moment(at)))


def snooze(here: Calmly, at: float, until: float, by: str = "ann") -> None:
    here.wait(at)
    here.keep(handling.snooze(here.world, here.incident, moment(until).at, by, moment(at)))


def remark(here: Calmly, at: float, text: str, by: str = "ann") -> None:
    here.wait(at)
    here.keep(handling.note(here.world, here.incident, text, by, moment(at)))


class Handled(Calmly):
    """A home that is down from 10 s on."""

    @property
    def incident(self) -> str:
        return next((e["incident"]["id"] for e in reversed(self.events) if "incident" in e), "none")

    @property
    def updates(self) -> list[tuple[str, str | None, str]]:
        told = [event["update"] for event in self.events if event["type"] == "incident.updated"]
        return [(item["kind"], item["by"], item["text"]) for item in told]

    @property
    def notes(self) -> dict[str, object]:
        return {name: value for name, value in self.journal.notes.items() if name.startswith(PREFIX)}


def down(**plan: object) -> Handled:
    here = Handled(story(**plan).world)
    begun(here, ["home"])
    here.kill("home", 10)
    return here


def test_an_acknowledgement_is_told_with_the_incident_and_shown_in_it() -> None:
    here = down()
    assert here.events[-1]["incident"]["acknowledged"] is None
    acknowledge(here, 30)
    event = here.events[-1]
    assert event["type"] == "incident.updated"
    assert event["update"] == {"kind": "acknowledged", "by": "ann", "text": ""}
    assert event["incident"]["acknowledged"] == {"by": "ann", "at": "2026-03-01T12:00:30.000Z", "until": None}
    assert event["state"] == {"old": "outage", "new": "outage"}
    assert event["sentence"] == (
        "Home has an outage since 12:00:10 UTC: home: nothing listens on the port. ann has it."
    )
    here.heal("home", 50)
    kinds = [kind for kind, _, _ in here.updates]
    assert kinds == ["acknowledged", "changed"], "it gets better, and ann has it still"
    assert here.events[-1]["type"] == "incident.resolved"
    assert here.notes == {}
    assert "update" not in here.events[-1]
    here.done(9000)


def test_the_first_one_has_it() -> None:
    here = down()
    acknowledge(here, 30)
    acknowledge(here, 31, "bob")
    assert here.updates == [("acknowledged", "ann", "")]
    assert handling.acknowledge(here.world, "inc_none", "ann", moment(40)) is None
    sound(here)


def test_a_hostile_name_is_one_short_line() -> None:
    here = down()
    acknowledge(here, 30, "ann\r\nbcc: all\x1b[2J" + "x" * 500)
    by = here.updates[0][1] or ""
    assert by.startswith("ann bcc: all [2Jxxx")
    assert len(by) == 100
    assert here.events[-1]["incident"]["acknowledged"]["by"] == by


def test_what_was_put_off_is_told_anew_when_that_is_over() -> None:
    here = down()
    snooze(here, 30, 330)
    assert here.updates == [("snoozed", "ann", "until 2026-03-01 12:05 UTC")]
    assert here.events[-1]["incident"]["acknowledged"]["until"] == "2026-03-01T12:05:30.000Z"
    here.wait(329)
    assert len(here.updates) == 1
    here.wait(400)
    assert here.updates[1:] == [("reminder", None, "ann put it off for 5 min, which are over.")]
    assert here.events[-1]["incident"]["acknowledged"] is None
    acknowledge(here, 500, "bob")
    assert here.updates[-1][:2] == ("acknowledged", "bob")
    here.done(9000)
    assert len(here.updates) == 3


def test_a_snooze_becomes_an_acknowledgement_and_the_other_way_round() -> None:
    here = down()
    snooze(here, 30, 330)
    acknowledge(here, 40)
    here.wait(1000)
    assert [kind for kind, _, _ in here.updates] == ["snoozed", "acknowledged"]
    snooze(here, 1000, 1300, "bob")
    snooze(here, 1100, 2300, "bob")
    here.wait(2200)
    assert [kind for kind, _, _ in here.updates][2:] == ["snoozed", "snoozed"]
    here.done(9000)
    assert here.updates[-1] == ("reminder", None, "bob put it off for 20 min, which are over.")


def test_what_is_over_puts_nothing_off() -> None:
    here = down()
    assert handling.snooze(here.world, here.incident, moment(30).at, "ann", moment(30)) is None
    assert handling.snooze(here.world, "inc_none", moment(90).at, "ann", moment(30)) is None
    assert here.updates == []


def test_the_clock_may_be_set_while_it_is_put_off() -> None:
    here = down()
    snooze(here, 30, 3630)
    later = moment(60)
    forward = replace_at(later, 7200)
    here.keep(handling.woken(here.world, here.incident, forward))
    assert [kind for kind, _, _ in here.updates] == ["snoozed", "reminder"]


def replace_at(now: object, seconds: float) -> handling.Moment:
    assert isinstance(now, handling.Moment)
    return handling.Moment(now.at + timedelta(seconds=seconds), now.tick)


def test_notes_are_told_and_remembered() -> None:
    here = down()
    remark(here, 30, "  the deploy of 11:58,\nrolling back  ")
    assert here.updates == [("note", "ann", "the deploy of 11:58, rolling back")]
    assert here.events[-1]["sentence"].endswith(" ann notes: the deploy of 11:58, rolling back.")
    remark(here, 31, "done!")
    assert here.events[-1]["sentence"].endswith(" ann notes: done!")
    assert handling.note(here.world, here.incident, " \n", "ann", moment(32)) is None
    assert handling.note(here.world, "inc_none", "hm", "ann", moment(32)) is None
    for number in range(30):
        remark(here, 40 + number, f"number {number}")
    remarks = here.world.handling.of(here.incident).remarks
    assert len(remarks) == MOST_REMARKS
    assert remarks[-1].text == "number 29"
    assert len(here.updates) == 32
    here.heal("home", 100)
    assert here.notes == {}
    here.done(9000)


@pytest.mark.parametrize("at", [31, 200, 5000])
def test_a_restart_keeps_who_has_it(at: float) -> None:
    here = down()
    snooze(here, 30, 330)
    remark(here, 30, "hm")
    here.restart(at)
    here.see(at + 1, fails=Reason.REFUSED)
    given = here.world.handling.acknowledgement(here.incident)
    assert (given is not None and given.by == "ann" and given.impact is Impact.OUTAGE) == (at < 330)
    assert [item.text for item in here.world.handling.of(here.incident).remarks] == ["hm"]
    here.wait(6000)
    assert [kind for kind, _, _ in here.updates] == ["snoozed", "note", "reminder"]
    acknowledge(here, 7000)
    here.restart(7001)
    assert here.world.handling.of(here.incident).acts == 3
    here.heal("home", 7010)
    here.done(9000)


def test_what_cannot_be_read_is_forgotten_and_what_has_ended_too() -> None:
    here = down()
    acknowledge(here, 30)
    name = PREFIX + here.incident
    notes = here.journal.notes
    for wrong in (None, {}, {"acknowledged": {"by": "x", "at": None}}, {"acknowledged": None, "remarks": [[1]]}):
        journal = replace(here.journal, notes=notes | {name: wrong})
        again = Handled(world(check(), routes=ROUTES, journal=journal, at=40))
        again.keep(again.world.start(moment(40)))
        assert again.world.handling.acknowledgement(here.incident) is None
        assert [note for change in again.changes for note in change.notes if note.name == name][-1].value is None
    gone = Handled(world(check(), routes=ROUTES, journal=Journal("origin", 2, notes=notes), at=40))
    gone.keep(gone.world.start(moment(40)))
    assert [note for change in gone.changes for note in change.notes][-1].value is None


def test_everything_tells_of_it() -> None:
    here = down()
    acknowledge(here, 30)
    kept = [note for note in here.world.everything(moment(40)).notes if note.name.startswith(PREFIX)]
    assert {note.name: note.value for note in kept} == here.notes
    sound(here)


def test_who_has_a_degradation_has_not_the_outage() -> None:
    here = Handled(shop(routes=ROUTES))
    begun(here)
    here.kill("search", 10)
    acknowledge(here, 30)
    here.kill("home", 40)
    event = here.events[-1]
    assert event["state"]["new"] == "outage"
    assert event["update"]["kind"] == "changed"
    assert event["incident"]["acknowledged"] is None
    assert event["sentence"].endswith(" ann has acknowledged the degradation, not this.")
    acknowledge(here, 60, "bob")
    here.heal("home", 70)
    told = [event["incident"] for event in here.events if event["type"] == "incident.updated"]
    assert told[-1]["impact"] == "degradation"
    assert told[-1]["acknowledged"]["by"] == "bob", "what is left is less"
    here.heal("search", 90)
    here.done(9000)
    assert here.notes == {}


def test_one_that_is_merged_brings_along_what_was_done() -> None:
    """Two services that are bad, until a third explains both."""
    here = Handled(world(check("db"), check("a", depends_on=("db",)), check("b", depends_on=("db",)), routes=ROUTES))
    begun(here, ["db", "a", "b"])
    for name, at in (("a", 10), ("b", 40)):
        here.kill(name, at)
        here.see(at + 5, "db")
        here.wait(at + 20)
    first, second = (event["incident"]["id"] for event in here.events if event["type"] == "incident.opened")
    here.keep(handling.acknowledge(here.world, second, "ann", moment(70)))
    here.keep(handling.note(here.world, second, "is it the database?", "ann", moment(71)))
    here.keep(handling.note(here.world, first, "hm", "bob", moment(72)))
    here.kill("db", 80)
    ended = [event for event in here.events if event["type"] == "incident.resolved"]
    assert [event["incident"]["id"] for event in ended] == [second]
    handled = here.world.handling.of(first)
    assert handled.acknowledged is not None
    assert handled.acknowledged.by == "ann"
    assert [item.text for item in handled.remarks] == ["is it the database?", "hm"]
    assert list(here.notes) == [PREFIX + first]
    here.done(9000)


def test_merged_with_what_means_more_nobody_has_it() -> None:
    here = down()
    book = here.world.handling
    acknowledge(here, 30)
    given = book.acknowledgement(here.incident)
    assert given is not None
    book.keep("inc_b", replace(book.of(here.incident), acknowledged=replace(given, impact=Impact.DEGRADATION)))
    book.lift(here.incident)
    book.merge(here.incident, Impact.OUTAGE, "inc_b")
    assert book.acknowledgement(here.incident) is None
    book.forget("inc_b")
    book.forget("inc_b")


def test_all_who_were_told_are_told_who_has_it() -> None:
    here = down(routes=(Route(("pager",), Term("event", "incident.opened")), Route(("log",), Term("event", "*"))))
    acknowledge(here, 30)
    assert here.changes[-1].events[-1].sinks == ("log", "pager")


def kept(here: Handled) -> list[Transition]:
    return [item for change in here.changes for item in change.transitions if item.kind == handling.KIND]


def test_what_was_done_can_be_done_again() -> None:
    """So a replay of the past comes to the same, under other ids."""
    here = down()
    remark(here, 20, "hm")
    snooze(here, 30, 330)
    acknowledge(here, 400)
    assert [(item.seq, item.new, item.verdict.why) for item in kept(here)] == [
        (1, "note", "ann: hm"),
        (2, "snoozed", "ann: until 2026-03-01 12:05 UTC"),
        (3, "acknowledged", "ann"),
    ]
    other = Handled(world(check(), routes=ROUTES, journal=Journal("replay", 1)))
    begun(other, ["home"])
    other.kill("home", 10)
    for item, at in zip(kept(here), (20, 30, 400), strict=True):
        other.wait(at)
        other.keep(handling.again(other.world, item, moment(at)))
    assert other.updates == here.updates
    assert other.sentences == here.sentences
    assert other.incident != here.incident
    other.heal("home", 500)
    assert handling.again(other.world, kept(here)[0], moment(600)) is None
    with pytest.raises(KeyError):
        handling.again(other.world, replace(kept(here)[0], evidence={}), moment(600))
    gone = replace(kept(here)[0], evidence={"service": "gone", "by": "ann", "text": "hm", "until": None})
    assert handling.again(other.world, gone, moment(600)) is None
