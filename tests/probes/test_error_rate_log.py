"""Requests counted in a log that is written, rotated and cut while looks are taken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes.contract import Context, Observation, Reason
from probes.error_rate import ErrorRate
from tests.probes.judged import Judged

LINE = '10.0.0.1 - - [22/Nov/2026:02:36:30 +0000] "GET {path} HTTP/1.1" {status} 512 "-" "curl/8"{rest}'


class Watched:
    """A log, and a check that follows it."""

    def __init__(self, path: Path, context: Context, **fields: Any) -> None:
        self.path = path
        self.context = context
        self.probe = ErrorRate(log=(str(path),), **fields)

    def write(self, *lines: str) -> None:
        with self.path.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def requests(self, status: int = 200, path: str = "/", times: int = 1, rest: str = "") -> None:
        self.write(*[LINE.format(path=path, status=status, rest=rest)] * times)

    async def look(self) -> Observation:
        return await self.probe.look(self.context)

    async def figures(self) -> tuple[float, float]:
        """Requests, and bad ones."""
        seen = await self.look()
        assert seen.ok, seen
        return seen.measurements["requests"], seen.measurements["bad_requests"]

    async def restart(self, **fields: Any) -> None:
        await self.probe.close()
        self.probe = replace(self.probe, **fields)


Watch = Callable[..., Any]


@pytest.fixture
async def watch(tmp_path: Path, context: Context) -> Any:
    made: list[Watched] = []

    async def start(*, ground: bool = True, **fields: Any) -> Watched:
        watched = Watched(tmp_path / "access.log", context, **fields)
        made.append(watched)
        if ground:
            watched.path.touch()
            first = await watched.look()
            assert first.ok, first
            assert "requests" not in first.measurements
        return watched

    yield start
    for watched in made:
        await watched.probe.close()


async def test_counts_what_comes_between_looks(watch: Watch) -> None:
    log = await watch()
    log.requests(200, times=8)
    log.requests(503, "/checkout?token=tell-no-one", times=2)
    seen = await log.look()
    assert seen.measurements["requests"] == 10
    assert seen.measurements["error_rate"] == 0.2
    assert seen.evidence["worst_path"] == "/checkout (2 of 2 bad)"
    assert seen.evidence["bad_status"] == "503 (2 of 2 bad)"
    assert await log.figures() == (0, 0)


async def test_a_log_that_is_not_there_says_nothing_of_the_service(watch: Watch) -> None:
    log = await watch(ground=False)
    seen = await log.look()
    assert seen.reason is Reason.SOURCE
    assert "no file" in seen.detail
    log.requests(500)
    assert await log.figures() == (1, 1), "a file that appears is new"


async def test_a_folder_is_no_log(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "access.log").mkdir()
    seen = await (await watch(ground=False)).look()
    assert seen.reason is Reason.SOURCE
    assert "a folder" in seen.detail


async def test_rotation_truncation_and_a_restart_of_the_agent(watch: Watch, tmp_path: Path) -> None:
    log = await watch()
    log.requests(times=3)
    log.path.rename(tmp_path / "access.log.1")
    log.requests(500, times=2)
    assert await log.figures() == (5, 2)
    await log.probe.close()
    log.requests(times=4)
    log.path.rename(tmp_path / "access.log.2")
    log.requests(500)
    await log.restart()
    assert await log.figures() == (5, 1), "nobody watched when it was rotated"
    (tmp_path / "access.log.1").write_bytes(log.path.read_bytes())
    os.truncate(log.path, 0)
    log.requests()
    assert await log.figures() == (1, 0)


async def test_what_was_written_long_ago_is_not_told_as_if_it_were_now(watch: Watch) -> None:
    log = await watch()
    log.requests()
    assert await log.figures() == (1, 0)
    await log.probe.close()
    log.requests(500, times=100)
    kept = json.loads(log.context.memory["log.resume"])
    log.context.memory["log.resume"] = json.dumps(kept | {"wall": kept["wall"] - 3600})
    await log.restart()
    seen = await log.look()
    assert seen.ok
    assert "requests" not in seen.measurements
    assert "nobody read" in seen.evidence["passed_over"]
    log.requests()
    assert await log.figures() == (1, 0)


@pytest.mark.parametrize("resume", ["", "{", "[]", '{"wall":0}', '{"wall":"x","files":{"a":[[1]]}}'])
async def test_notes_that_cannot_be_understood_are_a_new_beginning(watch: Watch, resume: str) -> None:
    log = await watch(ground=False)
    log.requests(500)
    log.context.memory["log.resume"] = resume
    assert "requests" not in (await log.look()).measurements
    log.requests()
    assert await log.figures() == (1, 0)


async def test_several_files_and_patterns(watch: Watch, tmp_path: Path, context: Context) -> None:
    for name in ("a.access.log", "b.access.log", "b.access.log.1", "c.access.log.2.gz"):
        (tmp_path / name).touch()
    probe = ErrorRate(log=(f"{tmp_path}/*access.log*", str(tmp_path / "other.log")))
    assert (await probe.look(context)).reason is Reason.SOURCE, "other.log is not there"
    (tmp_path / "other.log").touch()
    for name in ("a.access.log", "b.access.log", "b.access.log.1", "c.access.log.2.gz", "other.log"):
        with (tmp_path / name).open("a") as file:
            file.write(LINE.format(path="/", status=200, rest="") + "\n")
    seen = await probe.look(context)
    assert seen.measurements["requests"] == 3, seen
    await probe.close()


async def test_a_pattern_that_fits_nothing(context: Context, tmp_path: Path) -> None:
    probe = ErrorRate(log=(f"{tmp_path}/*.log",))
    seen = await probe.look(context)
    assert seen.reason is Reason.SOURCE
    assert "no file fits" in seen.detail
    await probe.close()


async def test_a_log_of_another_format_is_no_silence(watch: Watch) -> None:
    log = await watch()
    log.write('{"status": 200}', '{"status": 500, "token": "?t=tell-no-one"}')
    seen = await log.look()
    assert seen.reason is Reason.QUERY
    assert "none of 2 new lines" in seen.detail
    assert "tell-no-one" not in repr(seen)


async def test_secrets_that_the_agent_knows_are_not_in_evidence(watch: Watch) -> None:
    log = await watch(format="lines", bad="ERROR")
    token = "kQ7vZ2mXw9LrT4bNc8HsJ5dFg3Py6AeU1oWi"
    knows = replace(log.context, redact=lambda text: text.replace(token, "***"))
    for offset in (10, 290, 990, 4080, 8180):
        log.write("ERROR ".ljust(offset, "-") + token + " x" * 50)
        seen = await log.probe.look(knows)
        assert seen.evidence["bad_line"].startswith("ERROR ")
        # A text that is whole and short is left to the agent, which takes its secrets out of all that is shown.
        assert token[:6] not in knows.redact(repr(seen))


async def test_response_times_of_nginx(watch: Watch) -> None:
    log = await watch()
    for milliseconds in range(1, 101):
        log.requests(rest=f" 0.{milliseconds:03} 0.001")
    seen = await log.look()
    assert seen.measurements["latency_p50"] == pytest.approx(0.050, rel=0.011)
    assert seen.measurements["latency_p95"] == pytest.approx(0.095, rel=0.011)
    assert seen.measurements["latency_p99"] == pytest.approx(0.099, rel=0.011)


async def test_looks_that_overlap_count_each_line_once(watch: Watch) -> None:
    import asyncio

    log = await watch()
    log.requests(times=1000)
    extra = replace(log.context, scheduled=False)
    seen = await asyncio.gather(log.look(), log.probe.look(extra), log.look())
    assert sum(each.measurements["requests"] for each in (seen[0], seen[2])) == 1000


async def test_close_ends_the_thread(watch: Watch) -> None:
    import threading

    log = await watch()
    names = {thread.name for thread in threading.enumerate()}
    assert f"follow {log.path}" in names
    await log.probe.close()
    names = {thread.name for thread in threading.enumerate()}
    assert f"follow {log.path}" not in names


async def test_from_good_to_degraded_to_down_and_back(watch: Watch, tmp_path: Path) -> None:
    log = await watch()
    judged = Judged(log.probe)
    states: list[str] = []

    async def minutes(count: int, bad: int) -> None:
        """So many minutes of 100 requests a quarter of a minute, the log rotated once in each."""
        for _ in range(count):
            log.path.rename(tmp_path / "access.log.1")
            for _ in range(4):
                log.requests(500, times=bad)
                log.requests(200, times=100 - bad)
                await judged.see(log.context, at=15.0 * len(states))
                states.append(judged.state)

    await minutes(5, bad=0)
    assert states[-1] == "up"
    await minutes(5, bad=5)
    assert states[-1] == "degraded"
    await minutes(3, bad=60)
    assert states[-1] == "down"
    await minutes(9, bad=0)
    assert states[-1] == "up"
    assert [state for at, state in enumerate(states) if at == 0 or states[at - 1] != state] in (
        ["unknown", "up", "degraded", "down", "degraded", "up"],
        ["up", "degraded", "down", "degraded", "up"],
    )
