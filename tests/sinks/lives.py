"""An incident's life as a sink is told it: a shop that turns slow, goes out, is acknowledged, and comes back.
And what a hostile target would write into each text."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.store.contract import Delivery

START = datetime(2026, 3, 2, 14, 2, 15, tzinfo=UTC)
INCIDENT = "inc_ykpky5yabvctopaidfesogg76r"
HOSTILE = (
    "<!channel> <@U123> @everyone <script>alert(1)</script> *bold* _it_ `code` [x](https://evil.example) & "
    "\r\nBcc: victim@example.com\r\n\r\n.\r\n\x00\x1b[2J\u202eevil\u2028" + "A" * 10_000
)


def body(kind: str, old: str, new: str, sentence: str, after: float = 0.0, **more: Any) -> dict[str, Any]:
    """An event's body as docs/events.md has it, `after` seconds from the start."""
    at = START + timedelta(seconds=after)
    resolved = at if new == "resolved" else None
    return {
        "id": f"evt_{kind}_{new}_{after:g}",
        "version": "1",
        "type": kind,
        "at": at.isoformat().replace("+00:00", "Z"),
        "sentence": sentence,
        "vantage": "fra1",
        "state": {"old": old, "new": new},
        "since": START.isoformat(),
        "reason": "threshold",
        "why": "response time 2.4 s, limit 800 ms (p95 over 5 min)",
        "advice": "the condition and the value are in the event",
        "threshold": {"condition": "p95(response_time, 5m) > 800ms", "value": 2.4, "limit": 0.8},
        "incident": {
            "id": INCIDENT,
            "impact": "degradation" if new == "degradation" else "outage",
            "opened": START.isoformat(),
            "since": START.isoformat(),
            "resolved": resolved.isoformat() if resolved else None,
            "duration_seconds": after,
            "root": "home",
            "checks": ["home", "checkout"],
            "services": ["shop"],
            "affected": [] if resolved else ["shop"],
        },
        "check": {"id": "home", "name": "home", "target": "https://shop.example.com/", "state": "degraded"},
        "service": {"id": "shop", "title": "Web shop", "state": new, "owner": "web"},
        "evidence": {
            "measurements": {"response_time": 2.4, "status": 200.0},
            "phases": {"dns": 0.003, "connect": 0.012, "first_byte": 2.381},
            "facts": {"address": "192.0.2.7", "excerpt": "<h1>Please wait</h1>"},
            "checks": [
                {"id": "home", "state": "degraded", "why": "response time 2.4 s"},
                {"id": "checkout", "state": "up", "why": ""},
            ],
        },
        "links": {
            "page": "https://status.ops.example.com",
            "runbook": "https://wiki.example.com/shop",
            "acknowledge": "https://status.ops.example.com/ack/abc?signed=1&until=2",
        },
    } | more


OPENED = body(
    "incident.opened",
    "operational",
    "degradation",
    "Web shop is degraded since 14:02:15 UTC: home: response time 2.4 s, limit 800 ms (p95 over 5 min).",
)
WORSE = body(
    "incident.updated",
    "degradation",
    "outage",
    "Web shop has an outage since 14:05:00 UTC (degraded since 14:02:15 UTC): checkout: connection refused.",
    165.0,
)
ACKNOWLEDGED = body(
    "incident.updated",
    "outage",
    "outage",
    "Ann has acknowledged the outage of Web shop: looking at the database.",
    240.0,
    update={"kind": "acknowledged", "by": "Ann", "text": "looking at the database"},
)
_GIVEN = {"by": "Ann", "at": "2026-03-02T14:06:15.000Z", "until": None}
ACKNOWLEDGED["incident"]["acknowledged"] = _GIVEN
REMINDER = body(
    "incident.updated",
    "outage",
    "outage",
    "Web shop has had an outage for 30 min.",
    1800.0,
    update={"kind": "reminder", "by": None, "text": ""},
)
REMINDER["incident"]["acknowledged"] = _GIVEN | {"until": "2026-03-02T15:00:00.000Z"}
RESOLVED = body(
    "incident.resolved", "outage", "resolved", "Web shop is back to normal after 14 min. It was home.", 840.0
)
CANNOT_TELL = body("check.changed", "up", "unknown", "home cannot be judged since 14:02:15 UTC: bot challenge.")
DEPLOY = body("deploy.marked", "", "", "Deploy v42 of Web shop by ann.", incident={}, service={}, check={})
IMPAIRED = body(
    "agent.impaired", "well", "impaired", "The agent at fra1 has lost its network.", incident={}, service={}, check={}
)
DIGEST = {
    "id": "evt_digest",
    "type": "digest",
    "at": START.isoformat(),
    "vantage": "fra1",
    "sentence": "29 more changes within 30 s, the worst: Web shop has an outage.",
    "state": {"old": "operational", "new": "outage"},
    "items": [
        {"at": START.isoformat(), "sentence": "Web shop has an outage.", "state": "outage", "incident": INCIDENT},
        {"at": START.isoformat(), "sentence": "Search is degraded.", "state": "degradation", "incident": "inc_2"},
    ],
    "more": 27,
    "links": {"page": "https://status.ops.example.com"},
}
NIGHT = DIGEST | {
    "sentence": "2 incidents in quiet hours (22:00-07:00 Europe/Berlin): 2 degradations; 1 still open.",
    "more": 0,
    "quiet": {"hours": "22:00-07:00 Europe/Berlin", "open": 1},
}
DRILL = OPENED | {"drill": True, "sentence": f"[DRILL] {OPENED['sentence']}"}
TEST = OPENED | {"test": True, "sentence": f"[TEST] {OPENED['sentence']}"}
ALL = {
    "opened": OPENED,
    "worse": WORSE,
    "acknowledged": ACKNOWLEDGED,
    "reminder": REMINDER,
    "resolved": RESOLVED,
    "cannot_tell": CANNOT_TELL,
    "deploy": DEPLOY,
    "impaired": IMPAIRED,
    "digest": DIGEST,
    "night": NIGHT,
    "drill": DRILL,
    "test": TEST,
}


def hostile(value: Any) -> Any:
    """The same body with `HOSTILE` in every text, but for those that tell what it is about."""
    kept = {"type", "state", "at", "since", "resolved", "opened", "links", "kind", "id"}
    if isinstance(value, dict):
        return {key: item if key in kept else hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


def delivered(told: dict[str, Any], attempt: int = 1) -> Delivery:
    """The delivery of a body, in the stream of its incident."""
    stream = str((told.get("incident") or {}).get("id") or told["type"])
    at = datetime.fromisoformat(told["at"])
    return Delivery(1, told["id"], told["type"], "chat", stream, attempt, json.dumps(told).encode(), at)


def other(told: dict[str, Any], identity: str = "inc_2") -> dict[str, Any]:
    """The same, told of another incident."""
    return told | {"incident": told["incident"] | {"id": identity}}
