"""`brownout run`: the agent as a service, and what keeps it from starting."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from monitor.store.sqlite import SqliteStore
from tests.commands.called import PASSWORD, brownout, checks
from tests.end_to_end.rig import (
    Receiver,
    Target,
    agent,
    answering,
    listening,
    look_times,
    serving,
    until,
    until_state,
)

pytestmark = pytest.mark.timeout(180)


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = brownout("run", checks(tmp_path, listen=f"127.0.0.1:{port}"))
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "another agent.listen; nothing was started" in done.stderr
    assert not (tmp_path / "state").exists()


async def test_a_second_agent_on_the_same_state_dir(tmp_path: Path) -> None:
    file = checks(tmp_path)
    with agent(tmp_path, "run", file, env={"SHOP_PASSWORD": PASSWORD}) as first:
        url = await first.started()
        done = brownout("run", file)
        assert done.returncode == 2
        assert f"another agent (pid {first.process.pid}) uses state_dir" in done.stderr
        assert "stop it, or give this one a state_dir of its own; nothing was started" in done.stderr
        await look_times(url, "home", 1)
        assert await first.stop() == 0


async def test_sigterm_flushes_and_ends_well(tmp_path: Path) -> None:
    async with listening(Receiver()) as receiver, answering(Target()) as target:
        text = (
            f"  - {{name: search, probe: http, url: '{target.url}', every: 1s}}\n"
            f"routes: [{{when: event = check.changed, to: [hook]}}]\n"
        )
        file = checks(tmp_path, text, url=target.url)
        hook = f"  hook: {{type: webhook, url: '{receiver.url}', secret: '${{HOOK_SECRET}}'}}\n"
        file.write_text(file.read_text().replace("services:\n", hook + "services:\n"))
        with agent(tmp_path, "run", file, env={"SHOP_PASSWORD": PASSWORD}) as running:
            url = await running.started()
            await until_state(url, "home", "up")
            await look_times(url, "home", 2)
            assert await running.stop() == 0
            assert running.lines("stopped")
            assert PASSWORD not in running.log
        store = SqliteStore(tmp_path / "state", vantage="test")
        journal = await store.open()
        await store.close()
        assert journal.checks["home"].state.value == "up"
        assert journal.checks["home"].snapshot["failures"]["good"]["looks"] >= 3, (
            "what was seen since has been flushed"
        )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_within_five_seconds_while_looks_and_sends_hang(
    tmp_path: Path, number: signal.Signals
) -> None:
    gate = asyncio.Event()
    asked = []

    async def hang(request: Any) -> Any:
        asked.append(request.path)
        with contextlib.suppress(asyncio.CancelledError):
            await gate.wait()
        return web.Response()

    async with serving({"/": hang}) as url:
        file = checks(tmp_path, "    timeout: 60s", url=f"{url}/")
        file.write_text(file.read_text().replace("every: 1s", "every: 60s"))
        with agent(tmp_path, "run", file, env={"SHOP_PASSWORD": PASSWORD}) as running:
            await running.started()
            await until(lambda: bool(asked), "the look to begin")
            running.process.send_signal(number)
            # Five seconds are promised; the machine may be busy.
            assert await running.ended(15) == 0
        gate.set()


async def test_systemd_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = tmp_path / "notify"
        manager.bind(str(address))
        manager.setblocking(False)
        heard: list[str] = []

        def listen() -> list[str]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(manager.recv(4096).decode())
            return heard

        env = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "2000000", "SHOP_PASSWORD": PASSWORD}
        with agent(tmp_path, "run", checks(tmp_path), env=env) as running:
            await running.started()
            await until(lambda: listen().count("WATCHDOG=1") >= 3, "the watchdog to be fed")
            ready = [
                number for number, text in enumerate(heard) if text.startswith("READY=1\nSTATUS=watching 1 check")
            ]
            assert len(ready) == 1
            assert not any(text.startswith("STOPPING=1") for text in heard)
            assert await running.stop() == 0
        assert [text.split("\n")[0] for text in listen() if text.startswith("STOPPING=1")] == ["STOPPING=1"]
        assert listen()[-1].startswith(("STOPPING=1", "WATCHDOG=1"))


@pytest.mark.parametrize("command", ["validate", "schema", "demo", "run"])
def test_a_strangers_probe_that_cannot_be_loaded_is_told_by_its_name(tmp_path: Path, command: str) -> None:
    announced = tmp_path / "odd_probe-1.dist-info"
    announced.mkdir()
    (announced / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-probe\nVersion: 1\n")
    (announced / "entry_points.txt").write_text("[brownout.probes]\nodd = nowhere:Odd\n")
    done = brownout(command, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "installed probes: odd-probe 1: probe 'odd' cannot be loaded" in done.stderr
