"""What the tests of MySQL share: sessions that hold things, and waiting off the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql

from tests.servers import wait_until
from tests.servers.mariadb import MariaDb


async def until(condition: Callable[[], object], what: str) -> None:
    """Poll in a thread: a test must not hold up the loop whose looks it watches."""
    await asyncio.to_thread(wait_until, condition, what)


@contextmanager
def running(server: MariaDb, sql: str, **given: Any) -> Iterator[pymysql.Connection[Any]]:
    """A session that runs `sql`, however long that takes; it is killed at the end."""
    connection = server.connect(**given)

    def run() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
        except (pymysql.MySQLError, OSError, AttributeError, ValueError):
            return  # killed, as planned

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield connection
    finally:
        if thread.is_alive():
            server.execute(f"KILL {connection.thread_id()}")
        thread.join(10)
        connection.close()
