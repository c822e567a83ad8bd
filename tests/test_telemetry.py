"""What `/metrics` tells, read back with the parsers of prometheus_client."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from monitor.config.redact import Redactor
from monitor.core import handling
from monitor.core.model import EventType, Look
from monitor.core.portions import portions
from monitor.telemetry import wants_openmetrics
from monitor.telemetry.series import CHECK_FAMILIES
from probes.contract import Observation, Reason
from tests.core.builders import moment
from tests.scraping import read, scrape, value, watching
from tests.virtual_time import run
from tests.web.made import PASSWORD, SLOW, at, observation, page, see, shop, troubled


@pytest.mark.parametrize("openmetrics", [False, True])
async def test_both_formats_tell_the_same_of_the_checks(openmetrics: bool) -> None:
    world = troubled()
    text = await scrape(watching(world), openmetrics=openmetrics)
    samples = read(text, openmetrics=openmetrics)
    state = "brownout_check_state"
    assert value(samples, state, check="checkout", service="shop", brownout_check_state="down") == 1
    assert value(samples, state, check="checkout", brownout_check_state="up") == 0
    assert value(samples, state, check="home", brownout_check_state="degraded") == 1
    assert value(samples, state, check="images", brownout_check_state="unknown") == 1
    assert value(samples, "brownout_service_state", service="shop", brownout_service_state="outage") == 1
    assert value(samples, "brownout_incidents_open", impact="outage") == 1
    assert value(samples, "brownout_incidents_open", impact="degradation") == 0
    assert value(samples, "brownout_check_response_time_seconds", check="home") == 2.4
    assert value(samples, "brownout_check_phase_seconds", check="home", phase="tls") == 0.041
    assert value(samples, "brownout_check_measurement", check="home", measurement="body_size", unit="bytes") == 48231
    assert value(samples, "brownout_check_threshold", check="home", level="degraded", condition=SLOW.text) == 0.8
    assert value(samples, "brownout_check_threshold_active", check="home", condition=SLOW.text) == 1
    assert value(samples, "brownout_check_threshold_active", check="search", condition=SLOW.text) == 0
    looked = value(samples, "brownout_check_last_look_timestamp_seconds", check="home")
    assert looked == at(75.25).timestamp()
    info = value(
        samples, "brownout_check_info", check="home", probe="http", owner="web", label_tier="web", name="home"
    )
    assert info == 1
    assert value(samples, "brownout_agent_info", version="0.1.0", vantage="fra1") == 1
    assert text.endswith("# EOF\n") is openmetrics


async def test_incidents_by_who_has_them_and_what_was_told_of_them() -> None:
    world = troubled()
    telemetry = watching(world)
    (incident,) = {status.incident.id for status in world.services.values() if status.incident}
    unacknowledged = "brownout_incidents_unacknowledged"
    assert value(read(await scrape(telemetry)), unacknowledged, impact="outage") == 1
    change = handling.acknowledge(world, incident, "ann", moment(100))
    assert change is not None
    (event,) = change.events
    telemetry.told(
        (event, replace(event, body={**event.body, "drill": True}), replace(event, type=EventType.DEPLOY_MARKED))
    )
    telemetry.acted("drain", "dry")
    samples = read(await scrape(telemetry))
    assert value(samples, unacknowledged, impact="outage") == 0
    assert value(samples, "brownout_incidents_open", impact="outage") == 1
    assert value(samples, "brownout_incident_events_total", kind="acknowledged") == 1, "a drill is none"
    assert value(samples, "brownout_incident_events_total", kind="escalated") == 0
    assert value(samples, "brownout_action_runs_total", action="drain", result="dry") == 1


async def test_looks_are_counted_by_their_result_and_survive_a_reload() -> None:
    world = shop()
    telemetry = watching(world)
    see(world, "home", 0, observation(), telemetry)
    see(world, "home", 15, observation(), telemetry)
    see(world, "home", 30, observation(reason=Reason.REFUSED), telemetry)
    later = shop()
    telemetry.adopt(later, portions(world.plan, later.plan))
    samples = read(await scrape(telemetry))
    assert value(samples, "brownout_check_looks_total", check="home", result="ok") == 2
    assert value(samples, "brownout_check_looks_total", check="home", result="refused") == 1
    assert value(samples, "brownout_check_looks_total", check="images", result="ok") == 0


async def test_a_look_of_a_check_that_is_no_longer_watched_is_passed_over() -> None:
    world, telemetry = shop(page("gone")), watching(shop())
    telemetry.look(Look("gone", observation(), moment(0), moment(1)), world.judges["gone"])
    assert "gone" not in await scrape(telemetry)


async def test_what_stays_is_redacted_once_and_what_moves_is_as_of_the_scrape() -> None:
    world, asked = shop(), list[Any]()

    def redact(told: Any) -> Any:
        asked.append(told)
        return told

    telemetry = watching(world, redact=redact)
    see(world, "home", 0, observation(0.2), telemetry)
    await scrape(telemetry)
    before = len(asked)
    see(world, "home", 15, observation(0.3), telemetry)
    assert value(read(await scrape(telemetry)), "brownout_check_response_time_seconds", check="home") == 0.3
    assert len(asked) == before
    telemetry.write_anew()
    await scrape(telemetry)
    assert len(asked) == 2 * before, "there are more secrets now"


async def test_a_reload_within_a_scrape_spoils_nothing() -> None:
    world = shop()
    telemetry = watching(world)
    pieces = telemetry.metrics()
    text = [await anext(pieces)]
    judge = world.judges["home"]
    judge.redefine(replace(judge.check, conditions=()), same_target=True)
    samples = read(b"".join([*text, *[piece async for piece in pieces]]).decode())
    told = [labels["check"] for labels, _ in samples["brownout_check_threshold_active"]]
    assert "home" not in told
    assert "search" in told


async def test_what_the_last_look_did_not_measure_is_not_told() -> None:
    world = shop()
    telemetry = watching(world)
    see(world, "home", 0, observation(), telemetry)
    await scrape(telemetry)
    see(world, "home", 15, Observation(reason=Reason.DNS_TIMEOUT), telemetry)
    samples = read(await scrape(telemetry))
    assert "brownout_check_response_time_seconds" not in samples
    assert "brownout_check_phase_seconds" not in samples


@pytest.mark.parametrize("openmetrics", [False, True])
async def test_hostile_text_stays_inside_its_label_and_names_from_a_target_stay_out(openmetrics: bool) -> None:
    hostile = 'a"b\\c\nbrownout_up 1\x85\u2028é'
    conditions = (replace(SLOW, text=hostile), replace(SLOW, text=hostile))
    world = shop(page(hostile, labels={"a-b": hostile, "a b": "twin"}, conditions=conditions))
    telemetry = watching(world)
    evil = Observation({'x"} 1\nevil': 1.0, "response_time": float("nan")}, phases={'y"} 1\nevil': 1.0, "dns": 0.1})
    see(world, hostile, 0, evil, telemetry)
    text = await scrape(telemetry, openmetrics=openmetrics)
    samples = read(text, openmetrics=openmetrics)
    assert "evil" not in text
    assert value(samples, "brownout_check_looks_total", check=hostile) == 1
    assert value(samples, "brownout_check_info", check=hostile, label_a_b=hostile) == 1
    assert value(samples, "brownout_check_threshold_active", check=hostile, condition=hostile) == 0


async def test_secrets_are_redacted() -> None:
    world = shop(page("db", url=f"https://user:{PASSWORD}@db.example.com/"))
    text = await scrape(watching(world, redact=Redactor([PASSWORD]).value))
    assert PASSWORD not in text
    assert 'target="https://user:***@db.example.com/"' in text


def test_a_scrape_of_many_stale_checks_lets_others_run() -> None:
    async def main() -> None:
        telemetry = watching(shop(*(page(f"page-{number}") for number in range(2000))))
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        await scrape(telemetry)
        beside.cancel()
        assert turns > 2000 / 64

    run(main())


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/openmetrics-text", True),
        ('application/openmetrics-text; version="1.0.0"; charset=utf-8', True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", True),
        ("application/openmetrics-text;q=0.1,text/plain", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=many", False),
    ],
)
def test_the_accept_header_decides(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted


def test_every_family_of_checks_has_its_own_name_unit_and_help() -> None:
    assert len({family.name for family in CHECK_FAMILIES}) == len(CHECK_FAMILIES)
    for family in CHECK_FAMILIES:
        assert family.help.endswith(".")
        assert family.unit == "" or family.name.endswith(f"_{family.unit}")
