"""One cause, one incident: dependencies between checks of several services."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from monitor.core.following import GRACE
from monitor.core.model import Check, OutageRule, Service, State
from monitor.core.routing import Route, Term
from monitor.core.service import doubt
from monitor.core.suppression import PATIENCE
from probes.contract import Reason
from tests.core.builders import above, check, moment, world
from tests.core.succeeded import reloaded, sound
from tests.core.test_world import Story, begun, journal_of

ROUTES = (Route(("hook",), Term("event", "*")),)


class Tiers(Story):
    """A database, an application that depends on it, and a front that depends on that: each a service of its own."""

    asked: list[tuple[str, ...]]

    def feed(self, look: Any) -> None:
        decision = self.world.observe(look)
        self.asked.append(decision.ask)
        self._keep(decision.change)

    def _keep(self, change: Any) -> None:
        if change is not None:
            self.changes.append(change)

    def wait(self, until: float) -> None:
        """Let time pass as the pipeline does."""
        while (due := self.world.next_due) is not None and due <= moment(until).tick:
            self._keep(self.world.elapse(moment(due - moment(0).tick)))

    @property
    def incidents(self) -> list[tuple[str, str, str]]:
        return [
            (event["type"].removeprefix("incident."), event["incident"]["root"], event["state"]["new"])
            for event in self.events
            if event["type"].startswith("incident.")
        ]

    @property
    def checks(self) -> list[tuple[str, str]]:
        return [(e["check"]["id"], e["state"]["new"]) for e in self.events if e["type"] == "check.changed"]


CHAIN = {"database": (), "app": ("database",), "front": ("app",)}


def tiers(depends: dict[str, tuple[str, ...]] = CHAIN, **fields: Any) -> Tiers:
    checks = [check(name, depends_on=parents) for name, parents in depends.items()]
    story = Tiers(world(*checks, **{"routes": ROUTES, **fields}))
    story.asked = []
    begun(story, depends)
    return story


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


def test_the_root_is_corrected_when_a_deeper_one_turns_out_to_fail() -> None:
    story = tiers()
    story.kill("app", 30)
    story.wait(45)
    story.kill("database", 50)
    assert story.incidents == [("opened", "app", "outage"), ("updated", "database", "outage")]
    assert story.events[-1]["sentence"].endswith("The cause is database, not app as told before.")
    assert story.events[-1]["incident"]["since"] == "2026-03-01T12:00:30.000Z"
    for name in ("database", "app"):
        story.heal(name, 60)
    assert story.incidents[-1] == ("resolved", "database", "resolved")
    assert story.events[-1]["sentence"] == (
        "App and Database are back to normal after 30 s. It was database: nothing listens on the port."
    )
    assert ("app", "up") in story.checks, "what was told is told of its end"
    sound(story)


TWO = {"database": (), "app": ("database",), "jobs": ("database",)}


def test_two_incidents_that_turn_out_to_be_one_are_merged_at_every_sink() -> None:
    routes = (
        Route(("one",), Term("service", "app")),
        Route(("two",), Term("service", "jobs")),
    )
    story = tiers(TWO, routes=routes)
    story.kill("app", 30)
    story.kill("jobs", 35)
    story.wait(50)
    first, second = (status.incident for status in story.world.services.values() if status.incident)
    assert story.told("incident") == [("incident.opened", "outage")] * 2
    story.kill("database", 60)
    events = [event for change in story.changes for event in change.events if event.stream.startswith("inc_")]
    update, end = events[-2:]
    assert (update.type, update.stream) == ("incident.updated", first.id)
    assert update.sinks == ("one", "two"), "whoever was told of the other hears how it goes on"
    assert update.body["incident"]["root"] == "database"
    assert update.body["incident"]["affected"] == ["app", "jobs", "database"]
    assert (end.type, end.stream, end.sinks) == ("incident.resolved", second.id, ("two",))
    assert end.body["incident"]["merged_into"] == first.id
    assert end.body["sentence"] == f"Jobs: this incident goes on as {first.id}, which has the same cause."
    for name in TWO:
        story.heal(name, 90)
    last = [event for change in story.changes for event in change.events][-1]
    assert (last.type, last.stream, set(last.sinks)) == ("incident.resolved", first.id, {"one", "two"})
    assert last.body["sentence"].startswith("Jobs and 2 more services are back to normal")
    sound(story)


def test_a_merged_incident_has_no_second_life_after_a_restart() -> None:
    story = tiers(TWO)
    story.kill("app", 30)
    story.kill("jobs", 35)
    story.wait(50)
    story.kill("database", 60)
    again = restarted(story, TWO, at=70)
    assert len({id(status.case) for status in again.world.services.values()}) == 1
    for name in TWO:
        again.heal(name, 90)
    assert again.incidents[-1][0] == "resolved"
    sound(again)


def restarted(story: Tiers, depends: dict[str, tuple[str, ...]], at: float) -> Tiers:
    checks = [check(name, depends_on=parents) for name, parents in depends.items()]
    again = Tiers(world(*checks, routes=ROUTES, journal=journal_of(story), at=at))
    again.asked, again.changes = [], list(story.changes)
    again._keep(again.world.start(moment(at)))
    return again


def test_what_is_suppressed_stays_so_over_a_restart_and_is_told_if_it_lasts() -> None:
    story = tiers()
    story.kill("database", 30)
    story.kill("app", 35)
    assert story.world.judges["app"].suppressed_by == "database"
    again = restarted(story, CHAIN, at=50)
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
    again = restarted(story, CHAIN, at=40)
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
        story.asked = []
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
    story.asked = []
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
    again = restarted(story, CHAIN, at=50)
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
    story.asked = []
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


def test_a_service_that_is_well_leaves_the_incident_and_the_others_go_on() -> None:
    story = tiers()
    for name in ("database", "app", "front"):
        story.kill(name, 30)
    story.heal("front", 60)
    assert story.incidents[-1][0] != "resolved"
    assert story.world.services["front"].incident is None
    story.heal("database", 80)
    story.heal("app", 80)
    resolved = story.events[-1]["incident"]
    assert resolved["resolved"] == "2026-03-01T12:01:20.000Z"
    assert resolved["services"] == ["database", "app", "front"]
    assert resolved["affected"] == []
    sound(story)


def test_less_than_an_outage_is_told_when_the_worst_has_left() -> None:
    soft = Service("app", "App", ("app",), OutageRule(1, ()))
    checks = [check("database"), check("app", depends_on=("database",))]
    story = Tiers(world(*checks, services={"app": soft}, routes=ROUTES))
    story.asked = []
    begun(story, ["database", "app"])
    for name in ("database", "app"):
        story.kill(name, 30)
    story.heal("database", 60)
    assert story.incidents[-1] == ("updated", "database", "degradation")
    update = next(event for event in reversed(story.events) if event["type"] == "incident.updated")
    assert update["sentence"].startswith("App and Database are no longer out, but still degraded")
    story.heal("app", 90)
    sound(story)


def test_a_chain_is_one_incident_although_its_middle_is_not_seen_to_fail() -> None:
    story = tiers()
    story.kill("database", 30)
    story.see(34, "app")
    story.kill("front", 40)
    assert {root for _, root, _ in story.incidents} == {"database"}
    assert story.world.judges["front"].suppressed_by == "database"
    sound(story)


def test_a_thousand_services_on_one_host_are_one_incident_told_a_few_times() -> None:
    names = [f"c{number}" for number in range(1100)]
    story = tiers({"host": (), **dict.fromkeys(names, ("host",))})
    story.kill("host", 30)
    for name in names:
        story.kill(name, 31)
    assert len(story.told("incident")) == 10
    assert story.checks == [("host", "down")]
    assert len(story.changes[-1].incidents) == 0, "beyond the limit of names nothing more is written down"
    sound_incident = story.world.services["c1099"].incident
    assert sound_incident is not None
    assert len(sound_incident.checks) == 1000


def test_a_rule_counts_what_is_known_and_says_what_is_open() -> None:
    names = ("a", "b", "c")
    service = Service("shop", "Web shop", names, OutageRule(2, names))
    story = Tiers(world(*(check(name, service="shop") for name in names), services={"shop": service}, routes=ROUTES))
    story.asked = []
    begun(story, names)
    for at in (30, 50, 70):
        story.see(at, "b", Reason.NO_ROUTE)
    assert story.events[-1]["type"] == "check.changed", "one that is unknown makes no outage of two"
    story.kill("a", 80)
    assert story.world.services["shop"].state == "degradation"
    open_question = "1 of 3 is down, 1 cannot be judged: it may be an outage, as that takes 2."
    assert all(event["sentence"].endswith(open_question) for event in story.events[-2:])
    for at in (90, 110, 130):
        story.see(at, "c", Reason.NO_ROUTE)
    story.heal("a", 140)
    assert story.world.services["shop"].state == "unknown"
    assert "0 of 3 are down, 2 cannot be judged: it may be an outage" in story.events[-1]["sentence"]
    sound(story)


def test_what_is_open_in_words() -> None:
    rule = OutageRule(2, ("a", "b", "c"))
    up, down, unknown = State.UP, State.DOWN, State.UNKNOWN
    said = {
        (up, up, up): "",
        (down, down, unknown): "",
        (down, unknown, up): "1 of 3 is down, 1 cannot be judged: it may be an outage, as that takes 2",
        (up, unknown, up): "0 of 3 are down, 1 cannot be judged: no outage either way, as that takes 2",
    }
    for states, words in said.items():
        assert doubt(rule, dict(zip("abc", states, strict=True))) == words
    assert doubt(OutageRule(1, ("a",)), {"a": unknown}) == "", "one alone needs no counting"


def test_what_somebody_has_written_down_is_named_first_and_the_cause_has_the_runbook() -> None:
    shop = Service("shop", "Web shop", ("front",), OutageRule(1, ("front",)), runbook="/shop")
    checks = [check("database", runbook="/database"), check("front", service="shop", depends_on=("database",))]
    story = Tiers(world(*checks, services={"shop": shop}, routes=ROUTES))
    story.asked = []
    begun(story, ["database", "front"])
    story.see(30, "front", Reason.REFUSED)
    story.see(31, "database", Reason.REFUSED)
    story.kill("front", 32)
    story.kill("database", 33)
    [opened] = [event for event in story.events if event["type"] == "incident.opened"]
    assert opened["sentence"] == (
        "Web shop and Database have an outage since 12:00:30 UTC: database: nothing listens on the port (and 1 more)."
    )
    assert opened["links"] == {"runbook": "/database"}
    assert opened["service"]["id"] == "shop"
    sound(story)


def test_two_ways_to_one_cause_are_one_incident() -> None:
    story = tiers({"host": (), "app": ("host",), "cache": ("host",), "front": ("app", "cache")})
    for name in ("host", "app", "cache", "front"):
        story.kill(name, 30)
    assert {root for _, root, _ in story.incidents} == {"host"}
    assert len({event["incident"]["id"] for event in story.events if "incident" in event}) == 1
    sound(story)


def test_several_checks_of_one_service_join_it_once() -> None:
    names = ("front", "cart")
    shop = Service("shop", "Web shop", names, OutageRule(1, names))
    checks = [check("database"), *(check(name, service="shop", depends_on=("database",)) for name in names)]
    story = Tiers(world(*checks, services={"shop": shop}, routes=ROUTES))
    story.asked = []
    begun(story, ("database", *names))
    for name in names:
        story.see(30, name, Reason.REFUSED)
        story.kill(name, 31)
    story.kill("database", 34)
    [opened] = [event["incident"] for event in story.events if event["type"] == "incident.opened"]
    assert opened["services"] == ["database", "shop"]
    assert sorted(opened["checks"]) == ["cart", "database", "front"]
    sound(story)


def test_what_is_only_remembered_joins_when_it_has_been_seen() -> None:
    story = tiers()
    story.kill("app", 30)
    again = restarted(story, CHAIN, at=40)
    again.kill("database", 41)
    [opened] = [event["incident"] for event in again.events if event["type"] == "incident.opened"]
    assert opened["services"] == ["database"]
    again.see(45, "app", Reason.REFUSED)
    assert again.world.services["app"].incident == again.world.services["database"].incident
    assert again.checks == [("database", "down")]
    sound(again)


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
        checks = [check(name, depends_on=parents) for name, parents in CHAIN.items()]
        journal = replace(kept, checks={**kept.checks, "app": broken})
        again = world(*checks, routes=ROUTES, journal=journal, at=40)
        assert (again.judges["app"].state, again.judges["app"].untold) == ("down", None)


def test_a_service_whose_checks_are_all_new_leaves_an_incident_that_others_keep_open() -> None:
    def plan(front: str) -> tuple[list[Check], dict[str, Service]]:
        checks = [check("database"), check(front, service="shop", depends_on=("database",))]
        return checks, {"shop": Service("shop", "Web shop", (front,), OutageRule(1, (front,)))}

    checks, services = plan("front")
    story = Tiers(world(*checks, services=services, routes=ROUTES))
    story.asked = []
    begun(story, ["database", "front"])
    story.kill("database", 30)
    story.kill("front", 34)
    for at in (50, 70, 90):
        for name in ("front", "database"):
            story.see(at, name, Reason.NO_ROUTE)
    checks, services = plan("fresh")
    reloaded(story, *checks, at=100, services=services)
    assert story.world.services["shop"].incident is None
    assert story.incidents[-1][0] == "updated"
    assert story.events[-1]["sentence"].endswith("front is no longer watched.")
    story.heal("database", 110)
    assert story.incidents[-1] == ("resolved", "database", "resolved")
    sound(story)


def test_an_incident_goes_on_without_a_service_that_is_watched_no_longer() -> None:
    story = tiers()
    for name in ("database", "app", "front"):
        story.kill(name, 30)
    checks = [check("database"), check("app", depends_on=("database",))]
    reloaded(story, *checks, at=60)
    incident = story.world.services["database"].incident
    assert incident is not None
    assert story.world.services["app"].incident is incident
    assert story.world.services["database"].case.services == {"database": None, "app": None}  # type: ignore[union-attr]
    reloaded(story, check("pg", was=("database",)), check("app", depends_on=("pg",)), at=70)
    assert story.world.services["app"].incident is story.world.services["pg"].incident
    assert story.world.services["app"].incident.root == "pg"  # type: ignore[union-attr]
    for name in ("pg", "app"):
        story.heal(name, 80)
    assert story.incidents[-1] == ("resolved", "pg", "resolved")
    sound(story)


def test_of_two_incidents_that_a_journal_has_of_one_service_the_older_ends() -> None:
    story = tiers()
    story.kill("database", 30)
    kept = journal_of(story)
    [newer] = kept.incidents
    older = replace(newer, id=newer.id[:-1] + "a", opened=newer.opened - timedelta(hours=1))
    again = Tiers(world(check("database"), routes=ROUTES, journal=replace(kept, incidents=(older, newer)), at=40))
    again.asked = []
    again._keep(again.world.start(moment(40)))
    assert again.world.services["database"].incident == newer
    [end] = [event for change in again.changes for event in change.events]
    assert (end.type, end.stream) == ("incident.resolved", older.id)
    assert all(not change.services for change in again.changes), "the service itself goes on as it is"
