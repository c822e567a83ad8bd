"""What end-to-end tests stand on: a real agent in a process of its own, and a receiver that trusts no webhook."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from standardwebhooks.webhooks import Webhook as Reference

ROOT = Path(__file__).parents[2]
BROWNOUT = Path(sys.executable).parent / "brownout"
POWERLESS = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
    if os.geteuid() == 0
    else ()
)
"""Put before a command: root without its right to read and write everything; anyone else has none."""
SECRET = "whsec_" + base64.b64encode(b"the key of end-to-end tests").decode()
PATIENCE = 30.0
"""Seconds until a test gives up waiting: far more than needed, the machine may be busy with other things."""


async def until(holds: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until something holds."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience
    while not holds():
        assert loop.time() < give_up, f"waited {patience:g} s in vain for {what}"
        await asyncio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One verified request."""

    id: str
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded

    @property
    def stream(self) -> str:
        event = self.event
        if event["type"].startswith("incident."):
            return str(event["incident"]["id"])
        subject = event["type"].partition(".")[0]
        return f"{subject}:{event[subject]['id']}"


@dataclass
class Receiver:
    """Verifies every webhook with the reference library, keeps them in order of arrival."""

    webhooks: list[Webhook] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is clear, requests are taken in but get no answer."""
    refuses: int | None = None
    """A status to answer with instead of taking anything."""
    refused: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self.answering.set()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.refuses is not None:
            self.refused += 1
            return web.Response(status=self.refuses)
        try:
            verified = Reference(SECRET).verify(body, dict(request.headers))
            assert verified["id"] == request.headers["webhook-id"]
        except Exception as error:  # noqa: BLE001  (whatever it is, the webhook is not to be trusted)
            self.forged.append(repr(error))
            return web.Response(status=401)
        self.webhooks.append(Webhook(verified["id"], body))
        await self.answering.wait()
        return web.Response(status=204)

    @property
    def told(self) -> list[Webhook]:
        """Each event once, in the order of its first arrival; a repetition must be the same, byte for byte."""
        first: dict[str, Webhook] = {}
        for webhook in self.webhooks:
            known = first.setdefault(webhook.id, webhook)
            assert known.body == webhook.body, f"{webhook.id} came again with another body"
        return list(first.values())

    @property
    def repeated(self) -> list[str]:
        """The ids that came more than once."""
        ids = [webhook.id for webhook in self.webhooks]
        return sorted({name for name in ids if ids.count(name) > 1})

    def incidents(self) -> list[tuple[str, str]]:
        """(what happened, impact) of each incident's event."""
        events = [webhook.event for webhook in self.told]
        return [
            (event["type"].removeprefix("incident."), event["incident"]["impact"])
            for event in events
            if event["type"].startswith("incident.")
        ]

    @property
    def open_incidents(self) -> int:
        """How many incidents the receiver knows to be open."""
        told = [kind for kind, _ in self.incidents()]
        return told.count("opened") - told.count("resolved")

    def checks(self, name: str) -> list[tuple[str, str, str | None]]:
        """(old state, new state, reason) of each change of a check."""
        events = [webhook.event for webhook in self.told]
        return [
            (event["state"]["old"], event["state"]["new"], event["reason"])
            for event in events
            if event["type"] == "check.changed" and event["check"]["id"] == name
        ]


@asynccontextmanager
async def listening(receiver: Receiver, at: socket.socket | None = None) -> AsyncIterator[Receiver]:
    async with serving({"/hook": receiver.take}, at) as url:
        receiver.url = f"{url}/hook"
        yield receiver
        receiver.answering.set()


@dataclass
class Target:
    """A web page whose answer the test sets."""

    status: int = 200
    delay: float = 0.0
    """Seconds until it answers."""
    requests: int = 0
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        await asyncio.sleep(self.delay)
        return web.Response(status=self.status, text="hello")


@asynccontextmanager
async def answering(target: Target, at: socket.socket | None = None) -> AsyncIterator[Target]:
    async with serving({"/": target.answer}, at) as url:
        target.url = f"{url}/"
        yield target


@asynccontextmanager
async def serving(
    routes: Mapping[str, Callable[[web.Request], Any]], at: socket.socket | None = None
) -> AsyncIterator[str]:
    """`at` is a socket that listens already; else one of the loopback's is made."""
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0) if at is None else web.SockSite(runner, at)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@dataclass
class Agent:
    """A running agent. Its output goes to a file: a full pipe must not stop it."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def log(self) -> str:
        return self.output.read_text("utf-8", "replace")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one kind."""
        found = []
        for line in self.log.splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                record = json.loads(line)
                if isinstance(record, dict) and record.get("event") == event:
                    found.append(record)
        return found

    async def started(self) -> str:
        """The address of its page, once it watches."""
        await until(lambda: bool(self.lines("started")) or self.process.poll() is not None, "the agent to start")
        assert self.process.poll() is None, f"the agent ended: {self.log}"
        return str(self.lines("started")[0]["page"]).rstrip("/")

    async def ended(self, patience: float = PATIENCE) -> int:
        await until(lambda: self.process.poll() is not None, "the agent to end", patience)
        assert self.process.returncode is not None
        return int(self.process.returncode)

    async def stop(self) -> int:
        """As systemd would."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        self.process.kill()
        await self.ended()


@contextmanager
def agent(
    folder: Path,
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    module: str | None = None,
    before: tuple[str, ...] = (),
) -> Iterator[Agent]:
    """`brownout ARGUMENTS` (or a module of the tests), killed at the end if it is still there.

    `before` is put in front of the command.
    """
    command = [*before, *([BROWNOUT] if module is None else [sys.executable, "-m", module])]
    output = folder / f"agent-{len(list(folder.glob('agent-*.log')))}.log"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [*map(str, command), *map(str, arguments)],
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment(env),
        )
    try:
        yield Agent(process, output)
    finally:
        process.kill()
        process.wait()


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """A plain environment: nothing of the developer's own may change what is tested."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {"HOME": "/nonexistent", "HOOK_SECRET": SECRET, **kept, **(more or {})}


async def status(url: str) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
        answer = await client.get(f"{url}/api/v1/status?limit=10000")
    answer.raise_for_status()
    document: dict[str, Any] = answer.json()
    return document


async def check_status(url: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(check for check in (await status(url))["checks"] if check["id"] == name)
    return found


async def look_times(url: str, name: str, looks: int) -> None:
    """Wait until a check was looked at so many times more."""
    seen: set[str] = set()
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE
    while len(seen) <= looks:
        assert loop.time() < give_up, f"{name} is not looked at any more"
        last = (await check_status(url, name))["last"]
        if last is not None:
            seen.add(last["at"])
        await asyncio.sleep(0.05)


async def until_state(url: str, name: str, state: str) -> None:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE
    while (found := (await check_status(url, name))["state"]) != state:
        assert loop.time() < give_up, f"{name} is {found} and not {state}"
        await asyncio.sleep(0.05)


def free_address() -> tuple[str, int]:
    """An address of the loopback network that no other test uses, and a port that is free there."""
    number = os.getpid()
    host = f"127.{100 + number // 65536 % 100}.{number // 256 % 256}.{number % 254 + 1}"
    with socket.socket() as probe:
        probe.bind((host, 0))
        return host, int(probe.getsockname()[1])
