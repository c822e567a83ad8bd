"""`brownout status`"""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from monitor.commands import _asking, _configuration
from monitor.config.agent import DEFAULT_LISTEN
from monitor.config.model import ConfigError
from tests.commands.called import PASSWORD, called, checks, in_thread
from tests.end_to_end.rig import Target, agent, answering, serving, until_state

pytestmark = pytest.mark.timeout(180)


async def test_status(tmp_path: Path) -> None:
    async with answering(Target()) as target:
        second = f"  - {{name: search, probe: http, url: '{target.url}', every: 1s}}"
        with agent(
            tmp_path, "run", checks(tmp_path, second, url=target.url), env={"SHOP_PASSWORD": PASSWORD}
        ) as running:
            url = await running.started()
            await until_state(url, "home", "up")
            await until_state(url, "search", "up")
            done = await in_thread("status", "--url", url)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("● All systems operational\n")
            assert "Web shop" in done.stdout
            told = json.loads((await in_thread("status", "--url", url, "--json")).stdout)
            assert [check["id"] for check in told["checks"]] == ["home", "search"]

            target.status = 500
            await until_state(url, "search", "down")
            await until_state(url, "home", "down")
            done = await in_thread("status", "--url", f"{url}/")
            assert done.returncode == 1
            assert done.stdout.startswith("✖ ")
            assert "status 500" in done.stdout
            assert (await in_thread("status", "--url", url, "--json")).returncode == 1


@pytest.mark.parametrize(("incidents", "code"), [([], 0), ([{"id": "inc_1"}], 1)])
async def test_status_of_what_cannot_be_judged_is_a_finding_while_an_incident_is_open(
    incidents: list[Any], code: int
) -> None:
    async def answer(_: Any) -> Any:
        return web.json_response(
            {
                "agent": {"now": "2026-03-01T12:00:00.000Z", "vantage": "here", "version": "1"},
                "summary": {"state": "unknown", "sentence": "?"},
                "services": [],
                "checks": [],
                "incidents": incidents,
            }
        )

    async with serving({"/api/v1/status": answer}) as url:
        assert (await in_thread("status", "--url", url)).returncode == code


async def test_status_shows_the_worst_first_and_hostile_text_harmlessly() -> None:
    document = {
        "agent": {"version": "1", "vantage": "test", "now": "2026-01-01T00:00:00.000Z", "impaired": ["it is late"]},
        "summary": {"state": "outage", "sentence": "Web \x1b[2Jshop has an [red]outage[/]."},
        "services": [
            {"title": "Web [b]shop", "state": "outage", "since": None, "implicit": False, "checks": {"down": 1}},
        ],
        "checks": [
            {
                "name": "ho\x1b]0;me", "state": "down", "since": "2025-12-31T23:00:00.000Z", "why": "x[/]\nx",
                "confirming": True, "last": {"measurements": {"response_time": {"value": 0.25}}},
            },
            {"name": "new", "state": "unknown", "since": None, "why": "", "confirming": False, "last": None},
        ],
    }  # fmt: skip

    async def answer(request: Any) -> Any:
        return web.json_response(document)

    async with serving({"/api/v1/status": answer}) as url:
        done = await in_thread("status", "--url", url, columns="200")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "[red]outage[/]" in done.stdout
    assert "Web [b]shop" in done.stdout
    assert "it is late" in done.stdout
    assert "1 h ago" in done.stdout
    assert "250 ms" in done.stdout
    assert "(being confirmed)" in done.stdout


STANDS = {
    "agent": {"now": "2026-03-01T12:00:00.000Z", "vantage": "here", "version": "1"},
    "summary": {"state": "operational", "sentence": "All systems operational"},
    "services": [],
    "checks": [],
}
TOKEN = "read-only-read-only-read"


@pytest.mark.parametrize("command", ["status", "incidents"])
async def test_the_agent_of_the_file_in_this_folder_is_asked_or_of_the_one_that_is_named(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: Any) -> Any:
        return web.json_response(STANDS | {"incidents": []})

    async def watches(_: Any) -> Any:
        return web.json_response({"file": str(file), "loaded": "2026-03-01T12:00:00.000Z"})

    paths = {"/api/v1/status": answer, "/api/v1/incidents": answer, "/api/v1/config": watches}
    async with serving(paths) as url:
        file = checks(tmp_path, listen=url.removeprefix("http://"))
        monkeypatch.chdir(tmp_path)
        done = await in_thread(command)
        assert (done.returncode, done.stderr) == (0, "")
        monkeypatch.chdir("/")
        done = await in_thread(command, "--config", file)
        assert (done.returncode, done.stderr) == (0, "")


async def test_where_reading_is_protected_status_shows_its_token() -> None:
    async def answer(request: web.Request) -> Any:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"detail": "a token is needed"}, status=401)
        return web.json_response(STANDS)

    async with serving({"/api/v1/status": answer}) as url:
        done = await in_thread("status", "--url", url)
        assert (done.returncode, "answers nobody without a token" in done.stderr) == (2, True)
        done = await asyncio.to_thread(called, "status", "--url", url, BROWNOUT_TOKEN=TOKEN)
        assert (done.returncode, done.stderr) == (0, "")


def test_without_a_file_the_agent_is_where_it_listens_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is one that this user may not read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_configuration, "DEFAULT_FILES", (Path("checks.yaml"), tmp_path / "none.yaml"))
    monkeypatch.setattr(_asking, "INSTALLED", tmp_path / "installed")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _asking.settings_of(None).listen == DEFAULT_LISTEN
    with pytest.raises(ConfigError):
        _asking.settings_of(Path("checks.yaml"))


def test_status_when_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    done = called("status", "--url", f"http://user:{PASSWORD}@127.0.0.1:{port}")
    assert done.returncode == 2
    assert f"no agent answers at http://127.0.0.1:{port}" in done.stderr
    assert "start one with brownout run" in done.stderr
    for url in ("nonsense", "ftp://127.0.0.1", "http://"):
        done = called("status", "--url", url)
        assert (done.returncode, "--url" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("status", "text"), [(404, "nothing"), (200, "<html>"), (200, "[]"), (200, '{"checks": 1}'), (200, "\udcff")]
)
async def test_status_of_something_else(status: int, text: str) -> None:
    async def answer(request: Any) -> Any:
        return web.Response(status=status, body=text.encode("utf-8", "surrogateescape"))

    async with serving({"/api/v1/status": answer}) as url:
        done = await in_thread("status", "--url", url)
    assert done.returncode == 2
    assert "Brownout agent" in done.stderr
