"""What people read of an event: the headline, what is worth knowing, and nothing that could harm them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from monitor.sinks import _message, _told
from monitor.sinks._message import Message, compose, plain
from tests.sinks.lives import ALL, DIGEST, DRILL, OPENED, RESOLVED, START, TEST, WORSE, body, delivered, hostile


def composed(told: dict[str, Any], now: datetime | None = None) -> Message:
    event = _told.read(delivered(told))
    return compose(event, now or datetime.fromisoformat(told["at"]))


@pytest.mark.parametrize(
    ("name", "symbol", "headline", "rings"),
    [
        ("opened", "🟡", "Web shop: degraded", False),
        ("worse", "🔴", "Web shop: outage", True),
        ("acknowledged", "🔴", "Web shop: outage, acknowledged", False),
        ("reminder", "🔴", "Web shop: outage, still", True),
        ("resolved", "🟢", "Web shop: back to normal", False),
        ("cannot_tell", "⚪", "Web shop: cannot be judged", False),
        ("deploy", "🔵", "Deploy v42 of Web shop by ann", False),
        ("impaired", "🟡", "Monitoring at fra1: impaired", False),
        ("digest", "🔴", "29 more alerts", False),
        ("night", "🔴", "2 incidents in quiet hours, 1 still open", False),
        ("drill", "🟡", "[DRILL] Web shop: degraded", False),
        ("test", "🟡", "[TEST] Web shop: degraded", False),
    ],
)
def test_its_headline(name: str, symbol: str, headline: str, *, rings: bool) -> None:
    message = composed(ALL[name])
    assert (message.symbol, message.headline, message.rings) == (symbol, headline, rings)


def test_headlines_of_other_events() -> None:
    down = body("check.changed", "up", "down", "home is down.", incident={}, service={"id": "shop"})
    assert composed(down).headline == "home: down"
    several = OPENED | {"incident": OPENED["incident"] | {"affected": ["shop", "search", "mail"]}}
    assert composed(several).headline == "Web shop and 2 more: degraded"
    merged = RESOLVED | {"incident": RESOLVED["incident"] | {"merged_into": "inc_2"}}
    assert (composed(merged).symbol, composed(merged).headline) == ("⚪", "Web shop: part of another incident")
    escalated = WORSE | {"update": {"kind": "escalated", "by": None, "text": ""}}
    assert composed(escalated).headline == "Web shop: outage, nobody has acknowledged it yet"
    over = DIGEST | {"state": {"old": "outage", "new": "operational"}}
    assert composed(over).headline == "29 are back to normal"


def test_what_is_worth_knowing() -> None:
    facts = dict(composed(ALL["acknowledged"]).facts)
    assert facts["Acknowledged"] == "looking at the database by Ann"
    assert facts["Since"] == "2026-03-02 14:02:15 UTC"
    assert (facts["Condition"], facts["Affected"]) == ("p95(response_time, 5m) > 800ms", "shop")
    assert "Advice" not in facts, "that there is a condition is seen"
    assert dict(composed(OPENED | {"threshold": {}}).facts)["Advice"]
    resolved = dict(composed(RESOLVED).facts)
    assert (resolved["Until"], resolved["Lasted"]) == ("2026-03-02 14:16:15 UTC", "14 min")


def test_who_has_it() -> None:
    acknowledged = composed(ALL["acknowledged"])
    assert acknowledged.acknowledged
    assert acknowledged.details == (), "it is no news of the check"
    assert "Acknowledge" not in [label for _, label, _ in acknowledged.links], "somebody has it"
    assert "Acknowledge" not in [label for _, label, _ in composed(RESOLVED).links], "it is over"
    worse = WORSE | {"incident": ALL["acknowledged"]["incident"]}
    assert dict(composed(worse).facts)["Acknowledged"] == "2026-03-02 14:06:15 UTC, by Ann"
    put_off = composed(ALL["reminder"])
    assert dict(put_off.facts)["Put off until"] == "2026-03-02 15:00:00 UTC, by Ann"
    assert not put_off.acknowledged
    assert put_off.details


def test_what_was_deployed_before_it() -> None:
    told = OPENED | {"deploy": {"version": "v42", "seconds": 180.0}}
    told["links"] = {"deploy": "https://ci.example.com/42"}
    assert dict(composed(told).facts)["Deployed"] == "v42, 3 min before it began"
    assert composed(told).links == (("deploy", "Deploy", "https://ci.example.com/42"),)


def test_late_news_says_when_it_was() -> None:
    assert "Late" not in dict(composed(OPENED).facts)
    late = dict(composed(OPENED, START + timedelta(minutes=12)).facts)
    assert late["Late"] == "decided at 2026-03-02 14:02:15 UTC, 12 min before this was sent"


def test_a_digest_has_its_items_and_counts_the_rest() -> None:
    message = composed(DIGEST)
    assert message.items == (
        "🔴 14:02:15 UTC Web shop has an outage.",
        "🟡 14:02:15 UTC Search is degraded.",
        "and 27 more",
    )
    many = DIGEST | {"items": DIGEST["items"] * 20}
    assert composed(many).items[-1] == "and 47 more"
    assert len(composed(many).items) == _message.ITEMS_LIMIT + 1


def test_as_text_of_lines() -> None:
    text = plain(composed(OPENED))
    assert text.startswith("Web shop is degraded since 14:02:15 UTC")
    assert "\nPhases:\n  dns 3 ms, connect 12 ms, first_byte 2.38 s\n" in text
    assert text.endswith("Open: https://status.ops.example.com\nRunbook: https://wiki.example.com/shop")


@pytest.mark.parametrize("name", sorted(ALL))
def test_hostile_text_is_harmless_and_bounded(name: str) -> None:
    message = composed(hostile(ALL[name]))
    texts = [message.headline, message.sentence, *message.items]
    texts += [text for pair in message.facts for text in pair]
    texts += [line for title, lines in message.details for line in (title, *lines)]
    assert all(text.isprintable() and len(text) <= 600 for text in texts)
    assert len(plain(message)) < 40_000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"state": "down", "incident": [], "evidence": {"checks": [1, null], "facts": [], "phases": {"a": "b"}}}',
        b'{"at": "yesterday", "since": 5, "links": {"page": 7, "runbook": "javascript:alert(1)"}, "items": {}}',
        b'{"type": "digest", "items": [1, {"at": null}], "more": "many", "incident": {"affected": 3}}',
        json.dumps({"sentence": "\ud800", "service": {"title": "\udfff"}}).encode(),
    ],
)
def test_any_body_makes_a_message(raw: bytes) -> None:
    """A letter of another version may be replayed."""
    message = compose(_told.read(replace(delivered(OPENED), body=raw)), START)
    assert message.headline
    assert message.sentence
    plain(message).encode()
    assert message.links == ()


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//x/", "https://", "https://x/\n", "https://x y/", "https://[::1", "x" * 3000, 7]
)
def test_only_addresses_of_the_web_become_links(url: Any) -> None:
    assert composed(OPENED | {"links": {"page": url}}).links == ()


def test_a_runbook_that_is_no_link_is_still_told() -> None:
    message = composed(OPENED | {"links": {"runbook": "drawer 3, red folder"}})
    assert dict(message.facts)["Runbook"] == "drawer 3, red folder"


def test_marks_are_there_once() -> None:
    for told, mark in ((DRILL, "[DRILL]"), (TEST, "[TEST]")):
        message = composed(told)
        assert message.headline.count(mark) == 1
        assert message.sentence.startswith(mark)
