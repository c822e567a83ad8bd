"""Renews what-happens.md: `python -m docs.night` plays the night of an outage with a real agent, for 25 minutes.

Nothing of it is made up but the time of day: the agent's clock is set to ten past three (tests/faults/wall_clock.py),
and the shop that it looks at, the chat, the text messages and the calls are servers on this machine.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from aiohttp import web

from docs._markdown import fenced, table
from tests.commands.called import called
from tests.end_to_end.rig import Target, agent, answering, serving, until_state
from tests.faults.wall_clock import WallClock

PAGE = Path(__file__).parent / "what-happens.md"
NIGHT = datetime(2026, 3, 3, 3, 10, tzinfo=UTC)
"""What the agent's clock says when it starts."""
DIES = datetime(2026, 3, 3, 3, 12, tzinfo=UTC)
ANSWERS = timedelta(seconds=40)
"""After the call: she opens the link."""
MENDS = timedelta(minutes=3)
"""After that: the shop is there again."""
SETTLED = 40.0
"""Seconds after its end in which everybody hears of it."""
TOKEN = "night-night-night-night"  # noqa: S105  (of this run)

SINKS = """\
sinks:
  chat: {type: slack, url: "${SLACK_WEBHOOK_URL}"}
people:
  ann:
    sms: {type: webhook, url: "${SMS_GATEWAY_URL}"}
    call: {type: webhook, url: "${CALL_GATEWAY_URL}"}
"""
"""As the page shows them; the run has addresses that are here."""
CHECKS = """\
services:
  shop: {title: Web shop, outage: any of home}
checks:
  - name: home
    service: shop
    probe: http
    url: https://shop.example.com/
    every: 15s
escalations:
  page:
    - {to: chat}
    - {after: 5m, to: ann.sms}
    - {after: 15m, to: ann.call}
    - {after: 30m, to: everyone}
routes:
  - {when: impact = outage, escalate: page}
"""
"""As the page shows it; the run looks at a server that is here."""


@dataclass
class Night:
    """What was seen, each with the agent's time of day."""

    ahead: timedelta
    seen: list[tuple[datetime, str, str]] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def note(self, who: str, what: str, at: datetime | None = None) -> None:
        self.seen.append((at or self.now(), who, what))
        print(f"{self.seen[-1][0]:%H:%M:%S.%f}"[:-3], who, what, file=sys.stderr, flush=True)

    async def wait(self, at: datetime) -> None:
        await asyncio.sleep(max((at - self.now()).total_seconds(), 0))


@dataclass
class Phone:
    """A sink's other side: takes what is sent, and says what a person sees of it."""

    name: str
    night: Night
    got: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.night.note(self.name, str(body.get("sentence") or body.get("text")))
        self.got.set()
        return web.Response(text="ok")


@asynccontextmanager
async def phones(night: Night) -> AsyncIterator[dict[str, tuple[Phone, str]]]:
    """By the name of the sink: who answers there, and where."""
    everybody = {name: Phone(name, night) for name in ("chat", "ann.sms", "ann.call")}
    async with serving({f"/{name}": phone.take for name, phone in everybody.items()}) as url:
        yield {name: (phone, f"{url}/{name}") for name, phone in everybody.items()}


def written(folder: Path, shop: Target, there: dict[str, tuple[Phone, str]]) -> Path:
    """The file of the run: `CHECKS`, with addresses that are here."""
    variables = {"chat": "SLACK_WEBHOOK_URL", "ann.sms": "SMS_GATEWAY_URL", "ann.call": "CALL_GATEWAY_URL"}
    sinks = SINKS
    for name, (_, url) in there.items():
        sinks = sinks.replace(f"${{{variables[name]}}}", url)
    file = folder / "checks.yaml"
    file.write_text(
        "agent:\n  listen: 127.0.0.1:0\n  state_dir: state\n"
        f"  tokens: {{ann: {{token: {TOKEN}, scopes: [operate]}}}}\n"
        + sinks
        + CHECKS.replace("https://shop.example.com/", shop.url),
        "utf-8",
    )
    return file


