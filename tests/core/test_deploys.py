"""Deploys that were marked: told, remembered, and told beside what breaks soon after."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from monitor.core.deploys import MOST, Deploy, Deploys, again, mark, read_deploy
from monitor.core.model import Journal, OutageRule, Service
from monitor.core.routing import Route, Term
from monitor.core.snapshot import UNREADABLE
from monitor.core.world import World
from probes.contract import Reason
from tests.core.builders import check, moment, world
from tests.core.calmly import Calmly, story
from tests.core.stories import SCHEMA, begun, shop
from tests.core.succeeded import ROUTES


def deploy(version: str = "v42", at: float = 0.0, *services: str, **more: Any) -> Deploy:
    return Deploy(more.pop("id", f"dep_{version}"), version, moment(at).at, services, **more)


def marked(here: Calmly, item: Deploy, at: float) -> None:
    here.wait(at)
    here.keep(mark(here.world, item, moment(at)))


def test_it_is_told_and_remembered() -> None:
    here = Calmly(shop(routes=ROUTES))
    marked(here, deploy("v41", 5, "shop", environment="production"), 5)
    marked(here, deploy("v42", 3605, "shop", environment="production", by="ci", url="https://ci/7"), 3605)
    first, event = here.events
    SCHEMA.validate(event)
    assert first["sentence"] == "Deploy v41 of Web shop to production."
    assert event["sentence"] == "Deploy v42 of Web shop to production by ci; before it was v41."
    assert (event["type"], event["state"]) == ("deploy.marked", {"old": "v41", "new": "v42"})
    assert event["deploy"] == {
        "id": "dep_v42", "version": "v42", "at": "2026-03-01T13:00:05.000Z", "services": ["shop"],
        "environment": "production", "by": "ci", "url": "https://ci/7",
    }  # fmt: skip
    assert event["links"] == {"deploy": "https://ci/7"}
    here.restart(3700)
    assert [item.version for item in here.world.deploys] == ["v42", "v41"]
    assert {note.name for note in here.world.everything(moment(3700)).notes} == {"deploy:dep_v41", "deploy:dep_v42"}


def test_what_begins_soon_after_it_is_told_beside_it() -> None:
    here = story(routes=ROUTES)
    marked(here, deploy("v42", 10), 10)
    here.kill("home", 190)
    events = {event["type"]: event for event in here.events}
    assert events["check.changed"]["sentence"].startswith("home is down since 12:03:10 UTC, 3 min after deploy v42: ")
    assert events["service.changed"]["sentence"].startswith("Home has an outage since 12:03:10 UTC, 3 min after")
    opened = events["incident.opened"]
    assert opened["sentence"].startswith("Home has an outage since 12:03:10 UTC, 3 min after deploy v42: home: ")
    assert (opened["deploy"]["version"], opened["deploy"]["seconds"]) == ("v42", 180.0)
    here.heal("home", 300)
    assert "deploy" not in here.events[-1]
    for event in here.events:
        SCHEMA.validate(event)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (deploy("v1", 100), "with deploy v1"),
        (deploy("v1", 100, "home"), "with deploy v1"),
        (deploy("v1", 100, "other"), ""),
        (deploy("v1", 101), ""),
        (deploy("v1", 100 - 3600), "1 h after deploy v1"),
        (deploy("v1", 100 - 3601), ""),
    ],
)
def test_what_counts_as_soon_after(item: Deploy, said: str) -> None:
    found = Deploys({"deploy:x": item.as_json()}).behind(("home",), moment(100).at)
    assert (found.before(moment(100).at) if found else "") == said


def test_the_last_one_counts() -> None:
    here = story(routes=ROUTES)
    for version, at in (("v1", 10.0), ("v3", 200.0), ("v2", 60.0)):
        marked(here, deploy(version, at), 200)
    assert [item.version for item in here.world.deploys] == ["v3", "v2", "v1"]
    found = here.world.deploys.behind(("home",), moment(100).at)
    assert found is not None
    assert found.version == "v2"


def test_one_that_is_marked_twice_is_one() -> None:
    here = story(routes=ROUTES)
    marked(here, deploy("v42", 10), 10)
    marked(here, deploy("v42", 600, id="dep_other"), 600)
    marked(here, replace(deploy("v43", 10), id="dep_v42"), 601)
    assert len(here.events) == 1
    marked(here, deploy("v42", 2000, id="dep_later"), 2000)
    assert [event["sentence"] for event in here.events] == ["Deploy v42."] * 2
    marked(here, deploy("v42", 2001, "home", "other", id="dep_of"), 2001)
    assert here.events[-1]["sentence"] == "Deploy v42 of Home."


def test_several_services_and_routes() -> None:
    one = Service("one", "One", ("a",), OutageRule(1, ("a",)))
    two = Service("two", "Two", ("b",), OutageRule(1, ("b",)))
    to = Route(("pager",), Term("event", "deploy.marked"))
    here = Calmly(begun_world(one, two, (to, Route(("chat",)), Route(("x",), Term("service", "one")))))
    marked(here, deploy("v1", 0, "one", "two"), 0)
    marked(here, deploy("v2", 1), 1)
    assert here.sentences == ["Deploy v1 of One and 1 more.", "Deploy v2."]
    assert [event.sinks for change in here.changes for event in change.events] == [("pager",), ("pager",)]


def begun_world(one: Service, two: Service, routes: tuple[Route, ...]) -> World:
    return world(
        check("a", service="one"), check("b", service="two"), services={"one": one, "two": two}, routes=routes
    )


def test_the_oldest_is_forgotten_first() -> None:
    here = story(routes=ROUTES)
    for number in range(MOST + 2):
        marked(here, deploy(f"v{number}", number), number)
    assert len(here.world.deploys) == MOST
    assert len([name for name in here.journal.notes if name.startswith("deploy:")]) == MOST
    assert "deploy:dep_v1" not in here.journal.notes


def test_what_nobody_has_written_is_dropped() -> None:
    notes: dict[str, Any] = {"deploy:a": {}, "deploy:b": {**deploy().as_json(), "by": 3}, "other": 1}
    world = World(story().world.plan, Journal("origin", 1, notes=notes), moment(0))
    assert len(world.deploys) == 0
    change = world.start(moment(1))
    assert change is not None
    assert {note.name for note in change.notes if note.value is None} == {"deploy:a", "deploy:b"}
    with pytest.raises(UNREADABLE):
        read_deploy("x", {"version": 3})


def test_it_can_be_done_again() -> None:
    here = story(routes=ROUTES)
    marked(here, deploy("v42", 10, "home", by="ci"), 10)
    kept = here.changes[-1].transitions[0]
    other = story(routes=ROUTES)
    other.keep(again(other.world, kept, moment(10)))
    assert other.events == here.events


def test_while_it_goes_on_the_deploy_stays_beside_it() -> None:
    here = begun(Calmly(shop(routes=ROUTES)))
    marked(here, deploy("v42", 30), 30)
    here.kill("search", 40)
    here.kill("home", 60)
    worse = [event for event in here.events if event["type"] == "incident.updated"][-1]
    assert "(degraded since 12:00:40 UTC), 10 s after deploy v42: " in worse["sentence"]
    assert worse["deploy"]["seconds"] == timedelta(seconds=10).total_seconds()
    here.see(70, "home", Reason.REFUSED)
