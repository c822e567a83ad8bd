"""Does what actions say: runs their commands and calls their URLs, beside the loop, within their time.

What is to be done, and what holds it, is decided by the world (`monitor.core.actions`), once the event that sets it
off is in the journal. That a run began is in the journal before it begins; so it begins once, or never.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import httpx
import structlog

from monitor.clock import Clock
from monitor.config.deeds import Action, Deed
from monitor.core import actions
from monitor.core.actions import Fate, Run
from monitor.core.handled import plain
from monitor.core.model import Change, Event, Moment
from monitor.core.wording import seconds
from monitor.core.world import World
from monitor.deciding import decided
from monitor.pipeline import Pipeline
from monitor.sinks import _http
from monitor.sinks.contract import SendFailed
from probes._system.hang import Hung
from probes._system.spawn import CannotStart, Endless, clean_environment, run
from probes.contract import LookFailed

AT_ONCE = 4
"""Runs at one time; others wait for their turn."""
PATIENCE = 10.0
"""Seconds that the journal gets to take that a run begins; where it does not, it does not begin."""
OUTPUT = 4096
"""Bytes of a command's output that are kept; a line of them is shown."""
LONGEST_FACT = 1000
"""Characters of a variable of its environment."""
SHOWN = 150
"""Characters of that line."""

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.actions")


