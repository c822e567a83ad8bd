from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.event import EVIDENCE_LIMIT
from monitor.core.model import Change, Impact, Journal, Look, Observation, OutageRule, Service
from monitor.core.routing import Route, Term
from monitor.core.wording import TEXT_LIMIT
from monitor.core.world import World
from probes.contract import Reason
from tests.core.builders import START, above, check, look, moment, world

SCHEMA = jsonschema.Draft202012Validator(
    json.loads(files("monitor").joinpath("schemas/event.schema.json").read_text(encoding="utf-8"))
)

SHOP = Service(
    "shop", "Web shop", ("home", "checkout", "search"), OutageRule(1, ("home", "checkout")), runbook="/wiki"
)


def shop(**fields: Any) -> World:
    checks = [check(name, service="shop") for name in ("home", "checkout", "search")]
    return world(*checks, services={"shop": SHOP}, **fields)


class Story:
    """A world fed with looks; keeps what was told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.changes: list[Change] = []

    def see(self, at: float, check: str = "home", fails: Reason | None = None, **measurements: float) -> None:
        self.feed(look(at, check=check, fails=fails, **measurements))

    def feed(self, look: Look) -> None:
        decision = self.world.observe(look)
        if decision.change is not None:
            self.changes.append(decision.change)

    def kill(self, check: str, at: float) -> None:
        for second in range(3):
            self.see(at + second, check, Reason.REFUSED)

    def heal(self, check: str, at: float) -> None:
        for second in range(12):
            self.see(at + second, check)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [dict(event.body) for change in self.changes for event in change.events]

    def told(self, kind: str = "") -> list[tuple[str, str]]:
        return [(event["type"], event["state"]["new"]) for event in self.events if event["type"].startswith(kind)]


def begun(story: Story, names: Iterable[str] = ("home", "checkout", "search")) -> Story:
    for name in names:
        story.see(0, name)
    return story


def test_that_all_is_well_is_not_told() -> None:
    story = begun(Story(shop()))
    assert story.told() == []
    assert story.world.services["shop"].state == "operational"


def test_an_outage_is_one_incident_with_its_root() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    assert story.told() == [("check.changed", "down"), ("service.changed", "outage"), ("incident.opened", "outage")]
    incident = story.events[-1]["incident"]
    assert incident["root"] == "home"
    assert incident["since"] == "2026-03-01T12:00:30.000Z"
    assert story.events[-1]["sentence"] == (
        "Web shop has an outage since 12:00:30 UTC: home: nothing listens on the port."
    )


def test_a_check_outside_the_rule_is_a_degradation_however_dead() -> None:
    story = begun(Story(shop()))
    story.kill("search", 30)
    assert story.told("incident") == [("incident.opened", "degradation")]
    assert "is degraded" in story.events[-1]["sentence"]


def test_an_incident_grows_worse_and_ends_once() -> None:
    story = begun(Story(shop()))
    story.kill("search", 30)
    story.kill("home", 60)
    story.kill("checkout", 90)
    story.heal("home", 120)
    story.heal("checkout", 150)
    story.heal("search", 180)
    assert story.told("incident") == [
        ("incident.opened", "degradation"),
        ("incident.updated", "outage"),
        ("incident.updated", "degradation"),
        ("incident.resolved", "resolved"),
    ]
    assert story.events[-1]["incident"]["checks"] == ["search", "home", "checkout"]
    ids = {event["incident"]["id"] for event in story.events if "incident" in event}
    assert len(ids) == 1
    assert [event["incident"]["root"] for event in story.events if "incident" in event] == [
        "search", "home", "home", "home",
    ]  # fmt: skip
    assert story.world.services["shop"].incident is None


def test_the_end_is_dated_back_to_the_first_success() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.heal("home", 60)
    resolved = story.events[-1]
    assert resolved["incident"]["resolved"] == "2026-03-01T12:01:00.000Z"
    assert resolved["incident"]["duration_seconds"] == 30
    assert resolved["sentence"] == (
        "Web shop is back to normal after 30 s. It was home: nothing listens on the port."
    )
    told = [event["sentence"] for event in story.events if event["type"] == "incident.updated"]
    assert told == [
        "Web shop is no longer out, but still degraded: home: it answers again, and is watched until that lasts."
    ]


def test_the_end_tells_how_long_the_whole_trouble_was() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.heal("home", 60)
    ends = [event["sentence"] for event in story.events if event["state"]["new"] in ("up", "operational")]
    assert ends == ["home is up again after 30 s.", "Web shop is back to normal after 30 s."]


def test_the_end_of_slowness_is_when_it_was_quick_again() -> None:
    story = begun(Story(world(check("api", above(1)))), ["api"])
    for at, took in ((30, 3), (31, 3), (60, 0.1), (61, 0.1)):
        story.see(at, "api", response_time=took)
    assert story.events[-1]["incident"]["duration_seconds"] == 30


def test_another_incident_has_another_id() -> None:
    story = begun(Story(shop()))
    for at in (30, 130):
        story.kill("home", at)
        story.heal("home", at + 30)
    opened = [event["incident"]["id"] for event in story.events if event["type"] == "incident.opened"]
    assert len(set(opened)) == 2


def test_unknown_opens_nothing_and_resolves_nothing() -> None:
    story = begun(Story(shop()))
    for at in (30, 60, 90):
        for name in ("home", "checkout", "search"):
            story.see(at, name, Reason.NO_ROUTE)
    assert story.told("incident") == []
    assert story.world.services["shop"].state == "unknown"
    assert "cannot be judged" in story.events[-1]["sentence"]
    for name in ("home", "checkout", "search"):
        story.see(120, name)
    story.kill("home", 150)
    for at in (180, 210, 240):
        story.see(at, "home", Reason.NO_ROUTE)
    assert story.told("incident") == [("incident.opened", "outage")]
    assert story.world.services["shop"].incident is not None
    story.heal("home", 270)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")


def test_a_growing_incident_names_who_joined() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.kill("checkout", 60)
    assert story.events[-1]["incident"]["checks"] == ["home", "checkout"]
    assert story.events[-1]["sentence"].endswith("home: nothing listens on the port (and 1 more).")


def test_an_outage_after_a_degradation_has_a_beginning_of_its_own() -> None:
    story = begun(Story(shop()))
    story.kill("search", 30)
    story.kill("home", 90)
    sentence = story.told("incident") and story.events[-1]["sentence"]
    assert sentence == (
        "Web shop has an outage since 12:01:30 UTC (degraded since 12:00:30 UTC): "
        "home: nothing listens on the port (and 1 more)."
    )


def test_on_the_way_back_the_worst_that_is_left_is_told_and_the_cause_is_kept() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.kill("search", 60)
    story.heal("home", 90)
    update = [event for event in story.events if event["type"] == "incident.updated"][-1]
    assert update["state"] == {"old": "outage", "new": "degradation"}
    assert "still degraded: search: nothing listens on the port" in update["sentence"]
    assert update["incident"]["root"] == "home"
    story.heal("search", 120)
    assert story.events[-1]["sentence"].endswith("It was home: nothing listens on the port.")


def test_the_cause_is_the_worst_that_was_seen_of_it() -> None:
    story = begun(Story(shop()))
    for second in range(20):
        story.see(30 + second, "search", Reason.STATUS if second % 2 else None)
    assert "of the latest looks failed" in story.events[-1]["sentence"]
    for second in range(40):
        story.see(50 + second, "search", Reason.REFUSED)
    assert story.world.judges["search"].state == "down"
    story.heal("search", 120)
    assert story.events[-1]["sentence"].endswith("It was search: nothing listens on the port.")


def test_what_was_bad_when_we_lost_sight_of_it_is_not_well_because_of_that() -> None:
    rule = OutageRule(2, ("port", "page"))
    office = Service("office", "Back office", ("port", "page"), rule)
    checks = [check(name, service="office") for name in ("port", "page")]
    story = begun(Story(world(*checks, services={"office": office})), ("port", "page"))
    story.kill("port", 30)
    story.kill("page", 40)
    for at in (60, 90, 120):
        story.see(at, "page", Reason.BLOCKED)
    story.heal("port", 130)
    assert story.world.services["office"].state == "unknown"
    assert ("incident.resolved", "resolved") not in story.told()
    story.heal("page", 160)
    assert [kind for kind, _ in story.told("incident")].count("incident.opened") == 1
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    degraded = [event for event in story.events if event["state"] == {"old": "unknown", "new": "degraded"}]
    assert degraded[0]["since"] == "2026-03-01T12:02:40.000Z", "the first success, not when sight was lost"


def test_a_shrinking_incident_of_the_same_impact_tells_nothing_new() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.kill("checkout", 60)
    before = len(story.told("incident"))
    story.heal("checkout", 90)
    assert len(story.told("incident")) == before


def test_when_the_root_recovers_and_another_is_left_the_root_moves() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    story.heal("home", 60)
    story.kill("search", 100)
    story.kill("home", 130)
    assert story.events[-1]["incident"]["root"] == "home"


def test_routes_decide_and_the_end_goes_to_whoever_was_told() -> None:
    routes = (Route(("pager",), Term("impact", "outage")), Route(("chat",), Term("impact", "degradation")))
    story = begun(Story(shop(routes=routes)))
    story.kill("search", 30)
    story.kill("home", 60)
    story.heal("home", 90)
    story.heal("search", 120)
    sinks = [event.sinks for change in story.changes for event in change.events if event.stream.startswith("inc_")]
    assert sinks == [("chat",), ("pager", "chat"), ("chat", "pager"), ("chat", "pager")]


def test_labels_and_owners_can_route() -> None:
    routes = (
        Route(("web",), Term("owner", "web")),
        Route(("gold",), Term("label.tier", "gold")),
        Route(("east",), Term("label.region", "east")),
    )
    checks = [check("home", service="shop", labels={"tier": "gold"}, owner="web")]
    service = Service("shop", "Shop", ("home",), OutageRule(1, ("home",)), labels={"region": "east"})
    story = begun(Story(world(*checks, services={"shop": service}, routes=routes)), ["home"])
    story.kill("home", 30)
    assert story.changes[-1].events[-1].sinks == ("web", "gold", "east")


def journal_of(story: Story) -> Journal:
    """What a store that committed all these changes would tell at the next start."""
    checks, services, incidents, notes = {}, {}, {}, {}
    for change in story.changes:
        notes |= {note.name: note.value for note in change.notes}
        checks |= {record.check: record for record in change.checks}
        services |= {record.service: record for record in change.services}
        incidents |= {incident.id: incident for incident in change.incidents}
    still_open = tuple(item for item in incidents.values() if not item.resolved)
    kept = {name: value for name, value in notes.items() if value is not None}
    return Journal("origin", 2, checks, services, still_open, kept)


def test_a_restart_goes_on_with_the_open_incident() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    again = Story(shop(journal=journal_of(story), at=40))
    assert again.world.start(moment(40)) is None
    again.heal("home", 60)
    assert again.told("incident") == [("incident.updated", "degradation"), ("incident.resolved", "resolved")]
    assert again.events[-1]["incident"]["id"] == story.events[-1]["incident"]["id"]


def test_a_service_taken_out_of_the_config_ends_what_it_opened() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    again = Story(world(check("other"), journal=journal_of(story), at=60))
    change = again.world.start(moment(60))
    assert change is not None
    assert change.events[0].type == "incident.resolved"
    assert change.events[0].sinks == ("hook",)
    assert change.incidents[0].why == "no longer watched"
    SCHEMA.validate(dict(change.events[0].body))
    assert again.world.start(moment(61)) is None


def test_a_check_taken_out_of_the_config_no_longer_keeps_its_service_bad() -> None:
    story = begun(Story(shop()))
    story.kill("search", 30)
    fewer = replace(SHOP, checks=("home", "checkout"))
    checks = [check(name, service="shop") for name in fewer.checks]
    again = world(*checks, services={"shop": fewer}, journal=journal_of(story), at=60)
    assert again.start(moment(60)) is None
    change = again.observe(look(61, check="checkout")).change
    assert change is not None
    assert [event.type for event in change.events] == ["service.changed", "incident.resolved"]


def again_with(story: Story, *checks: Any, at: float, **fields: Any) -> Story:
    """The same journal under another configuration, `World.start` told."""
    restarted = Story(world(*checks, journal=journal_of(story), at=at, **fields))
    restarted.changes = list(story.changes)
    change = restarted.world.start(moment(at))
    if change is not None:
        restarted.changes.append(change)
    return restarted


def test_a_check_disabled_while_down_is_told_anew_when_it_comes_back() -> None:
    story = begun(Story(world(check("home"))), ["home"])
    story.kill("home", 30)
    off = again_with(story, check("other"), at=60)
    back = again_with(off, check("home"), at=90)
    assert back.told("incident") == [("incident.opened", "outage"), ("incident.resolved", "resolved")]
    back.see(91, "home", Reason.REFUSED)
    assert back.told("incident")[-1] == ("incident.opened", "outage")
    opened = [event["incident"]["id"] for event in back.events if event["type"] == "incident.opened"]
    assert len(set(opened)) == 2


def test_nobody_is_told_of_an_outage_that_is_only_remembered() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    off = again_with(story, check("other"), at=60)
    shop_again = {"services": {"shop": SHOP}}
    back = again_with(off, *(check(name, service="shop") for name in SHOP.checks), at=90, **shop_again)
    before = len(back.told("incident"))
    back.see(91, "checkout")
    back.see(92, "search")
    for second in range(20):
        back.see(93 + second, "home")
    assert len(back.told("incident")) == before
    assert back.world.services["shop"].state == "operational"


def test_a_check_that_is_still_slow_when_it_comes_back_is_told() -> None:
    story = begun(Story(world(check("api", above(1)))), ["api"])
    for at in (30, 31):
        story.see(at, "api", response_time=3)
    off = again_with(story, check("other"), at=60)
    back = again_with(off, check("api", above(1)), at=90)
    assert back.told("incident")[-1] == ("incident.resolved", "resolved")
    back.see(91, "api", response_time=3)
    assert back.told("incident")[-1] == ("incident.opened", "degradation")


def test_an_open_incident_goes_with_its_check_to_another_service() -> None:
    story = begun(Story(world(check("home"))), ["home"])
    story.kill("home", 30)
    moved = check("front", service="shop", was=("home",))
    service = Service("shop", "Web shop", ("front",), OutageRule(1, ("front",)))
    again = again_with(story, check("aside"), moved, at=60, services={"shop": service})
    assert again.told("incident") == [("incident.opened", "outage")]
    again.heal("front", 90)
    assert again.told("incident")[-1] == ("incident.resolved", "resolved")
    assert len({event["incident"]["id"] for event in again.events if "incident" in event}) == 1


def test_a_sink_that_is_gone_is_told_no_more() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    again = Story(shop(journal=journal_of(story), at=40, routes=(Route(("chat",)),)))
    again.heal("home", 60)
    assert [
        event.sinks for change in again.changes for event in change.events if event.stream.startswith("inc_")
    ] == [
        ("chat",),
        ("chat",),
    ]


def test_hundreds_of_checks_of_one_service_are_told_a_few_times() -> None:
    names = tuple(f"c{number}" for number in range(500))
    big = Service("big", "Big", names, OutageRule(1, names))
    story = Story(world(*(check(name, service="big") for name in names), services={"big": big}))
    begun(story, names)
    for name in names:
        story.kill(name, 30)
    assert len(story.told("incident")) == 9
    assert max(len(json.dumps(event, ensure_ascii=False).encode()) for event in story.events) < 20_000


def test_a_renamed_check_keeps_its_state() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    renamed = check("front", service="shop", was=("home",))
    service = Service("shop", "Web shop", ("front",), OutageRule(1, ("front",)))
    again = world(renamed, services={"shop": service}, journal=journal_of(story), at=60)
    assert again.judges["front"].state == "down"
    assert again.judges["front"].seq == 2


def test_every_event_keeps_the_published_schema() -> None:
    story = begun(Story(shop()))
    for at in (10, 20, 40):
        story.see(at, "search", Reason.NO_ROUTE)
    story.kill("search", 50)
    story.kill("home", 60)
    story.heal("home", 90)
    story.heal("search", 120)
    slow = begun(Story(world(check("api", above(1)))), ["api"])
    slow.see(30, "api", response_time=3)
    slow.see(31, "api", response_time=3)
    assert {event["type"] for event in story.events} >= {"check.changed", "service.changed", "incident.opened"}
    for event in story.events + slow.events:
        SCHEMA.validate(event)
    assert slow.events[0]["threshold"]["value"] == 3
    assert slow.events[0]["sentence"] == ("api is degraded since 12:00:31 UTC: response time 3 s, limit 1 s.")


def test_hostile_evidence_is_bounded() -> None:
    story = begun(Story(world(check("home"))), ["home"])
    wild = Observation(
        measurements={f"m{n}": float("nan") if n % 2 else 1.0 for n in range(500)},
        reason=Reason.STATUS,
        detail="x" * 5000,
        evidence={f"k{n}": "\x00<script>" * 1000 for n in range(500)},
    )
    for at in (30, 31, 32):
        story.feed(Look("home", wild, moment(at), moment(at)))
    body = story.events[-1]
    SCHEMA.validate(body)
    assert len(body["evidence"]["facts"]) == EVIDENCE_LIMIT
    assert max(map(len, body["evidence"]["facts"].values())) == TEXT_LIMIT
    assert len(json.dumps(body, ensure_ascii=False).encode()) < 20_000
    assert "NaN" not in json.dumps(body)


def test_secrets_are_taken_out_of_bodies() -> None:
    plain = world(check("home", labels={"tier": "nowhere"}))
    source = replace(
        plain.plan.source, redact=lambda text: text.replace("192.0.2.1", "***").replace("nowhere", "***")
    )
    story = begun(Story(World(replace(plain.plan, source=source), Journal("origin", 1), moment(0))), ["home"])
    story.kill("home", 30)
    body = story.events[0]
    assert body["evidence"]["facts"] == {"address": "***"}
    assert body["check"]["target"] == "***"
    assert body["check"]["labels"] == {"tier": "nowhere"}, "names and labels are no secrets"


def test_secrets_are_taken_out_of_what_a_good_look_brought() -> None:
    """What fails passes the agent's gate; of a good look nobody has looked through the texts before."""
    plain = world(check("home"))
    source = replace(plain.plan.source, redact=lambda text: text.replace("hunter2", "***"))
    story = Story(World(replace(plain.plan, source=source), Journal("origin", 1), moment(0)))
    seen = Observation({"response_time": 0.1}, evidence={"X-hunter2": "key=hunter2"})
    story.feed(replace(look(0, check="home"), observation=seen))
    [transition] = [item for change in story.changes for item in change.transitions if item.kind == "check"]
    assert (transition.new, transition.evidence) == ("up", {"X-***": "key=***"})


