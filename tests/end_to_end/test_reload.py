"""A real agent whose file changes while it runs: edited, reloaded, refused; and a receiver that hears the truth."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.commands.called import brownout
from tests.end_to_end.rig import (
    BROWNOUT,
    Agent,
    Receiver,
    Target,
    agent,
    answering,
    check_status,
    environment,
    listening,
    until,
    until_state,
)

TOKEN = "a-token-for-deployments"


@dataclass
class Stage:
    """An agent that watches two pages, and who may be told to look elsewhere."""

    folder: Path
    running: Agent
    url: str
    receiver: Receiver
    first: Target
    second: Target

    @property
    def file(self) -> Path:
        return self.folder / "checks.yaml"

    def write(self, *checks: str, more: str = "") -> None:
        self.file.write_text(
            f"""\
agent:
  listen: "127.0.0.1:0"
  state_dir: {self.folder / "state"}
  vantage: {{name: test}}
  tokens: {{deploy: {{token: {TOKEN}, scopes: [admin]}}}}
sinks:
  hook: {{type: webhook, url: "{self.receiver.url}", secret: "${{HOOK_SECRET}}"}}
routes: [{{when: "event = *", to: [hook]}}]
defaults:
  every: 250ms
  timeout: 200ms
  confirm: {{policy: consecutive, looks: 3, span: 500ms}}
  recover: {{looks: 2, every: 100ms}}
  flapping: off
{more}
checks:
"""
            + "".join(f"  - {{{item}}}\n" for item in checks)
        )

    def check(self, name: str, target: Target, more: str = "") -> str:
        return f'name: {name}, probe: http, url: "{target.url}"{more}'

    async def reload(self, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
        """`brownout reload`, as a person would: exit code, output, errors."""
        process = await asyncio.create_subprocess_exec(
            str(BROWNOUT), "reload", str(self.file), *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(env),
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    async with listening(Receiver()) as receiver, answering(Target()) as first, answering(Target()) as second:
        stage = Stage(folder, None, "", receiver, first, second)  # type: ignore[arg-type]  # it starts below
        stage.write(stage.check("home", first), stage.check("cart", second))
        with agent(folder, "run", stage.file) as running:
            stage.running, stage.url = running, await running.started()
            yield stage
            assert await running.stop() == 0
    assert not receiver.forged
    assert not receiver.repeated


def told(receiver: Receiver, kind: str) -> list[dict[str, Any]]:
    return [webhook.event for webhook in receiver.told if webhook.event["type"] == kind]


async def test_a_changed_file_is_taken_over_and_what_has_gone_ends_what_it_told(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await until_state(stage.url, "home", "up")
        await until_state(stage.url, "cart", "up")
        stage.second.status = 500
        await until(lambda: bool(told(stage.receiver, "incident.opened")), "the incident to be told")
        since = (await check_status(stage.url, "home"))["since"]

        # The bad one goes, the good one gets a threshold, a third one comes.
        home = stage.check("home", stage.first, ', degraded: "response_time > 9s"')
        stage.write(home, stage.check("search", stage.first))
        assert await stage.reload() == (0, "1 check added, 1 removed, 1 changed\n", "")
        await until(lambda: bool(told(stage.receiver, "incident.resolved")), "the end to be told")
        resolved = told(stage.receiver, "incident.resolved")[0]
        assert "cart is no longer watched" in resolved["sentence"]
        opened = told(stage.receiver, "incident.opened")
        assert [event["incident"]["id"] for event in opened] == [resolved["incident"]["id"]]
        ends = [event["state"] for event in told(stage.receiver, "check.changed") if event["check"]["id"] == "cart"]
        assert ends[-1] == {"old": "down", "new": "unknown"}
        await until_state(stage.url, "search", "up")
        assert (await check_status(stage.url, "home"))["since"] == since, "its state goes on"
        asked = stage.second.requests

        # Put back, it begins anew: what is bad is told anew.
        stage.write(home, stage.check("cart", stage.second))
        stage.running.process.send_signal(signal.SIGHUP)
        await until(lambda: len(told(stage.receiver, "incident.opened")) == 2, "the second incident to be told")
        assert stage.second.requests > asked
        stage.second.status = 200
        await until(lambda: len(told(stage.receiver, "incident.resolved")) == 2, "the second end to be told")
    assert_lived_again(tmp_path, stage.receiver)


def assert_lived_again(folder: Path, receiver: Receiver) -> None:
    """What the agent has left tells a replay the same, through both reloads."""
    done = brownout("replay", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert [item["checks"] for item in again["reloads"]] == [["home", "cart", "search"], ["search", "cart"]]
    assert (again["as_it_was"], again["remarks"], again["differs_from_journal"]) == (True, [], {})
    assert sorted(event["type"] for event in again["events"]) == sorted(
        webhook.event["type"] for webhook in receiver.told
    )


async def test_a_bad_file_changes_nothing_and_says_so_everywhere(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await until_state(stage.url, "home", "up")
        stage.write(stage.check("home", stage.first, ", degraded: respone_time > 1s"), more="nonsense: 1")
        code, out, err = await stage.reload()
        assert (code, out) == (1, "")
        assert 'checks.yaml:15:1: unknown section "nonsense"' in err
        assert 'unknown measurement "respone_time" (did you mean response_time?)' in err
        assert err.endswith("refused for 2 faults; the configuration before stays in force\n")
        assert len(stage.running.lines("config_fault")) == 2
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            health = (await client.get(f"{stage.url}/healthz")).json()
            status = (await client.get(f"{stage.url}/api/v1/status")).json()
            metrics = (await client.get(f"{stage.url}/metrics")).text
            refused = await client.post(f"{stage.url}/api/v1/reload")
            again = await client.post(f"{stage.url}/api/v1/reload", headers={"Authorization": f"Bearer {TOKEN}"})
        assert health["checks"]["config:accepted"][0]["status"] == "warn"
        assert "checks.yaml:15:1: unknown section" in status["agent"]["impaired"][0]
        assert "brownout_config_reload_success 0.0" in metrics
        assert {check["id"] for check in status["checks"]} == {"home", "cart"}, "what was in force stays so"
        assert refused.status_code == 401
        assert (again.status_code, again.json()["accepted"], len(again.json()["faults"])) == (422, False, 2)

        stage.write(stage.check("home", stage.first))
        code, out, _ = await stage.reload("--json", env={"BROWNOUT_TOKEN": TOKEN})
        assert (code, json.loads(out)["sentence"]) == (0, "1 check removed")
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            assert (await client.get(f"{stage.url}/healthz")).json()["status"] == "pass"
            config = (await client.get(f"{stage.url}/api/v1/config")).json()
        assert (config["checks"], config["reload"]["number"]) == (1, 3)


async def test_streams_of_those_who_may_not_read_any_more_end(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, httpx.AsyncClient(trust_env=False, timeout=10) as client:
        url, headers = f"{stage.url}/api/v1/events", {"Accept": "text/event-stream"}
        async with client.stream("GET", url, headers=headers) as stream:
            assert stream.status_code == 200
            stage.file.write_text(stage.file.read_text().replace("  tokens:", "  protected: true\n  tokens:"))
            assert (await stage.reload(env={"BROWNOUT_TOKEN": TOKEN}))[0] == 0
            async for _ in stream.aiter_lines():
                pass  # until its end; a stream that goes on is told of by the time limit
        assert (await client.get(url, headers=headers)).status_code == 401


async def test_whoever_cannot_be_asked_is_told_what_to_do(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        wrong = {"BROWNOUT_TOKEN": "a-token-that-nobody-has"}
        code, _, err = await stage.reload(env=wrong)
        assert (code, "No token of agent.tokens is this one." in err) == (2, True)
        code, _, err = await stage.reload("--url", "http://127.0.0.1:1", env={"BROWNOUT_TOKEN": TOKEN})
        assert (code, "no agent answers at http://127.0.0.1:1" in err) == (2, True)
        code, _, err = await stage.reload("--token-file", str(tmp_path / "none"))
        assert (code, "cannot be read: No such file" in err) == (2, True)
        other = tmp_path / "other.yaml"
        other.write_text(stage.file.read_text())
        stage.folder, mine = tmp_path, stage.file
        process = await asyncio.create_subprocess_exec(
            str(BROWNOUT), "reload", str(other), stderr=asyncio.subprocess.PIPE, env=environment()
        )
        _, err_bytes = await process.communicate()
        assert process.returncode == 2
        assert f"watches {mine}, and not {other}" in err_bytes.decode()
        good = stage.file.read_text()
        stage.file.write_text("agent: [")
        code, _, err = await stage.reload()
        assert (code, err.endswith("the agent was not asked\n")) == (1, True)
        stage.file.write_text(good)
    code, _, err = await stage.reload()
    assert (code, "no agent runs with state_dir" in err) == (2, True)


async def test_many_reloads_at_once_and_a_stop_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await until_state(stage.url, "cart", "up")
        home, cart = stage.check("home", stage.first), stage.check("cart", stage.second)
        stage.second.status = 500
        for turn in range(40):
            stage.write(home, *([cart] if turn % 4 else []), stage.check(f"x{turn % 3}", stage.first))
            os.kill(stage.running.process.pid, signal.SIGHUP)
            await asyncio.sleep(0.02)
        await until(lambda: bool(told(stage.receiver, "incident.opened")), "an incident to be told")
        stage.write(home)
        stage.running.process.send_signal(signal.SIGHUP)
        await until(lambda: _balanced(stage.receiver), "every incident to be ended")
        stage.running.process.send_signal(signal.SIGHUP)
    assert not stage.running.lines("agent_died")
    assert _balanced(stage.receiver)


def _balanced(receiver: Receiver) -> bool:
    opened = [event["incident"]["id"] for event in told(receiver, "incident.opened")]
    resolved = [event["incident"]["id"] for event in told(receiver, "incident.resolved")]
    return sorted(opened) == sorted(resolved)
