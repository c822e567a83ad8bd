"""Tells a story with the shop: five troubles, each small at first, and what Brownout says about them and when.

    .venv/bin/python -m examples.saas.drive [--transcript FILE]

It starts PostgreSQL and Redis (from the wheels of the dev environment), the shop, two workers, customers and the
agent; then it breaks one thing after the other. Exit code 0: every trouble was told as a degradation before it was
told as an outage, and ended with the word that all is well.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import psycopg

from monitor.demo.receiver import Received, Receiver
from tests.servers import daemon, end, free_port, listens
from tests.servers.postgres import Postgres, postgres
from tests.servers.redis import redis_server

HERE = Path(__file__).parent
CUSTOMERS = 20.0
"""Requests a second."""
PATIENCE = 60.0
"""Seconds within which the agent must have told what an act is about."""

SCHEMA = """
CREATE TABLE products (id serial PRIMARY KEY, name text NOT NULL);
INSERT INTO products (name) SELECT 'product ' || n FROM generate_series(1, 20) n;
CREATE TABLE orders (id bigserial PRIMARY KEY, placed timestamptz NOT NULL DEFAULT now());
"""
ON_SALE = """
CREATE OR REPLACE FUNCTION products_on_sale() RETURNS SETOF products LANGUAGE sql VOLATILE AS
$$ SELECT products.* FROM products, pg_sleep({seconds}) $$
"""


@dataclass
class Story:
    """What was done and what was told, with the time of both."""

    began: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    """(subject, new state) of every event since the act began."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    faults: list[str] = field(default_factory=list)

    def write(self, sign: str, text: str) -> None:
        passed = int(time.monotonic() - self.began)
        line = f"{passed // 60:2}:{passed % 60:02}  {sign} {text}"
        self.lines.append(line)
        print(line, flush=True)

    def act(self, title: str) -> None:
        self.told.clear()
        self.lines.append("")
        print(flush=True)
        self.write("#", title)

    def receive(self, received: Received) -> None:
        if not received.verified or received.repeated:
            self.faults.append("a webhook was not genuine, or came twice")
            return
        event = received.event
        subject = event["service"]["id"] if event["type"] == "service.changed" else event["check"]["id"]
        self.told.append((subject, event["state"]["new"]))
        self.write("->" if event["type"] == "service.changed" else "  ", event["sentence"])
        self.news.set()

    async def until(self, subject: str, state: str) -> None:
        """Wait until that was told in this act."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while (subject, state) not in self.told:
                    self.news.clear()
                    await self.news.wait()
                return
        self.faults.append(f"it was not told that {subject} is {state}")
        self.write("!", self.faults[-1])


@dataclass
class Stage:
    """Everything that runs, and how to break it."""

    folder: Path
    env: Mapping[str, str]
    database: Postgres
    workers: list[subprocess.Popen[bytes]]
    shop: str
    databases: ExitStack

    def products_take(self, seconds: float) -> None:
        self.database.execute(ON_SALE.format(seconds=seconds), "shop")

    async def errors(self, share: float) -> None:
        async with aiohttp.ClientSession() as session, session.get(f"{self.shop}/_errors?share={share}"):
            pass

    def stop_workers(self) -> None:
        while self.workers:
            end(self.workers.pop())

    def start_workers(self, number: int = 2) -> None:
        # SimpleWorker does not fork for each job: a backlog is worked off on a slow machine, too.
        worker = ["worker", "--worker-class", "rq.SimpleWorker", "--url", self.env["REDIS_URL"], "--quiet", "mail"]
        command = [sys.executable, "-m", "rq.cli", *worker]
        for _ in range(number):
            self.workers.append(subprocess.Popen(command, env=self.env))  # noqa: S603  (our own command)

    def start_database(self) -> None:
        """New, or again after a crash, at the same place."""
        data, port = self.folder / "data", int(self.env["POSTGRES_PORT"])
        known = data if data.exists() else None
        self.database = self.databases.enter_context(postgres(self.folder, data=known, port=port))

    @contextmanager
    def leaked_connections(self, number: int) -> Iterator[None]:
        with ExitStack() as leak:
            for _ in range(number):
                leak.enter_context(self.database.connect("shop"))
            yield

    @contextmanager
    def locked_orders(self) -> Iterator[None]:
        """A migration that has the table for itself, and does not come to its end."""
        with psycopg.connect(self.database.dsn("shop")) as connection:
            connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            yield
            connection.rollback()


async def slow_query(stage: Stage, story: Story) -> None:
    story.act("A release makes the query of the home page slow: 0.4 s, then it gets worse")
    stage.products_take(0.4)
    await story.until("shop", "degradation")
    story.write("#", "It takes 3 s now")
    stage.products_take(3)
    await story.until("shop", "outage")
    story.write("#", "The release is rolled back")
    stage.products_take(0)
    await story.until("shop", "operational")


async def lock_pile_up(stage: Stage, story: Story) -> None:
    story.act("A job locks the orders for most of a second, again and again")
    locking = asyncio.create_task(_lock_again_and_again(stage))
    await story.until("shop", "degradation")
    locking.cancel()
    await asyncio.wait((locking,))
    story.write("#", "A migration locks them and stays")
    with stage.locked_orders():
        await story.until("shop", "outage")
        story.write("#", "Somebody ends the migration")
    await story.until("shop", "operational")


async def _lock_again_and_again(stage: Stage) -> None:
    while True:
        with stage.locked_orders():
            await asyncio.sleep(0.7)
        await asyncio.sleep(0.2)


async def stopped_workers(stage: Stage, story: Story) -> None:
    story.act("The workers are stopped and not started again")
    stage.stop_workers()
    await story.until("mail", "degradation")
    await story.until("mail", "outage")
    story.write("#", "Somebody starts them")
    stage.start_workers()
    await story.until("mail", "operational")


async def error_burst(stage: Stage, story: Story) -> None:
    story.act("The payment provider fails for one checkout in four")
    await stage.errors(0.25)
    await story.until("shop", "degradation")
    story.write("#", "It fails for all of them")
    await stage.errors(1.0)
    await story.until("shop", "outage")
    story.write("#", "It works again")
    await stage.errors(0.0)
    await story.until("shop", "operational")


async def dead_database(stage: Stage, story: Story) -> None:
    story.act("A script leaks its connections to the database")
    with stage.leaked_connections(24):
        await story.until("database", "degraded")
        await story.until("shop", "degradation")
        story.write("#", "The database is killed")
        end(stage.database.process, signal.SIGKILL)
        await story.until("shop", "outage")
    story.write("#", "It is started again")
    await asyncio.to_thread(stage.start_database)
    await story.until("shop", "operational")


ACTS: tuple[tuple[str, Callable[[Stage, Story], Any]], ...] = (
    ("shop", slow_query),
    ("shop", lock_pile_up),
    ("mail", stopped_workers),
    ("shop", error_burst),
    ("shop", dead_database),
)


async def tell(stage: Stage, story: Story) -> None:
    """All acts; what was told is held against what must be: degraded first, then out, then well."""
    story.write("#", "The shop is open, customers come, the agent watches")
    await asyncio.sleep(8)
    for service, act in ACTS:
        await act(stage, story)
        states = [state for subject, state in story.told if subject == service]
        if states[:1] != ["degradation"] or "outage" not in states or states[-1:] != ["operational"]:
            story.faults.append(f"{act.__name__}: {service} went through {states}")
        await asyncio.sleep(3)
    story.act("The end: " + ("; ".join(story.faults) or "every degradation was told before its outage"))


async def customers(shop: str) -> None:
    """They come at a steady pace, wait two seconds at most, and every fourth buys something."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(2)) as session, asyncio.TaskGroup() as group:
        number = 0
        while True:
            number += 1
            group.create_task(_visit(session, shop, buys=number % 4 == 0))
            await asyncio.sleep(1 / CUSTOMERS)


