"""Silences, hours in which routes count, and quiet hours: who hears what, and when after all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.core import silences
from monitor.core.handling import acknowledge
from monitor.core.hours import Hours
from monitor.core.identity import silence_id
from monitor.core.model import Change, Event, Impact, Journal, Moment, OutageRule, Service
from monitor.core.routing import ALWAYS, AllOf, AnyOf, Not, Policy, Route, Step, Term
from monitor.core.silences import PREFIX, Silence, end_silence, silence
from monitor.core.world import World
from probes.contract import Reason
from tests.core.builders import START, check, look, moment, world

SHOP = {"shop": Service("shop", "Web shop", ("home", "search"), OutageRule(1, ("home",)))}
ALL = Route(("chat",))


def minutes(seconds: float) -> int:
    """Of the day, in UTC, so long after the tests begin."""
    at = START + timedelta(seconds=seconds)
    return at.hour * 60 + at.minute


def hours(begin: float, end: float) -> Hours:
    return Hours(minutes(begin), minutes(end), "UTC")


class Told:
    """A world, and what was told of its incidents, to whom."""

    def __init__(self, *routes: Route) -> None:
        sinks = frozenset({"chat", "pager", "night"})
        home, search = check("home", service="shop"), check("search", service="shop", impact=Impact.DEGRADATION)
        self.world = world(home, search, services=SHOP, routes=routes)
        self.world.plan = replace(self.world.plan, sinks=sinks)
        self.events: list[Event] = []
        self.changes: list[Change] = []
        self.take(self.world.start(moment(0)))

    def take(self, change: Change | None) -> None:
        if change is not None:
            self.changes.append(change)
            self.events += [event for event in change.events if event.type.value.startswith("incident.")]

    def fail(self, name: str, at: float) -> None:
        for second in range(20):
            self.take(self.world.observe(look(at + second, check=name, fails=Reason.REFUSED)).change)

    def mend(self, name: str, at: float) -> None:
        for second in range(60):
            self.take(self.world.observe(look(at + second, check=name)).change)

    def pass_until(self, at: float) -> None:
        while (due := self.world.next_due) is not None and due <= moment(at).tick:
            self.take(self.world.elapse(at_tick(due)))

    def heard(self) -> list[tuple[str, tuple[str, ...]]]:
        found = [(event.type.value.partition(".")[2], event.sinks) for event in self.events if event.sinks]
        self.events.clear()
        return found


def at_tick(tick: float) -> Moment:
    return moment(tick - moment(0).tick)


def of(text: str, begin: float, end: float) -> Silence:
    unix = START.timestamp()
    return Silence(text, "service = shop", Term("service", "shop"), unix + begin, unix + end, "a deploy", "ann")


def test_what_is_silenced_is_told_when_the_silence_is_over() -> None:
    told = Told(ALL)
    told.take(silence(told.world, of("s", 0, 610), moment(0)))
    told.fail("home", 10)
    told.pass_until(605)
    assert told.heard() == []
    told.pass_until(611)
    assert told.heard() == [("updated", ("chat",))]
    assert told.world.silences.known == {}
    told.mend("home", 800)
    assert told.heard()[-1] == ("resolved", ("chat",))


def test_a_resolve_passes_and_what_was_resolved_meanwhile_is_not_told() -> None:
    told = Told(ALL)
    told.fail("home", 10)
    assert told.heard() == [("opened", ("chat",))]
    told.take(silence(told.world, of("s", 40, 600), moment(40)))
    told.mend("home", 50)
    assert told.heard() == [("resolved", ("chat",))]
    told.fail("home", 200)
    told.mend("home", 300)
    told.pass_until(700)
    assert told.heard() == []


def test_a_silence_ends_before_its_time_unless_another_one_holds() -> None:
    told = Told(replace(ALL, policy=Policy((Step(timedelta(minutes=1), ("pager",)),))))
    told.take(silence(told.world, of("one", 0, 600), moment(0)))
    told.take(silence(told.world, of("two", 0, 600), moment(0)))
    told.take(silence(told.world, replace(of("other", 0, 600), when=Term("service", "api")), moment(0)))
    told.fail("home", 10)
    told.pass_until(200)
    assert told.heard() == []
    told.take(end_silence(told.world, "one", moment(210)))
    assert told.heard() == []
    told.take(end_silence(told.world, "two", moment(220)))
    assert told.heard() == [("updated", ("chat",))]
    assert end_silence(told.world, "two", moment(230)) is None
    told.fail("home", 240)
    told.pass_until(400)
    assert ("updated", ("chat", "pager")) in told.heard()  # who is called is called from then on


def test_a_silence_is_remembered_over_a_restart_and_what_nobody_wrote_is_forgotten() -> None:
    told = Told(ALL)
    when = AllOf((AnyOf((Term("service", "shop"), ALWAYS)), Not(Term("impact", "outage", negated=True))))
    asked = replace(of("s", 0, 600), when=when)
    (note,) = silence(told.world, asked, moment(0)).notes
    odd = {PREFIX + "x": {"text": 1}, PREFIX + "y": {**note.value, "when": ["odd"]}}
    again = world(check("home"), journal=Journal("origin", 1, notes={note.name: note.value, **odd}))
    assert again.silences.known == {"s": asked}
    change = again.start(moment(0))
    assert change is not None
    assert {(item.name, item.value) for item in change.notes if item.name.startswith(PREFIX)} == {
        (PREFIX + "x", None), (PREFIX + "y", None),
    }  # fmt: skip
    assert note in again.everything(moment(0)).notes


def test_a_route_counts_in_its_hours_and_tells_of_what_is_open_when_they_begin() -> None:
    day, night = Route(("chat",), during=hours(-3600, 600)), Route(("night",), during=hours(600, 7200))
    told = Told(day, night)
    told.pass_until(60)
    told.fail("home", 61)
    assert told.heard() == [("opened", ("chat",))]
    told.pass_until(590)
    assert told.heard() == []
    told.pass_until(700)
    assert told.heard() == [("updated", ("night",))]
    told.mend("home", 800)
    assert told.heard()[-1] == ("resolved", ("chat", "night"))


def test_who_was_told_by_one_route_is_not_told_again_by_another() -> None:
    told = Told(Route(("chat",), during=hours(-3600, 600)), Route(("chat",), during=hours(600, 7200)))
    told.pass_until(60)
    told.fail("home", 61)
    told.heard()
    told.pass_until(700)
    assert told.heard() == []


def test_whoever_has_acknowledged_it_goes_on_when_hours_begin() -> None:
    told = Told(Route(("chat",), during=hours(-3600, 600)), Route(("night",), during=hours(600, 7200)))
    told.pass_until(60)
    told.fail("home", 61)
    (incident,) = told.world.cases
    told.take(acknowledge(told.world, incident, "ann", moment(100)))
    told.heard()
    told.pass_until(700)
    assert told.heard() == []


def test_degradations_wait_for_the_end_of_quiet_hours_and_outages_do_not() -> None:
    told = Told(replace(ALL, quiet=hours(-3600, 600)))
    told.pass_until(60)
    told.fail("search", 61)
    assert told.heard() == []
    told.fail("home", 100)
    assert told.heard() == [("updated", ("chat",))]  # it is an outage now
    told.mend("home", 200)
    told.mend("search", 300)
    told.heard()
    told.fail("search", 400)
    assert told.heard() == []
    told.pass_until(700)
    assert told.heard() == [("updated", ("chat",))]


def test_its_id_is_short_and_the_same_whenever_it_is_asked_for() -> None:
    assert silence_id("origin", 1.0, "service=shop", 0) == silence_id("origin", 1.0, "service=shop", 0)
    assert len(silence_id("origin", 1.0, "service=shop", 0)) == 8


def test_nothing_is_looked_at_where_no_hours_and_no_silences_are() -> None:
    assert Told(ALL).world.next_due is None


@pytest.mark.parametrize("at", [None, START])
def test_hours_count_only_where_a_time_is_given(at: object) -> None:
    route = Route(("chat",), during=hours(3600, 7200))
    facts = {"event": ("incident.opened",)}
    assert route.takes(facts, at) is (at is None)  # type: ignore[arg-type]
    assert silences.HEARING
    assert isinstance(world(check("home")), World)
