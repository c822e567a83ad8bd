"""SIGTERM when nothing wants to end: hung targets, a hung sink, hundreds of looks in flight, clients that stay."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.ledger import all_sent, check_journal, check_ledger
from tests.end_to_end.rig import Receiver, Target, agent, answering, listening, until, until_state
from tests.end_to_end.stage import page, write_checks

LIMIT = 5.0
"""Seconds from SIGTERM to the end (the project's own goal)."""
HUNG, IN_FLIGHT = 550, 500

HANGING = """\
  - name: hung {number}
    probe: http
    url: http://{host}:{port}/
    every: 60s
    timeout: 50s
"""
LIMITS = "  limits: {looks: 2000, looks_per_host: 2000}\n"


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that takes connections and says nothing."""
    await reader.read()
    writer.close()


@pytest.mark.timeout(150)
async def test_it_ends_within_five_seconds_whatever_hangs(tmp_path: Path) -> None:
    server = await asyncio.start_server(never, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()[:2]
    async with server, listening(Receiver()) as receiver, answering(Target()) as target:
        hanging = "".join(HANGING.format(number=number, host=host, port=port) for number in range(HUNG))
        file = write_checks(tmp_path, receiver, page("home", target.url), hanging, agent=LIMITS)
        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            # Not by its page, which is long with so many checks.
            await until(lambda: any(line.get("check") == "home" for line in running.lines("transition")), "a look")
            receiver.answering.clear()
            target.status = 500
            await until(lambda: bool(receiver.webhooks), "a webhook that gets no answer")
            async with httpx.AsyncClient(trust_env=False) as idle, stuck(url) as slow:
                await in_flight(idle, url)
                await asyncio.wait_for(slow.readexactly(1), 10)
                began = time.monotonic()
                running.process.send_signal(signal.SIGTERM)
                assert await running.ended() == 0
                seconds = time.monotonic() - began
        assert running.lines("stopped"), running.log
        assert seconds < LIMIT
        # What was not answered is sent again, and the story goes on to its end.
        receiver.answering.set()
        target.status = 200
        calm = write_checks(tmp_path, receiver, page("home", target.url))
        with agent(tmp_path, "run", calm) as running:
            await until_state(await running.started(), "home", "up")
            await until(lambda: receiver.open_incidents == 0, "the end of the outage")
            await all_sent(tmp_path / "state")
            assert await running.stop() == 0
        check_ledger(receiver)
        check_journal(tmp_path / "state", {webhook.id for webhook in receiver.told})


async def test_a_disk_that_never_answers_does_not_hold_the_stop(tmp_path: Path) -> None:
    async with listening(Receiver()) as receiver, answering(Target()) as target:
        file = write_checks(tmp_path, receiver, page("home", target.url))
        with agent(tmp_path, file, module="tests.faults.hanging_agent") as running:
            await until_state(await running.started(), "home", "up")
            began = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            assert await running.ended() == 0
            seconds = time.monotonic() - began
    assert seconds < LIMIT
    assert [line["step"] for line in running.lines("stop_cut_short")] == ["the last looks", "journal"]


async def in_flight(client: httpx.AsyncClient, url: str) -> None:
    """Wait until hundreds of looks are under way; the connection is kept open behind it."""
    for _ in range(100):
        text = (await client.get(f"{url}/metrics")).text
        looks = next(line for line in text.splitlines() if line.startswith("brownout_looks_in_flight "))
        if float(looks.split()[1]) >= IN_FLIGHT:
            return
        await asyncio.sleep(0.3)
    raise AssertionError(f"only {looks}")


class stuck:  # noqa: N801  (used like a function)
    """A client that asks for a long answer and does not read it."""

    def __init__(self, url: str) -> None:
        self._address = httpx.URL(url)

    async def __aenter__(self) -> asyncio.StreamReader:
        reader, self._writer = await asyncio.open_connection(self._address.host, self._address.port, limit=1024)
        head = f"Host: {self._address.host}:{self._address.port}"
        for _ in range(4):
            self._writer.write(f"GET /metrics HTTP/1.1\r\n{head}\r\n\r\n".encode())
        return reader

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