async def _visit(session: aiohttp.ClientSession, shop: str, *, buys: bool) -> None:
    with suppress(aiohttp.ClientError, TimeoutError):
        async with session.post(f"{shop}/checkout") if buys else session.get(f"{shop}/") as response:
            await response.read()


@asynccontextmanager
async def stage(story: Story) -> AsyncIterator[Stage]:
    """Servers, shop, workers, customers and agent; nothing is left behind."""
    key = secrets.token_bytes(32)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="brownout-saas-")))
        receiver = Receiver(key, story.receive)
        await receiver.open()
        stack.push_async_callback(receiver.close)
        cache = stack.enter_context(redis_server(folder))
        port, agent, database = free_port(), free_port(), free_port()
        env = {
            **os.environ,
            "PYTHONPATH": str(HERE.parent.parent),
            "SHOP_PORT": str(port),
            "SHOP_URL": f"http://127.0.0.1:{port}",
            "AGENT_PORT": str(agent),
            "STATE_DIR": str(folder / "state"),
            "POSTGRES_PORT": str(database),
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{database}/shop",
            "REDIS_URL": cache.url(),
            "HOOK_URL": f"http://127.0.0.1:{receiver.port}/hook",
            "HOOK_SECRET": "whsec_" + base64.b64encode(key).decode(),
        }
        databases = stack.enter_context(ExitStack())
        made = Stage(folder, env, None, [], env["SHOP_URL"], databases)  # type: ignore[arg-type]  # started next
        made.start_database()
        made.database.execute("CREATE DATABASE shop")
        made.database.execute(SCHEMA, "shop")
        made.products_take(0)
        shop = [sys.executable, "-m", "examples.saas.app"]
        stack.enter_context(daemon(shop, folder, lambda: listens(port), env=env))
        stack.callback(made.stop_workers)
        made.start_workers()
        visitors = asyncio.create_task(customers(made.shop))
        stack.push_async_callback(_ended, visitors)
        command = [sys.executable, "-m", "monitor.cli", "run", str(HERE / "checks.yaml")]
        stack.enter_context(daemon(command, folder, lambda: listens(agent), env=env))
        yield made


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


async def perform() -> Story:
    story = Story()
    async with stage(story) as made:
        story.began = time.monotonic()
        await tell(made, story)
    return story


def main() -> int:
    parser = argparse.ArgumentParser(description="Five troubles of a small shop, and what Brownout says about them.")
    parser.add_argument("--transcript", type=Path, help="a file to write the story to")
    arguments = parser.parse_args()
    story = asyncio.run(perform())
    if arguments.transcript is not None:
        arguments.transcript.write_text("\n".join(story.lines) + "\n", encoding="utf-8")
    return 1 if story.faults else 0


if __name__ == "__main__":
    sys.exit(main())
