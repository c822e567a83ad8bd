"""A service of three tiers in processes of their own: a front that asks an application that asks a database.

    python -m tests.end_to_end.tiers PORT app DSN
    python -m tests.end_to_end.tiers PORT front URL

Each answers 200 while what is behind it answers, and 503 otherwise, as badly made services do.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import asyncpg
from aiohttp import web

from tests.servers import daemon, free_port, listens

PATIENCE = 2.0
"""Seconds that a tier waits for the one behind it."""


async def ask_database(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=PATIENCE)
    try:
        await connection.fetchval("SELECT 1", timeout=PATIENCE)
    finally:
        await connection.close(timeout=PATIENCE)


async def ask_application(url: str) -> None:
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
        answer.raise_for_status()


_ROLES: dict[str, Callable[[str], Awaitable[None]]] = {"app": ask_database, "front": ask_application}


@contextmanager
def tier(role: str, behind: str, folder: Path) -> Iterator[str]:
    """A tier that runs; its address."""
    port = free_port()
    command = [sys.executable, "-m", __name__, str(port), role, behind]
    root = str(Path(__file__).parents[2])
    with daemon(command, folder, lambda: listens(port), env={"PYTHONPATH": root}):
        yield f"http://127.0.0.1:{port}/"


def main(port: str, role: str, behind: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        try:
            await _ROLES[role](behind)
        except (OSError, TimeoutError, aiohttp.ClientError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return web.Response(status=503, text="sorry")
        return web.Response(text="Add to cart")

    app = web.Application()
    app.router.add_get("/", answer)
    web.run_app(app, host="127.0.0.1", port=int(port), print=None, access_log=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
