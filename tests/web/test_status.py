"""What `/api/v1` tells of checks, services, incidents and events."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from monitor.core.model import Impact, Incident
from probes.contract import Observation, Reason
from tests.core.builders import moment, world
from tests.web.conftest import Agent, Serve
from tests.web.made import PASSWORD, SLOW, at, observation, page, see, shop


async def test_the_status_in_full(agent: Agent) -> None:
    status = await agent.json("/api/v1/status")
    assert status["agent"] == {
        "version": "0.1.0",
        "vantage": "fra1",
        "started": "2026-03-01T11:00:00.000Z",
        "now": "2026-03-01T12:01:00.000Z",
        "impaired": [],
    }
    assert status["counts"] == {
        "checks": {"down": 1, "degraded": 1, "unknown": 1, "up": 1},
        "services": {"outage": 1, "degradation": 0, "unknown": 0, "operational": 1},
        "incidents": 1,
    }
    assert status["summary"]["state"] == "outage"
    assert status["summary"]["sentence"] == (
        "Web shop has an outage: checkout: nothing listens on the port (connection refused)."
    )
    assert status["truncated"] is False


async def test_the_worst_comes_first(agent: Agent) -> None:
    status = await agent.json("/api/v1/status")
    assert [check["name"] for check in status["checks"]] == ["checkout", "home", "images", "search"]
    assert [service["id"] for service in status["services"]] == ["shop", "search"]
    service, (incident,) = status["services"][0], status["incidents"]
    assert service["incident"] == incident["id"]
    assert service["checks"] == {"down": 1, "degraded": 1, "unknown": 1, "up": 0}
    assert incident["open"] is True
    assert incident["impact"] == "outage"
    assert incident["root"] == "checkout"


async def test_a_check_tells_why_and_against_which_limit(agent: Agent) -> None:
    checks = {check["id"]: check for check in (await agent.json("/api/v1/status"))["checks"]}
    checkout, home, images = checks["checkout"], checks["home"], checks["images"]
    assert (checkout["state"], checkout["reason"]) == ("down", "refused")
    assert checkout["advice"] == Reason.REFUSED.advice
    assert home["why"] == "response time 2.4 s, limit 800 ms"
    assert home["thresholds"][0] == {
        "condition": SLOW.text,
        "level": "degraded",
        "measurement": "response_time",
        "unit": "seconds",
        "value": 2.4,
        "limit": 0.8,
        "active": True,
    }
    assert home["last"]["at"] == "2026-03-01T12:01:15.250Z"
    assert home["last"]["measurements"]["body_size"] == {"value": 48231.0, "unit": "bytes"}
    assert home["last"]["phases"]["tls"] == 0.041
    assert home["labels"] == {"tier": "web"}
    assert images["last"] is None


async def test_the_lists_are_bounded_and_the_counts_are_not(serve: Serve) -> None:
    agent = await serve(shop(*(page(f"page-{number}") for number in range(100))))
    status = await agent.json("/api/v1/status?limit=7")
    assert len(status["checks"]) == 7
    assert status["truncated"] is True
    assert sum(status["counts"]["checks"].values()) == 104


async def test_an_answer_is_kept_for_half_a_second(agent: Agent) -> None:
    await agent.json("/api/v1/status")
    see(agent.world, "search", 90, observation(reason=Reason.DNS_TIMEOUT))
    assert (await agent.json("/api/v1/status"))["checks"][3]["last"]["ok"] is True
    assert len((await agent.json("/api/v1/status?limit=2"))["checks"]) == 2
    agent.clock.at += 0.6
    assert (await agent.json("/api/v1/status"))["checks"][3]["last"]["ok"] is False


async def test_no_secret_and_no_broken_json_comes_out(serve: Serve) -> None:
    watched = shop(page("db", url=f"https://user:{PASSWORD}@db.example.com/"))
    evil = Observation({"response_time": float("nan"), "made up": 1.0}, Reason.STATUS, f"got {PASSWORD} \ud800 \x00")
    for second in range(20):
        see(watched, "db", second, evil)
    agent = await serve(watched)
    agent.journal.bodies = [{"id": "1", "sentence": f"it said {PASSWORD}"}]
    for path in ("/api/v1/status", "/api/v1/events", "/api/v1/incidents", "/metrics"):
        status, _, text = await agent.get(path)
        assert status == 200
        assert PASSWORD not in text
        assert "made up" not in text
        if path != "/metrics":
            json.loads(text, parse_constant=pytest.fail)


def kept(name: str, **fields: object) -> Incident:
    incident = Incident(name, ("shop",), "home", ("home",), Impact.OUTAGE, at(-50), at(-60), why="it was slow")
    return replace(incident, **fields)  # type: ignore[arg-type]


async def test_incidents_open_ones_first_then_the_newest(agent: Agent) -> None:
    now = next(status.incident for status in agent.world.services.values() if status.incident)
    # The journal lags behind: it has the open one as it was, and two that are over.
    agent.journal.kept = [
        kept("inc_new", resolved=at(-5)),
        replace(now, why="as it was"),
        kept("inc_old", resolved=at(-40)),
    ]
    answer = await agent.json("/api/v1/incidents")
    assert [incident["id"] for incident in answer["incidents"]] == [now.id, "inc_new", "inc_old"]
    assert answer["incidents"][0]["why"] == now.why
    assert answer["incidents"][1]["resolved"] == "2026-03-01T11:59:55.000Z"
    assert answer["open"] == 1
    assert len((await agent.json("/api/v1/incidents?limit=2"))["incidents"]) == 2


async def test_events_as_they_were_sent(agent: Agent) -> None:
    agent.journal.bodies = [{"id": str(number), "sentence": "home is down."} for number in range(90)]
    assert (await agent.json("/api/v1/events?limit=70"))["events"] == agent.journal.bodies[:70]
    assert len((await agent.json("/api/v1/events"))["events"]) == 50


async def sentence(serve: Serve, *names: str, **seen: Observation) -> str:
    """The overall sentence of a world of single checks, after two looks at some of them."""
    watched = world(*(page(name, name) for name in names))
    for name, what in seen.items():
        for turn in range(40):
            see(watched, name, turn * 15.0, what)
    agent = await serve(watched)
    return str((await agent.json("/api/v1/status"))["summary"]["sentence"])


async def test_the_overall_sentence(serve: Serve) -> None:
    good, slow, blind = observation(), observation(3.0), Observation(reason=Reason.DNS_TIMEOUT)
    assert await sentence(serve) == "Nothing is watched: checks.yaml has no checks"
    assert await sentence(serve, "a", "b") == "Waiting for the first looks"
    assert await sentence(serve, "a", "b", a=good, b=good) == "All systems operational"
    assert (
        await sentence(serve, "a", "b", "c", a=slow, b=slow, c=good)
        == "A is degraded: a: response time 3 s, limit 800 ms. 1 more service has trouble."
    )
    assert await sentence(serve, "a", "b", a=blind, b=good) == "A cannot be judged; nothing is known to be bad"


async def test_an_open_incident_whose_service_cannot_be_judged_is_told(serve: Serve) -> None:
    watched = world(page("a", "a"), page("b", "b"), page("c", "c"))
    for turn in range(40):
        see(watched, "a", turn * 15.0, observation(3.0))
    blind = Observation(reason=Reason.DNS_TIMEOUT)
    for turn in range(40, 80):
        see(watched, "a", turn * 15.0, blind)
    see(watched, "b", 1_200.0, observation())
    summary = (await (await serve(watched)).json("/api/v1/status"))["summary"]
    assert summary == {
        "state": "unknown",
        "sentence": "A cannot be judged; its incident since 12:00:15 UTC is still open. "
        "1 more service cannot be judged",
    }


async def test_the_document_of_many_checks_is_one_valid_json(serve: Serve) -> None:
    agent = await serve(shop(*(page(f"page-{number}") for number in range(1000))))
    status = await agent.json("/api/v1/status?limit=10000")
    assert len({check["id"] for check in status["checks"]}) == 1004
    assert moment(0).at.isoformat()[:10] == status["checks"][0]["since"][:10]