async def played(folder: Path) -> tuple[Night, list[dict[str, Any]], list[dict[str, Any]]]:
    """The night, its looks, and its events."""
    clock = WallClock(folder)
    night = Night(NIGHT - datetime.now(UTC))
    clock.set(night.ahead)
    async with phones(night) as there:
        shop = Target()
        async with answering(shop):
            file = written(folder, shop, there)
            running = agent(folder, "run", file, env=clock.env)
            process = running.__enter__()
            url = await process.started()
            await until_state(url, "home", "up")
            night.note("agent", "It has seen the shop: up, and so nothing is told.")
            await night.wait(DIES)
            night.note("shop", "The shop's server dies: nothing listens on its port any more.")
        try:
            await asyncio.wait_for(there["ann.call"][0].got.wait(), 20 * 60)
            await asyncio.sleep(ANSWERS.total_seconds())
            async with httpx.AsyncClient(trust_env=False) as client:
                incident = (await client.get(f"{url}/api/v1/incidents")).json()["incidents"][0]
            night.note("ann", "Ann acknowledges: `brownout ack`.")
            words = ("ack", incident["id"], "--url", url)
            done = await asyncio.to_thread(lambda: called(*words, BROWNOUT_TOKEN=TOKEN))
            if done.returncode:
                raise RuntimeError(done.stderr)
            await asyncio.sleep(MENDS.total_seconds())
            port = int(shop.url.rpartition(":")[2].strip("/"))
            async with _again(shop, port):
                night.note("shop", "Ann has started the server again.")
                await _resolved(url, incident["id"])
                await asyncio.sleep(SETTLED)
                exported = called("export", file, "--since", "2026-03-03T03:00Z", "--until", "2026-03-03T06:00Z")
                async with httpx.AsyncClient(trust_env=False) as client:
                    events = (await client.get(f"{url}/api/v1/events?limit=100")).json()["events"]
        finally:
            running.__exit__(None, None, None)
    looks = [json.loads(line) for line in exported.stdout.splitlines()]
    return night, looks, list(reversed(events))


async def _resolved(url: str, incident: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(300):
        while (await client.get(f"{url}/api/v1/incidents/{incident}")).json()["resolved"] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.2)


@asynccontextmanager
async def _again(shop: Target, port: int) -> AsyncIterator[None]:
    import socket

    with socket.create_server(("127.0.0.1", port)) as listener:
        async with answering(shop, listener):
            yield


def _lines(night: Night, looks: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    rows = [*night.seen, *_looked(looks), *_decided(events)]
    for at, who, what in sorted(rows, key=lambda row: row[0]):
        yield [f"{at:%H:%M:%S}.{at.microsecond // 100_000}", who, what]


def _looked(looks: Sequence[dict[str, Any]]) -> Iterator[tuple[datetime, str, str]]:
    """Runs of looks with the same outcome, one line each."""
    around = [look for look in looks if DIES - timedelta(seconds=20) < _at(look["at"])]
    for (reason, every), run in groupby(around, key=lambda look: (look["reason"], look["scheduled"])):
        several = list(run)
        first, last = _at(several[0]["at"]), _at(several[-1]["at"])
        kind, how = "planned look" if every else "extra look", f"`{reason}`" if reason else "well"
        if len(several) == 1:
            yield first, "agent", f"It looks once{'' if every else ' more, between two planned looks'}: {how}."
        else:
            yield first, "agent", f"{len(several)} {kind}s until {last:%H:%M:%S}: {how}, all of them."


def _decided(events: Sequence[dict[str, Any]]) -> Iterator[tuple[datetime, str, str]]:
    """What was decided at one moment is one line."""
    for at, together in groupby(events, key=lambda event: str(event["at"])):
        yield _at(at), "agent", "It decides: " + ", ".join(map(_decision, together)) + "."


def _decision(event: dict[str, Any]) -> str:
    old, new = event["state"]["old"], event["state"]["new"]
    changed = f" from {old} to {new}" if old != new else ""
    return f"`{event['type']}`{changed}" + (f" ({event['update']['kind']})" if "update" in event else "")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


async def main() -> int:
    with TemporaryDirectory(prefix="brownout-night-") as name:
        night, looks, events = await played(Path(name))
    rows = table(["Time (UTC)", "Who", "What"], _lines(night, looks, events))
    head, mark, tail = PAGE.read_text("utf-8").partition("<!-- the night -->\n")
    _, end, rest = tail.partition("<!-- end of the night -->")
    PAGE.write_text(f"{head}{mark}\n{fenced('yaml', SINKS + CHECKS)}\n\n{rows}\n\n{end}{rest}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
