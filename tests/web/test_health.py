"""How the agent tells of itself: `/healthz`, `/readyz`, and the words on the page."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from monitor.store.contract import JournalCondition
from tests.web.conftest import WELL, Agent

UNWRITTEN = JournalCondition(trouble="the disk is full")

_STATUS = {"type": "string", "pattern": "^(pass|warn|fail)$"}

# draft-inadarei-api-health-check-06, as far as it is used.
HEALTH_SCHEMA = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": _STATUS,
        "releaseId": {"type": "string"},
        "serviceId": {"type": "string"},
        "description": {"type": "string"},
        "output": {"type": "string"},
        "checks": {
            "type": "object",
            "propertyNames": {"pattern": "^[^:]*(:[^:]*)?$"},
            "additionalProperties": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "status": _STATUS,
                        "time": {"type": "string", "format": "date-time"},
                        "output": {"type": "string"},
                    },
                },
            },
        },
    },
}


async def ask(agent: Agent, path: str) -> tuple[int, dict[str, Any]]:
    status, headers, text = await agent.get(path)
    assert headers["Content-Type"] == "application/health+json"
    document = json.loads(text)
    jsonschema.validate(document, HEALTH_SCHEMA)
    return status, document


async def test_a_well_agent_passes(agent: Agent) -> None:
    status, document = await ask(agent, "/healthz")
    assert (status, document["status"]) == (200, "pass")
    assert "output" not in document


@pytest.mark.parametrize(
    ("fields", "component", "words"),
    [
        ({"loop_lag": 3.0}, "loop:lag", "3.0 s late"),
        ({"journal": UNWRITTEN}, "journal:writable", "the journal cannot be written"),
        ({"outbox_oldest_age": 301.0}, "outbox:oldest_age", "301 s to be delivered"),
        ({"refusing_sinks": ("hook",)}, "outbox:refused", "the sink hook has refused an event for good: see the log"),
        ({"refusing_sinks": ("chat", "hook")}, "outbox:refused", "the sinks chat, hook have refused events for good"),
        (
            {"beats_missed": 10},
            "scheduler:missed_beats",
            "looks are being left out: raise agent.limits, or look less",
        ),
        ({"full_listeners": ("public",)}, "web:full", "the public listener has turned connections away"),
        ({"config_ok": False}, "config:accepted", "was refused"),
    ],
)
async def test_trouble_that_does_not_stop_the_looks_is_a_warning(
    agent: Agent, fields: dict[str, Any], component: str, words: str
) -> None:
    agent.health = replace(WELL, **fields)
    status, document = await ask(agent, "/healthz")
    assert (status, document["status"]) == (200, "warn")
    assert document["checks"][component][0]["status"] == "warn"
    assert words in document["output"]
    assert words in (await agent.json("/api/v1/status"))["agent"]["impaired"][0]


@pytest.mark.parametrize(("begun", "missed"), [(0, 9), (400, 9), (990, 10), (100_000, 1000)])
async def test_a_few_looks_left_out_are_none(agent: Agent, begun: int, missed: int) -> None:
    agent.health = replace(WELL, beats_begun=begun, beats_missed=missed)
    _, document = await ask(agent, "/healthz")
    assert document["status"] == "pass"
    assert document["checks"]["scheduler:missed_beats"][0]["observedValue"] == missed


async def test_a_stalled_scheduler_is_a_failure_whatever_else_is(agent: Agent) -> None:
    agent.health = replace(WELL, scheduler_progress_age=16.0, journal=UNWRITTEN)
    status, document = await ask(agent, "/healthz")
    assert (status, document["status"]) == (503, "fail")
    assert document["checks"]["scheduler:progress_age"][0]["observedValue"] == 16.0


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({}, 200, None),
        ({"ready": False}, 503, "the agent is starting"),
        ({"stopping": True}, 503, "the agent is stopping"),
        ({"journal": UNWRITTEN}, 200, None),
    ],
)
async def test_readiness(agent: Agent, fields: dict[str, Any], status: int, words: str | None) -> None:
    agent.health = replace(WELL, **fields)
    answered, document = await ask(agent, "/readyz")
    assert answered == status
    assert document.get("output") == words
