"""What actions do: commands and calls, ended in time, stopped, and recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx

from monitor.actions import Actuator, facts_of
from monitor.clock import SystemClock
from monitor.config.deeds import Action, Deed
from monitor.core.actions import Fate, Run
from monitor.core.model import Change, Moment
from monitor.core.ruling import Rule
from monitor.pipeline import Pipeline
from probes.contract import Secret
from tests.core.builders import moment
from tests.core.stories import begun, shop
from tests.core.test_actions import FREE, Acting
from tests.end_to_end.rig import until

URL = "https://flags.example.com/very-secret-path"


class Deciding:
    """Has a story's world decide, as the pipeline does; `durable`: whether its journal can be written."""

    def __init__(self, story: Acting) -> None:
        self.story = story
        self.writer = self
        self.durable = True
        self.at = 100.0

    def decide(self, what: Callable[[Any, Moment], Change | None]) -> None:
        self.at += 1
        self.story.keep(what(self.story.world, moment(self.at)))

    async def committed(self, patience: float) -> bool:
        return self.durable


@dataclass
class Stage:
    story: Acting
    deciding: Deciding
    actuator: Actuator
    asked: list[httpx.Request]
    counted: list[tuple[str, str]]

    def breaks(self) -> None:
        """The home is down, and that is committed."""
        self.story.kill("home", 10)
        self.actuator.told([event for change in self.story.changes for event in change.events][-1:])

    @property
    def runs(self) -> tuple[Run, ...]:
        return self.story.world.actions.runs.get("drain", ())

    async def ended(self) -> Run:
        await until(lambda: bool(self.runs) and self.runs[-1].fate is not Fate.RUNNING, "its end")
        return self.runs[-1]


async def nothing() -> AsyncIterator[bytes]:
    yield b""


@asynccontextmanager
async def acting(deed: Deed, rule: Rule = FREE, status: int = 204) -> AsyncIterator[Stage]:
    story = Acting(shop())
    story.world.plan = replace(story.world.plan, actions={"drain": rule})
    begun(story)
    asked: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if status == 0:
            await asyncio.sleep(3600)
        return httpx.Response(status, content=nothing())

    deciding, counted = Deciding(story), list[tuple[str, str]]()
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        actuator = Actuator(
            cast(Pipeline, deciding),
            lambda: {"drain": Action(rule, deed)},
            client,
            SystemClock(),
            lambda text: text.replace("hush-hush", "***"),
            on_end=lambda *ended: counted.append(ended),
        )
        running = asyncio.create_task(actuator.run())
        try:
            yield Stage(story, deciding, actuator, asked, counted)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def shell(tmp_path: Path, text: str) -> tuple[str, ...]:
    script = tmp_path / "drain"
    script.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    script.chmod(0o755)
    return (str(script), "shop")


async def test_a_command_is_run_and_what_it_says_is_recorded(tmp_path: Path) -> None:
    async with acting(Deed(run=shell(tmp_path, 'echo "drained $1 hush-hush"'))) as stage:
        stage.breaks()
        run = await stage.ended()
    assert run.fate is Fate.DONE
    assert run.text.startswith("drain ended with 0, saying: drained shop ***")
    assert stage.counted == [("drain", "done")]
    assert "The action drain was taken: drain ended with 0" in stage.story.texts[-1]


async def test_a_command_that_fails_or_is_not_there(tmp_path: Path) -> None:
    async with acting(Deed(run=shell(tmp_path, "echo no pool >&2; exit 3"))) as stage:
        stage.breaks()
        run = await stage.ended()
    assert (run.fate, run.text.partition(" (")[0]) == (Fate.FAILED, "drain ended with 3, saying: no pool")
    async with acting(Deed(run=("/nowhere/drain",))) as stage:
        stage.breaks()
        assert "there is no program /nowhere/drain" in (await stage.ended()).text
    async with acting(Deed(run=shell(tmp_path, "kill -9 $$"))) as stage:
        stage.breaks()
        assert "was killed by signal 9" in (await stage.ended()).text


async def test_one_that_writes_for_ever_is_ended(tmp_path: Path) -> None:
    async with acting(Deed(run=shell(tmp_path, "exec yes"))) as stage:
        stage.breaks()
        assert "it wrote more than 8 MiB and was stopped" in (await stage.ended()).text


async def test_a_url_is_called_once_and_its_path_is_told_to_nobody() -> None:
    async with acting(Deed(url=Secret(URL), headers={"Authorization": Secret("Bearer hush-hush")})) as stage:
        stage.breaks()
        run = await stage.ended()
    (request,) = stage.asked
    assert (request.method, request.headers["authorization"]) == ("POST", "Bearer hush-hush")
    assert request.headers["idempotency-key"] == run.id
    sent = json.loads(request.content)
    assert (sent["action"], sent["event"]["incident"]["id"]) == ("drain", run.incident)
    assert run.text.startswith("flags.example.com answered 204")
    assert "secret" not in str(stage.story.events)


async def test_a_call_that_fails_is_not_repeated() -> None:
    async with acting(Deed(url=Secret(URL), method="GET"), status=503) as stage:
        stage.breaks()
        run = await stage.ended()
    assert run.fate is Fate.FAILED
    assert "answered 503" in run.text
    assert len(stage.asked) == 1
    slow = Deed(url=Secret(URL), body="off", timeout=timedelta(seconds=1))
    async with acting(slow, status=0) as stage:
        stage.breaks()
        assert "it may have been taken all the same" in (await stage.ended()).text
    assert stage.asked[0].content == b"off"


async def test_a_dry_run_does_nothing() -> None:
    async with acting(Deed(url=Secret(URL), method="PATCH"), Rule()) as stage:
        stage.breaks()
        assert (await stage.ended()).text == "it is on trial: it calls flags.example.com by PATCH"
    assert stage.asked == []


async def test_without_a_journal_it_does_not_begin() -> None:
    async with acting(Deed(url=Secret(URL))) as stage:
        stage.deciding.durable = False
        stage.breaks()
        assert "the journal cannot be written" in (await stage.ended()).text
    assert stage.asked == []


async def test_stopping_ends_what_runs(tmp_path: Path) -> None:
    async with acting(Deed(run=shell(tmp_path, f"touch {tmp_path}/begun; sleep 3600"))) as stage:
        stage.breaks()
        await until(lambda: (tmp_path / "begun").exists(), "it to begin")
        assert await stage.actuator.stop("ann") == 1
        assert "somebody has stopped all actions" in (await stage.ended()).text
        assert stage.story.world.actions.stopped is not None
        await stage.actuator.start("ann")
        assert stage.story.world.actions.stopped is None


def test_facts_are_short_lines() -> None:
    run = Run("run_1", "drain", "inc_1", next(iter(FREE.on)), moment(0).at, dry=False, fate=Fate.RUNNING)
    incident = {"id": "inc_1", "impact": "outage", "since": "t", "root": "a", "services": ["a", "b"], "checks": ["c"]}
    body = {
        "incident": incident,
        "service": {"id": "a"},
        "state": {"new": "outage"},
        "sentence": "a\nb\0" + "x" * 9999,
    }
    facts = facts_of(run, body)
    assert facts["BROWNOUT_SERVICES"] == "a,b"
    assert facts["BROWNOUT_PAGE"] == ""
    assert all(len(value) <= 1000 and value.isprintable() for value in facts.values())
