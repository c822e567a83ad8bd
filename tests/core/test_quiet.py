"""Quiet hours: what they hold back is remembered, and told in one digest when they are over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from monitor.core import quiet
from monitor.core.handling import acknowledge
from monitor.core.model import Change, EventType, Impact, Incident, Journal, OutageRule, Service
from monitor.core.quiet import BEYOND, PREFIX, Held, Quiet, hold
from monitor.core.routing import Policy, Route, Step, Term
from monitor.core.scene import Scene
from monitor.core.silences import end_silence, silence
from monitor.core.succession import succeed
from monitor.core.world import World
from tests.core.builders import START, check, look, moment, world
from tests.core.stories import SCHEMA
from tests.core.test_silences import SHOP, Told, hours, of

QUIET = hours(-3600, 1200)
"""Until 12:20."""
CHAT = Route(("chat",), quiet=QUIET)


class Night(Told):
    """The same, where people read the chat and the night sink, and the pager only wants to know how it stands."""

    def __init__(self, *routes: Route, human: frozenset[str] = frozenset({"chat", "night"})) -> None:
        names = ("search", "basket", "cart")
        shop = Service("shop", "Web shop", ("home", *names), OutageRule(1, ("home",)))
        checks = [check(name, service="shop", impact=Impact.DEGRADATION) for name in names]
        self.world = world(check("home", service="shop"), *checks, services={"shop": shop}, routes=routes)
        self.world.plan = replace(self.world.plan, sinks=frozenset({"chat", "pager", "night"}), human=human)
        self.events, self.changes = [], []
        self.take(self.world.start(moment(0)))
        for name in ("home", *names):
            self.take(self.world.observe(look(0, check=name)).change)
        self.pass_until(60)

    def take(self, change: Change | None) -> None:
        super().take(change)
        if change is not None:
            self.events += [event for event in change.events if event.type == "digest"]

    def mend(self, name: str, at: float) -> None:
        for second in range(150):
            self.take(self.world.observe(look(at + second, check=name)).change)

    def heard(self) -> list[tuple[str, tuple[str, ...]]]:
        found = [(event.type.value.removeprefix("incident."), event.sinks) for event in self.events if event.sinks]
        self.events.clear()
        return found

    def degrade(self, begin: float, end: float) -> None:
        self.fail("search", begin)
        self.pass_until(end)
        self.mend("search", end)

    def digest(self) -> dict[str, Any]:
        (event,) = [event for event in self.events if event.sinks]
        assert event.type == "digest"
        SCHEMA.validate(dict(event.body))
        self.events.clear()
        return dict(event.body)

    def restart(self, at: float, *routes: Route) -> None:
        known: dict[str, Any] = {}
        for change in self.changes:
            known |= {note.name: note.value for note in change.notes}
        incidents = {item.id: item for change in self.changes for item in change.incidents}
        records = self.world.everything(moment(at))
        journal = Journal(
            "origin",
            2,
            {item.check: item for item in records.checks},
            {item.service: item for item in records.services},
            tuple(item for item in incidents.values() if item.resolved is None),
            {name: value for name, value in known.items() if value is not None},
        )
        plan = replace(self.world.plan, routes=routes or self.world.plan.routes)
        kept = [note for note in records.notes if note.name.startswith("quiet")]
        assert kept == list(Quiet(journal.notes).notes())
        self.world = World(plan, journal, moment(at))
        self.take(self.world.start(moment(at)))


def test_what_began_and_ended_within_them_is_told_when_they_are_over() -> None:
    told = Night(CHAT)
    told.degrade(61, 200)
    told.degrade(600, 700)
    assert told.heard() == []
    told.pass_until(1199)
    assert told.heard() == []
    told.pass_until(1201)
    (event,) = told.events
    assert event.sinks == ("chat",)
    body = told.digest()
    assert body["sentence"] == (
        "2 incidents in quiet hours (11:00-12:20 UTC): 2 degradations; all over. First: Web shop was degraded "
        "12:01-12:03 UTC (2 min 19 s). It was search: nothing listens on the port."
    )
    assert body["state"] == {"old": "degradation", "new": "operational"}
    assert [item["at"] for item in body["items"]] == ["2026-03-01T12:01:01.000Z", "2026-03-01T12:10:00.000Z"]
    assert (body["more"], body["events"], body["quiet"]) == (0, 2, {"hours": QUIET.text, "open": 0})
    told.pass_until(2000)
    assert told.heard() == []
    assert not list(told.world.quiet.notes())


def test_what_is_still_open_is_said_to_be_so_first_and_its_end_is_owed() -> None:
    told = Night(CHAT)
    told.degrade(61, 200)
    told.fail("search", 600)
    (incident,) = told.world.cases
    told.take(acknowledge(told.world, incident, "ann", moment(700)))
    assert told.heard() == []
    told.pass_until(1201)
    body = told.digest()
    first, second = body["items"]
    assert first["sentence"].startswith("Still open: Web shop is degraded since 12:10:00 UTC: search: ")
    assert first["sentence"].endswith(" ann has it.")
    assert (first["state"], second["state"]) == ("degradation", "operational")
    assert body["sentence"].startswith("2 incidents in quiet hours (11:00-12:20 UTC): 2 degradations; 1 still open. ")
    assert body["state"] == {"old": "degradation", "new": "degradation"}
    assert told.changes[-1].incidents[0].told == {"chat"}
    told.mend("search", 1300)
    assert told.heard() == [("resolved", ("chat",))]


def test_nothing_was_held_back() -> None:
    told = Night(CHAT)
    told.pass_until(2000)
    assert told.heard() == []


def test_an_outage_passes_and_is_in_no_digest_of_whoever_was_told() -> None:
    told = Night(CHAT, Route(("night",), Term("impact", "degradation"), quiet=QUIET))
    told.fail("search", 61)
    told.fail("home", 100)
    assert told.heard() == [("updated", ("chat",))]
    told.mend("home", 200)
    told.mend("search", 400)
    assert told.heard()[-1] == ("resolved", ("chat",))
    told.degrade(600, 700)
    told.pass_until(1201)
    chat, night = sorted((event for event in told.events if event.sinks), key=lambda event: event.sinks)
    assert (chat.sinks, night.sinks) == (("chat",), ("night",))
    assert [item["sentence"][:21] for item in chat.body["items"]] == ["Web shop was degraded"]
    assert [item["sentence"][:21] for item in night.body["items"]] == [
        "Web shop was down 12:",
        "Web shop was degraded",
    ]
    assert ": 1 outage, 1 degradation; all over." in night.body["sentence"]


def test_other_sinks_are_told_how_it_stands_then() -> None:
    told = Night(replace(CHAT, to=("chat", "pager")))
    told.degrade(61, 200)
    told.fail("search", 600)
    told.pass_until(1201)
    assert told.heard() == [("updated", ("pager",)), ("digest", ("chat",))]


def test_who_was_told_by_another_route_hears_nothing_again() -> None:
    told = Night(CHAT, Route(("chat",)))
    told.degrade(61, 200)
    assert [kind for kind, _ in told.heard()] == ["opened", "resolved"]
    told.fail("search", 600)
    told.heard()
    told.pass_until(1201)
    assert told.heard() == []


def test_what_is_silenced_is_told_when_the_silence_is_over() -> None:
    told = Night(CHAT)
    told.fail("search", 61)
    told.take(silence(told.world, of("s", 100, 3000), moment(100)))
    told.pass_until(1201)
    assert told.heard() == []
    told.take(end_silence(told.world, "s", moment(1300)))
    assert told.heard() == [("updated", ("chat",))]


def test_what_is_silenced_from_the_beginning_is_not_held_back() -> None:
    told = Night(CHAT)
    told.take(silence(told.world, of("s", 60, 600), moment(60)))
    told.degrade(61, 200)
    told.pass_until(1201)
    assert told.heard() == []


def test_each_by_hours_of_its_own() -> None:
    later = hours(-3600, 2400)
    told = Night(CHAT, Route(("night",), quiet=later), replace(CHAT, to=("night",), during=hours(1500, 7200)))
    told.degrade(61, 200)
    told.pass_until(1201)
    assert told.heard() == [("digest", ("chat",))]
    told.pass_until(2401)
    assert told.digest()["quiet"]["hours"] == later.text


def test_it_is_remembered_over_a_restart_also_behind_the_hours() -> None:
    told = Night(CHAT)
    told.degrade(61, 200)
    told.fail("search", 600)
    told.restart(700)
    told.pass_until(800)
    assert told.heard() == []
    told.restart(1500)
    told.pass_until(1600)
    body = told.digest()
    assert [item["state"] for item in body["items"]] == ["degradation", "operational"]


def test_a_reload_without_the_hours_tells_what_they_held_back() -> None:
    told = Night(CHAT)
    told.degrade(61, 200)
    told.world, change = succeed(told.world, replace(told.world.plan, routes=(Route(("chat",)),)), moment(300))
    told.take(change)
    told.pass_until(400)
    assert told.digest()["events"] == 1
    assert told.world.next_due is None or told.world.next_due > moment(400).tick


def test_whoever_is_to_be_called_is_called_from_then_on() -> None:
    told = Night(replace(CHAT, policy=Policy((Step(timedelta(minutes=5), ("pager",)),))))
    told.fail("search", 600)
    told.pass_until(1201)
    told.digest()
    told.pass_until(1600)
    assert told.heard() == [("updated", ("chat", "pager"))] or told.heard()


def test_a_check_that_joins_is_held_back_from_its_own_team() -> None:
    told = Night(CHAT, Route(("night",), Term("check", "cart"), quiet=QUIET))
    for name, at in (("search", 61), ("basket", 100)):
        told.fail(name, at)
    (before,) = told.world.quiet.held.values()
    told.fail("cart", 200)  # the third, which is not worth an update
    (after,) = told.world.quiet.held.values()
    assert [to for to, _ in before.kept] == ["chat"]
    assert [to for to, _ in after.kept] == ["chat", "night"]
    told.pass_until(1201)
    (event,) = told.events[-1:]
    assert event.sinks == ("chat", "night")


def held(name: str, since: float, ended: float | None, impact: Impact = Impact.DEGRADATION, to: str = "chat") -> Held:
    at = None if ended is None else moment(ended).at
    kept = ((to, QUIET.text),)
    return Held(name, "Web shop", several=False, impact=impact, since=moment(since).at, why="home: slow", kept=kept,
                told=frozenset(), ended=at)  # fmt: skip


def test_it_is_bounded_and_tells_how_many_more_there_were() -> None:
    told = Night(CHAT)
    for number in range(quiet.MOST + 7):
        notes = tuple(told.world.quiet.put(held(f"inc_{number}", 61 + number, 300 + number)))
        told.take(Change(notes=notes))
    assert len(told.world.quiet.held) == quiet.MOST
    assert list(told.world.quiet.put(told.world.quiet.held["inc_100"])) == []
    told.restart(900)
    told.pass_until(1201)
    body = told.digest()
    assert (len(body["items"]), body["more"], body["events"]) == (20, quiet.MOST + 7 - 20, quiet.MOST + 7)
    assert body["items"][0]["incident"] == "inc_7"
    assert "207 incidents in quiet hours (11:00-12:20 UTC): 200 degradations, 7 more; all over." in body["sentence"]
    assert not list(told.world.quiet.notes())
    assert {note.value for note in told.changes[-1].notes if note.name == BEYOND} == {None}


def test_what_nobody_has_written_is_forgotten() -> None:
    good = held("inc_1", 0, 60)
    value = good.as_json()
    notes = {
        PREFIX + "inc_1": value,
        PREFIX + "a": 1,
        PREFIX + "b": {**value, "since": None},
        BEYOND: [1],
        "other": 1,
    }
    again = world(check("home"), journal=Journal("origin", 1, notes=notes))
    assert again.quiet.held == {"inc_1": good}
    change = again.start(moment(0))
    assert change is not None
    assert [note.name for note in change.notes if note.value is None] == [PREFIX + "a", PREFIX + "b", BEYOND]


def test_nobody_reads_it_and_what_is_let_go_of_is_forgotten_for_these_only() -> None:
    told = Night(CHAT, Route(("pager",), quiet=hours(-3600, 3000)), human=frozenset())
    told.degrade(61, 200)
    told.pass_until(1201)
    assert told.heard() == []
    (left,) = told.world.quiet.held.values()
    assert [to for to, _ in left.kept] == ["pager"]


def test_one_that_becomes_part_of_another_is_told_with_it() -> None:
    services = {**SHOP, "api": Service("api", "API", ("api",), OutageRule(1, ("api",)))}
    here = world(check("home", service="shop"), check("search", service="shop"), check("api", service="api"),
                 services=services, routes=(CHAT,))  # fmt: skip
    for name in ("inc_1", "inc_2"):
        list(here.quiet.put(held(name, 0, None, to=name)))
    other = Incident("inc_2", ("api",), "api", ("api",), Impact.DEGRADATION, START, START, resolved=moment(60).at)
    status = here.services["api"]
    ended = replace(other, merged_into="inc_1")
    notes = hold(
        here, EventType.INCIDENT_RESOLVED, ended, lambda: Scene(ended, [status], here.members(status)), moment(60).at
    )
    assert [(note.name, note.value is None) for note in notes] == [
        (PREFIX + "inc_2", True),
        (PREFIX + "inc_1", False),
    ]
    assert here.quiet.held["inc_1"].kept == (("inc_1", QUIET.text), ("inc_2", QUIET.text))
    apart = replace(other, id="inc_3", merged_into="inc_9")
    list(here.quiet.put(held("inc_3", 0, None)))
    hold(
        here, EventType.INCIDENT_RESOLVED, apart, lambda: Scene(apart, [status], here.members(status)), moment(60).at
    )
    assert here.quiet.held["inc_3"].ended == moment(60).at
