"""`python -m tests.faults.hanging_agent CHECKS`: the real agent, on a disk that hangs from the stop on.

The threads that use it never come back, as where a network file system has lost its server.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from monitor.app import Agent
from monitor.config.load import load
from monitor.core.rows import Rows
from monitor.kinds import installed_kinds
from monitor.lifetime import live
from monitor.logs import configure_logs
from monitor.store.lasting import LastingStore
from monitor.store.sqlite import SqliteStore


class HungDisk(SqliteStore):
    """Its history takes no look that is worth anything, and its files are never let go of."""

    _lost = ThreadPoolExecutor(max_workers=2)

    async def record(self, looks: Rows[str], now: datetime) -> None:
        if looks:
            await self._hang()
        await super().record(looks, now)

    async def close(self) -> None:
        await self._hang()

    async def _hang(self) -> None:
        wait: Callable[[], object] = threading.Event().wait
        await asyncio.get_running_loop().run_in_executor(self._lost, wait)


def main(file: Path) -> int:
    config = load(file, kinds=installed_kinds(), env=os.environ)
    store = LastingStore(HungDisk(config.agent.state_dir, vantage=config.agent.vantage.name))
    return live(Agent(config, store=store), configure_logs(config.redactor.text))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