def test_a_link_to_the_page_and_the_runbook() -> None:
    plain = shop()
    plan = replace(plain.plan, source=replace(plain.plan.source, public_url="https://status.example.com"))
    story = begun(Story(World(plan, Journal("origin", 1), moment(0))))
    story.kill("home", 30)
    assert story.events[-1]["links"] == {"page": "https://status.example.com", "runbook": "/wiki"}


def test_an_event_without_a_look_has_no_evidence() -> None:
    story = begun(Story(shop()))
    story.kill("home", 30)
    one = replace(SHOP, outage=OutageRule(2, ("home", "checkout")))
    checks = [check(name, service="shop") for name in SHOP.checks]
    again = world(*checks, services={"shop": one}, journal=journal_of(story), at=60)
    change = again.observe(look(61, check="checkout")).change
    assert change is not None
    assert [event.body["state"]["new"] for event in change.events] == ["degradation", "degradation"]
    assert "looked_at" not in change.events[-1].body["evidence"]
    assert change.incidents[0].impact is Impact.DEGRADATION


SEEN = st.sampled_from([None, None, Reason.REFUSED, Reason.LATE])


@given(st.lists(st.tuples(st.floats(0.1, 60), st.sampled_from(SHOP.checks), SEEN), max_size=150))
def test_whatever_happens_every_opened_incident_can_be_closed(looks: list[tuple[float, str, Reason | None]]) -> None:
    story, at = Story(shop()), 0.0
    for gap, name, fails in looks:
        at += gap
        story.see(at, name, fails)
    for name in SHOP.checks:
        for second in range(60):
            story.see(at + 1 + second, name)
    opened = {event["incident"]["id"] for event in story.events if event["type"] == "incident.opened"}
    resolved = [event["incident"]["id"] for event in story.events if event["type"] == "incident.resolved"]
    assert sorted(resolved) == sorted(opened)
    ids = [event["id"] for event in story.events]
    assert len(ids) == len(set(ids))
    assert story.world.services["shop"].since is not None
    assert story.world.services["shop"].since >= START - timedelta(days=1)


def test_everything_that_is_known_is_told_to_a_journal_that_has_lost_it() -> None:
    here = begun(Story(shop()), ["home", "checkout"])
    here.kill("home", 1)
    change = here.world.everything(moment(31))
    assert [(record.check, record.state) for record in change.checks] == [("home", "down"), ("checkout", "up")]
    assert [(record.service, record.state) for record in change.services] == [("shop", "outage")]
    assert [incident.root for incident in change.incidents] == ["home"]
