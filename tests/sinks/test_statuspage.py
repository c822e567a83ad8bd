"""Statuspage, against a page that people change, too, and that may be away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitor.config.load import ConfigError, load
from monitor.kinds import installed_kinds
from monitor.sinks.contract import SendFailed
from monitor.sinks.statuspage import Statuspage
from probes.contract import BadField, Secret
from tests.sinks.lives import (
    ACKNOWLEDGED,
    ALL,
    CANNOT_TELL,
    DEPLOY,
    DRILL,
    IMPAIRED,
    OPENED,
    RESOLVED,
    TEST,
    WORSE,
    body,
    other,
)
from tests.sinks.site import API, KEY, SHOP, Sender, Site, play


def test_a_component_follows_its_service() -> None:
    async def story(sender: Sender, site: Site) -> None:
        for told, status in ((OPENED, "degraded_performance"), (WORSE, "major_outage"), (RESOLVED, "operational")):
            await sender.send(told)
            assert site.components == {SHOP: status, API: "operational"}
        assert sender.kept == {}

    site = play(story)
    assert len(site.changes) == 3, "nothing is written that stands there already, and no incident unasked"


def test_service_changed_serves_as_well() -> None:
    async def story(sender: Sender, site: Site) -> None:
        for old, new, status in (
            ("operational", "outage", "major_outage"),
            ("outage", "unknown", "major_outage"),
            ("outage", "operational", "operational"),
        ):
            await sender.send(body("service.changed", old, new, "..."))
            assert site.components[SHOP] == status

    play(story)


@pytest.mark.parametrize(
    "told", [CANNOT_TELL, DEPLOY, IMPAIRED, DRILL, ALL["digest"], body("check.changed", "up", "down", "...")]
)
def test_these_are_nothing_that_customers_read(told: dict[str, Any]) -> None:
    async def story(sender: Sender, site: Site) -> None:
        await sender.send(told)

    assert play(story, incidents=True).calls == []


@pytest.mark.parametrize("found", ["under_maintenance", "partial_outage", "degraded_performance", "major_outage"])
def test_what_a_person_has_set_before_stays(found: str) -> None:
    async def story(sender: Sender, site: Site) -> None:
        site.components[SHOP] = found
        for told in (WORSE, ACKNOWLEDGED, RESOLVED):
            await sender.send(told)

    assert play(story).changes == []


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("found", ["under_maintenance", "partial_outage", "operational"])
def test_what_a_person_has_set_meanwhile_stays(found: str, *, restarted: bool) -> None:
    async def story(sender: Sender, site: Site) -> None:
        await sender.send(OPENED)
        site.components[SHOP] = found
        if restarted:
            sender.start_anew()
        await sender.send(WORSE)
        await sender.send(RESOLVED)
        assert site.components[SHOP] == found
        await sender.send(other(OPENED))
        assert (site.components[SHOP] == "degraded_performance") is (found == "operational"), "ours again, if free"

    play(story)


@pytest.mark.parametrize("restarted", [False, True])
def test_of_two_incidents_the_worst_counts(*, restarted: bool) -> None:
    """The end of the first may come late: it must not call the service well while the second lasts."""

    async def story(sender: Sender, site: Site) -> None:
        await sender.send(WORSE)
        await sender.send(other(OPENED))
        assert site.components[SHOP] == "major_outage"
        if restarted:
            sender.start_anew()
        await sender.send(RESOLVED)
        assert site.components[SHOP] == "degraded_performance"
        if restarted:
            sender.start_anew()
        await sender.send(other(RESOLVED))
        assert site.components[SHOP] == "operational"
        assert sender.kept == {}

    play(story)


@pytest.mark.parametrize("told", [OPENED, RESOLVED], ids=["at the begin", "at the end"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_lost_answer_or_a_crash_leaves_nothing_open(told: dict[str, Any], *, restarted: bool) -> None:
    async def story(sender: Sender, site: Site) -> None:
        if told is RESOLVED:
            await sender.send(OPENED)
        site.lost.append("PATCH")
        with pytest.raises(SendFailed) as raised:
            await sender.send(told, forget=restarted)
        assert raised.value.uncertain
        if restarted:
            sender.start_anew()
        await sender.send(told, uncertain=True)
        await sender.send(RESOLVED)
        assert site.components[SHOP] == "operational"
        assert sender.kept == {}

    play(story)


def test_an_end_that_was_refused_is_still_owed() -> None:
    async def story(sender: Sender, site: Site) -> None:
        await sender.send(OPENED)
        site.failing = [None, httpx.Response(503)]
        with pytest.raises(SendFailed):
            await sender.send(RESOLVED)
        sender.start_anew()
        await sender.send(RESOLVED)
        assert site.components[SHOP] == "operational"
        assert sender.kept == {}

    play(story)


def test_one_call_a_second_whatever_is_to_be_said() -> None:
    names = {f"s{number}": f"component{number}" for number in range(20)}
    many = WORSE | {"incident": WORSE["incident"] | {"affected": list(names)}}

    async def story(sender: Sender, site: Site) -> None:
        site.components = dict.fromkeys(names.values(), "operational")
        attempts = 0
        while set(site.components.values()) != {"major_outage"} and attempts < 6:
            attempts += 1
            began = asyncio.get_running_loop().time()
            with suppress(SendFailed):
                await sender.send(many)
            assert asyncio.get_running_loop().time() - began < 20
        assert set(site.components.values()) == {"major_outage"}, "what is done is not done again"

    site = play(story, components=names)
    begun = [at for at, _, _ in site.calls]
    assert all(later - earlier >= 1 for earlier, later in pairwise(begun))


def test_several_at_once_take_their_turns() -> None:
    async def story(sender: Sender, site: Site) -> None:
        several = [sender.send(other(WORSE, f"inc_{number}")) for number in range(8)]
        assert await asyncio.gather(*several, return_exceptions=True)

    begun = [at for at, _, _ in play(story).calls]
    assert all(later - earlier >= 1 for earlier, later in pairwise(begun))


def test_a_test_looks_and_changes_nothing() -> None:
    async def story(sender: Sender, site: Site) -> None:
        await sender.send(TEST)
        assert {method for _, method, _ in site.calls} == {"GET"}
        del site.components[API]
        with pytest.raises(SendFailed, match=f"no component {API}"):
            await sender.send(TEST)

    play(story)


@pytest.mark.parametrize(
    ("status", "permanent"), [(401, True), (404, True), (422, True), (420, False), (429, False), (500, False)]
)
def test_what_is_tried_again(status: int, *, permanent: bool) -> None:
    async def story(sender: Sender, site: Site) -> None:
        site.failing = [httpx.Response(status, text=KEY)]
        with pytest.raises(SendFailed) as raised:
            await sender.send(OPENED)
        assert raised.value.permanent is permanent
        assert KEY not in str(raised.value)

    play(story)


def test_a_component_that_is_gone_needs_no_end() -> None:
    async def story(sender: Sender, site: Site) -> None:
        await sender.send(OPENED)
        del site.components[SHOP]
        await sender.send(RESOLVED)
        assert sender.kept == {}

    play(story)


@pytest.mark.parametrize(
    ("named", "facts"),
    [
        ("page", {"page": "https://status.example.com"}),
        ("components", {"components": {}}),
        ("components.shop", {"components": {"shop": "Web shop"}}),
        ("url", {"url": "statuspage.io"}),
        ("api_key", {"api_key": Secret("OAuth x")}),
    ],
)
def test_what_cannot_be_used_is_refused(named: str, facts: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        Statuspage(**({"api_key": Secret(KEY), "page": "page1", "components": {"shop": SHOP}} | facts))
    assert raised.value.field == named


def test_its_repr_shows_no_secret_and_equal_ones_are_equal() -> None:
    made = [Statuspage(Secret(KEY), "page1", {"shop": SHOP}) for _ in range(2)]
    assert KEY not in repr(made[0])
    assert made[0] == made[1], "a reload keeps the one that is there"


def test_a_service_that_does_not_exist_is_a_fault(tmp_path: Path) -> None:
    """It would never be told of anything, and nobody would notice."""
    path = tmp_path / "checks.yaml"
    path.write_text(
        """
services: {shop: {title: Web shop}}
checks: [{name: home, service: shop, probe: http, url: "http://shop.example.com/"}]
sinks:
  public:
    {type: statuspage, api_key: k, page: page1, components: {shop: 8kbf7d35c070, shopp: vtnh60py4yd7}}
"""
    )
    with pytest.raises(ConfigError) as raised:
        load(path, kinds=installed_kinds(), env={})
    [fault] = raised.value.faults
    assert str(fault).endswith(': sinks.public.components: unknown service "shopp" (did you mean shop?)')
    assert fault.line == 6
