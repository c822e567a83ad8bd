"""The bodies of events: as published, bounded, without secrets, and with links."""

from __future__ import annotations

import json
from dataclasses import replace

from monitor.core.event import EVIDENCE_LIMIT
from monitor.core.model import Impact, Journal, Look, Observation, OutageRule
from monitor.core.wording import TEXT_LIMIT
from monitor.core.world import World
from probes.contract import Reason
from tests.core.builders import above, check, look, moment, world
from tests.core.stories import SCHEMA, SHOP, Story, begun, journal_of, shop


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
