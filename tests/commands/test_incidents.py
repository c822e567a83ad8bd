"""`brownout incidents`, `ack`, `snooze`, `note`: wrong usage, and which incident is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from monitor.commands._asking import NotAsked
from monitor.commands._incidents import PATH, in_words, the_open_one
from tests.commands.called import called, checks, in_thread
from tests.end_to_end.rig import serving

TOKEN = "operate-operate-operate"


def incident(name: str, *services: str, opened: bool = True) -> dict[str, Any]:
    return {"id": f"inc_{name}", "services": list(services), "open": opened, "impact": "outage"}


KNOWN = [
    incident("abcdefghijkl", "shop", "api"),
    incident("abczzzzzzzzz", "search"),
    incident("zzzzzzzzzzzz", "search", opened=False),
]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("shop", 0), ("api", 0), ("inc_abcd", 0), ("search", 1), ("inc_abczzzzzzzzz", 1)],
)
def test_which_one_is_meant(name: str, meant: int) -> None:
    assert the_open_one(KNOWN, name) is KNOWN[meant]


@pytest.mark.parametrize(
    ("incidents", "name", "said"),
    [
        ([], None, "no incident is open"),
        (KNOWN[2:], "search", "no incident is open"),
        (KNOWN, None, "2 incidents may be meant: name one of inc_abcdefgh (shop, api); inc_abczzzzz (search)"),
        (KNOWN, "inc_", "no open incident is called inc_"),
        (KNOWN, "inc_abc", "2 incidents may be meant"),
        (KNOWN, "shp", "no open incident is called shp, or is of such a service: brownout incidents lists them"),
    ],
)
def test_what_is_not_clear_is_not_done(incidents: list[dict[str, Any]], name: str | None, said: str) -> None:
    with pytest.raises(NotAsked) as error:
        the_open_one(incidents, name)
    assert said in str(error.value)


def test_the_only_one_needs_no_name() -> None:
    assert the_open_one(KNOWN[1:], None) is KNOWN[1]


def test_incidents_in_words() -> None:
    assert in_words(KNOWN[0]) == "the outage of shop and api"
    assert in_words(KNOWN[1]) == "the outage of search"
    assert in_words(incident("x", "a", "b", "c", "d", "e")) == "the outage of a, b, c and 2 more"


def known_of(**facts: Any) -> dict[str, Any]:
    times = {"since": "2026-03-01T12:00:00Z", "resolved": None if facts["open"] else "2026-03-01T12:10:00Z"}
    told = {"acknowledged": None, "next": [], "events": [], "root": "home", "why": "refused"}
    return {"id": "inc_abcdefghijkl", "services": ["shop"], "impact": "degradation", **times, **told, **facts}


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"open": False, "worst": "outage"}, "outage"),
        ({"open": False, "worst": "degradation"}, "degradation"),
        ({"open": False}, "degradation"),
        ({"open": True, "worst": "outage"}, "degradation, was an outage"),
        ({"open": True, "worst": "degradation"}, "degradation"),
        ({"open": True, "worst": "outage", "impact": "outage"}, "outage"),
    ],
)
async def test_an_outage_that_ended_as_a_degradation_is_shown_as_one(facts: dict[str, Any], shown: str) -> None:
    incident = known_of(**facts)

    async def listed(_: Any) -> Any:
        return web.json_response({"incidents": [incident]})

    async def one(_: Any) -> Any:
        return web.json_response(incident)

    async with serving({PATH: listed, f"{PATH}/{incident['id']}": one}) as url:
        found = await in_thread("incidents", "--url", url, columns="160")
        assert f"  {shown}  " in found.stdout
        found = await in_thread("incidents", "shop", "--url", url)
        assert found.stdout.startswith(f"inc_abcdefghijkl: {shown} of shop\n")


@pytest.mark.parametrize(
    ("words", "token", "said"),
    [
        (("ack",), "", "this needs a token with the scope operate: give one in BROWNOUT_TOKEN or with --token-file"),
        (("ack",), "short", "$BROWNOUT_TOKEN holds no token"),
        (("ack",), TOKEN, "no agent answers at http://127.0.0.1:9 "),
        (("incidents",), "", "no agent answers at http://127.0.0.1:9 "),
        (("note", "hm"), "", "this needs a token"),
        (("snooze",), TOKEN, "say when it is told anew, by --for 2h or by --until"),
        (("snooze", "--for", "2h", "--until", "2026-12-01T22:00:00Z"), TOKEN, "say when it is told anew"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], token: str, said: str, tmp_path: Path) -> None:
    config = checks(tmp_path, listen="127.0.0.1:9")
    done = called(*words, "--config", config, BROWNOUT_TOKEN=token)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    done = called("incidents", "--config", tmp_path / "none.yaml")
    assert done.returncode == 1
    assert "none.yaml" in done.stderr