class Actuator:
    """`told` is for whoever publishes committed events; the API stops and starts."""

    def __init__(
        self,
        pipeline: Pipeline,
        wanted: Callable[[], Mapping[str, Action]],
        client: httpx.AsyncClient,
        clock: Clock,
        redact: Callable[[str], str] = str,
        on_end: Callable[[str, str], None] = lambda _action, _result: None,
    ) -> None:
        """`wanted` tells the actions that are in force; `on_end` hears which one has ended, and how."""
        self._pipeline = pipeline
        self._wanted = wanted
        self._client = client
        self._clock = clock
        self._redact = redact
        self._on_end = on_end
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[str, asyncio.Task[None]] = {}
        """By the run's id."""
        self._stopped: set[str] = set()
        """Those of them that somebody has stopped."""

    def told(self, events: Iterable[Event]) -> None:
        """These were committed."""
        if self._wanted() and (some := [event for event in events if event.type.value.startswith("incident.")]):
            self._events += some
            self._news.set()

    async def run(self) -> None:
        """For ever. When it is cancelled, so is what runs: with all that it has started."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._events:
                    await self._take(self._events.popleft(), group)

    async def stop(self, by: str) -> int:
        """No action is taken any more, and what runs is ended. How many ran."""
        running = dict(self._under_way)
        for name, task in running.items():
            self._stopped.add(name)
            task.cancel()
        _log.warning("actions.stopped", by=by, ended=len(running))
        await decided(self._pipeline, lambda world, now: (None, actions.stop(world, by, now)))
        return len(running)

    async def start(self, by: str) -> None:
        """They are taken again."""
        _log.warning("actions.started", by=by)
        await decided(self._pipeline, lambda world, _now: (None, actions.resume(world)))

    async def _take(self, event: Event, group: asyncio.TaskGroup) -> None:
        found: list[Run] = []

        def decide(world: World, now: Moment) -> Change | None:
            runs, change = actions.begin(world, event.body, now)
            found.extend(runs)
            return change

        self._pipeline.decide(decide)
        for begun in found:
            if begun.dry:
                deed = self._deed(begun)
                self._ended(begun, Fate.DRY, f"it is on trial: {said_of(deed)}" if deed else "it was removed")
        if not (real := [begun for begun in found if not begun.dry]):
            return
        durable = await self._pipeline.writer.committed(PATIENCE)
        stopped = self._are_stopped()
        for begun in real:
            if stopped:
                self._ended(begun, Fate.FAILED, f"it has not begun, as {stopped} has stopped all actions")
                continue
            if not durable:
                self._ended(begun, Fate.FAILED, "it has not begun, as the journal cannot be written")
                continue
            task = group.create_task(self._guarded(begun, event.body), name=f"action {begun.action}")
            self._under_way[begun.id] = task
            task.add_done_callback(lambda _task, name=begun.id: self._under_way.pop(name, None))  # type: ignore[misc]

    def _are_stopped(self) -> str:
        """By whom; empty: they are not."""
        found: list[str] = []

        def look(world: World, _now: Moment) -> None:
            found.append(world.actions.stopped.by if world.actions.stopped is not None else "")

        self._pipeline.decide(look)
        return found[0]

    def _deed(self, begun: Run) -> Deed | None:
        action = self._wanted().get(begun.action)
        return action.deed if action is not None else None

    async def _guarded(self, begun: Run, body: Mapping[str, Any]) -> None:
        try:
            fate, text = await self._do(begun, body)
        except asyncio.CancelledError:
            if begun.id not in self._stopped:
                raise  # the agent ends: the next one says so
            self._stopped.discard(begun.id)
            fate, text = Fate.FAILED, "somebody has stopped all actions, and it was ended"
        except Exception as error:  # noqa: BLE001  (whatever it is, it must not take the agent down)
            fate, text = Fate.FAILED, f"it could not be done ({type(error).__name__})"
        self._ended(begun, fate, text)

    async def _do(self, begun: Run, body: Mapping[str, Any]) -> tuple[Fate, str]:
        async with self._room:
            deed = self._deed(begun)
            if deed is None:
                return Fate.FAILED, "it was removed from the configuration before it began"
            started = self._clock.now().tick
            done, text = await (self._command(deed, begun, body) if deed.run else self._call(deed, begun, body))
            took = round(self._clock.now().tick - started, 1)
            after = f" (after {seconds(took)})" if took else ""
            return Fate.DONE if done else Fate.FAILED, f"{text}{after}"

    async def _command(self, deed: Deed, begun: Run, body: Mapping[str, Any]) -> tuple[bool, str]:
        limit = deed.timeout.total_seconds()
        try:
            ended = await run(
                deed.run,
                timeout=limit,
                most=OUTPUT,
                environment=clean_environment(**facts_of(begun, body)),
            )
        except TimeoutError:
            return False, f"no end within {seconds(limit)}: it was ended, with its session"
        except Hung:
            return False, "the disk that holds the program does not answer"
        except LookFailed as failed:
            return False, f"it could not be started: {failed.detail}"
        except (CannotStart, Endless) as error:
            return False, self._shown(str(error))
        wrote = self._shown((ended.output if ended.output.strip() else ended.errors).decode("utf-8", "replace"))
        how = f"ended with {ended.code}" if ended.code >= 0 else f"was killed by signal {-ended.code}"
        return ended.code == 0, f"{program_of(deed)} {how}" + (f", saying: {wrote}" if wrote else "")

    async def _call(self, deed: Deed, begun: Run, body: Mapping[str, Any]) -> tuple[bool, str]:
        assert deed.url is not None  # noqa: S101  (one of the two is there)
        headers = {name.lower(): value.reveal() for name, value in deed.headers.items()}
        content = deed.body.encode() if deed.body is not None else None
        if content is None and deed.method in ("POST", "PUT", "PATCH"):
            content = json.dumps({"action": begun.action, "run": begun.id, "event": dict(body)}).encode()
        if content is not None:
            headers = {"content-type": "application/json"} | headers
        headers = {"idempotency-key": begun.id} | headers
        limit = deed.timeout.total_seconds()
        try:
            answer = await _http.ask(self._client, deed.method, deed.url.reveal(), content, headers, seconds=limit)
            _http.judge(answer, self._clock.now().at)
        except SendFailed as failed:
            taken = ", and it may have been taken all the same" if failed.uncertain else ""
            return False, f"{host_of(deed)}: {failed}{taken}"
        return True, f"{host_of(deed)} answered {answer.status}"

    def _shown(self, text: str) -> str:
        return plain(self._redact(text), SHOWN)

    def _ended(self, begun: Run, fate: Fate, text: str) -> None:
        text = self._redact(text)
        facts = {"action": begun.action, "incident": begun.incident, "fate": fate.value, "text": text}
        (_log.error if fate is Fate.FAILED else _log.info)("action.ended", **facts)
        self._on_end(begun.action, fate.value)
        self._pipeline.decide(lambda world, now: actions.finish(world, begun, fate, text, now))


def facts_of(begun: Run, body: Mapping[str, Any]) -> dict[str, str]:
    """What a command is told, as variables: each on one line."""
    incident, links = body["incident"], body.get("links", {})
    known: dict[str, Any] = {
        "ACTION": begun.action,
        "RUN": begun.id,
        "ON": begun.trigger.value,
        "INCIDENT": incident["id"],
        "IMPACT": incident["impact"],
        "SINCE": incident["since"],
        "ROOT": incident["root"],
        "SERVICE": body["service"]["id"],
        "SERVICES": incident["services"],
        "CHECKS": incident["checks"],
        "STATE": body["state"]["new"],
        "SENTENCE": body["sentence"],
        "PAGE": links.get("page", ""),
    }
    return {f"BROWNOUT_{name}": plain(_joined(value), LONGEST_FACT) for name, value in known.items()}


def _joined(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def said_of(deed: Deed) -> str:
    """What it does. Arguments, and all of a URL but its host, may be secret."""
    return f"it runs {program_of(deed)}" if deed.run else f"it calls {host_of(deed)} by {deed.method}"


def program_of(deed: Deed) -> str:
    return deed.run[0].rpartition("/")[2]


def host_of(deed: Deed) -> str:
    assert deed.url is not None  # noqa: S101  (one of the two is there)
    return httpx.URL(deed.url.reveal()).host
