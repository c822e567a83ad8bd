"""Incidents on a page of Statuspage: ours are opened and resolved there, those that a person has taken are left."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import respx

from monitor.core.model import Event, EventType
from monitor.keepsakes import KINDS
from monitor.sinks.contract import SendFailed
from monitor.sinks.statuspage import Statuspage
from probes.contract import Secret
from tests.sending import working
from tests.sinks.lives import HOSTILE, OPENED, RESOLVED, WORSE, delivered, hostile, other
from tests.sinks.site import API, KEY, SHOP, Sender, Site, play
from tests.virtual_time import run


def test_an_incident_there_is_opened_changed_and_resolved() -> None:
    async def story(sender: Sender, site: Site) -> None:
        for told, status, impact in (
            (OPENED, "investigating", "minor"),
            (WORSE, "investigating", "critical"),
            (RESOLVED, "resolved", "critical"),
        ):
            await sender.send(told)
            [incident] = site.incidents
            assert (incident["status"], incident["impact_override"]) == (status, impact)
        assert incident["component_ids"] == [SHOP]
        assert incident["deliver_notifications"] is False, "thousands get mail otherwise"
        assert incident["body"] == "This is over: Web shop works as usual again."
        assert sender.kept == {}

    play(story, incidents=True)


def test_no_second_incident_where_the_answer_was_lost() -> None:
    async def story(sender: Sender, site: Site) -> None:
        site.lost.append("POST")
        with pytest.raises(SendFailed):
            await sender.send(OPENED)
        sender.start_anew()
        await sender.send(OPENED, uncertain=True)
        assert len(site.incidents) == 1
        await sender.send(RESOLVED)
        assert site.incidents[0]["status"] == "resolved"

    play(story, incidents=True)


@pytest.mark.parametrize("status", ["identified", "monitoring", "resolved"])
def test_an_incident_that_a_person_has_taken_is_theirs(status: str) -> None:
    async def story(sender: Sender, site: Site) -> None:
        await sender.send(OPENED)
        site.incidents[0] |= {"status": status, "body": "We found it."}
        await sender.send(WORSE)
        await sender.send(RESOLVED)
        assert (site.incidents[0]["status"], site.incidents[0]["body"]) == (status, "We found it.")
        assert sender.kept == {}

    play(story, incidents=True)


@pytest.mark.parametrize("told", [OPENED, WORSE])
def test_customers_read_nothing_that_a_target_wrote(told: dict[str, Any]) -> None:
    async def story(sender: Sender, site: Site) -> None:
        evil = hostile(told)
        evil["incident"]["affected"] = ["shop"]
        evil["service"]["title"] = "Web shop"
        await sender.send(evil)
        assert HOSTILE[:20] not in json.dumps(site.incidents)
        assert "Web shop" in site.incidents[0]["name"]

    play(story, incidents=True)


def test_through_the_outbox_an_end_that_comes_late_hides_no_new_outage() -> None:
    """The API is away while one incident ends and another begins, of the same service; the new one is sent first."""
    site = Site()

    def event(told: dict[str, Any]) -> Event:
        delivery = delivered(told)
        name = f"{told['id']}_{delivery.stream}"
        return Event(name, EventType(told["type"]), delivery.at, delivery.stream, told | {"id": name}, ("hook",))

    async def scenario() -> None:
        with respx.mock(assert_all_called=False) as mock:
            mock.route(host="api.statuspage.io").mock(side_effect=site.answer)
            sink = Statuspage(Secret(KEY), "page1", {"shop": SHOP, "api": API}, incidents=True)
            async with working(hook=sink) as bench:
                await bench.tell(event(WORSE))
                await asyncio.sleep(60)
                assert site.components[SHOP] == "major_outage"
                site.away = True
                await bench.tell(event(RESOLVED))
                await asyncio.sleep(30)
                await bench.tell(event(other(WORSE)))
                await asyncio.sleep(600)
                site.away = False
                await asyncio.sleep(1800)
                assert site.components[SHOP] == "major_outage"
                assert [item["status"] for item in site.incidents] == ["resolved", "investigating"]
                await bench.tell(event(other(RESOLVED)))
                await asyncio.sleep(60)
                assert await bench.store.backlog() == {}
                assert list(bench.store._shelf.notes) == [f"{KINDS}hook"], "nothing is remembered of what is over"

    run(scenario())
    assert site.components[SHOP] == "operational"
    assert {item["status"] for item in site.incidents} == {"resolved"}
