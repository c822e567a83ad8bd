"""`python -m tests.end_to_end.crashing_agent CHECKS POINT`: the real agent, which is gone without a word at POINT.

POINT is ``operation:side:number`` as in `crashes.Point`. It reloads on SIGHUP, as the real one does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import uvloop

from monitor.app import Agent
from monitor.config.load import load
from monitor.kinds import installed_kinds
from monitor.logs import configure_logs
from monitor.store.lasting import LastingStore
from monitor.store.sqlite import SqliteStore
from tests.end_to_end.crashes import Fate, MortalStore, Point

MODULE = "tests.end_to_end.crashing_agent"
KILLED = -signal.SIGKILL
"""What `Popen` calls the end."""


def gone() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody outlives that")


async def main(file: Path, point: Point) -> None:
    kinds = installed_kinds()
    config = load(file, kinds=kinds, env=os.environ)
    configure_logs(config.redactor.text)
    fate = Fate(point, gone)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    agent = Agent(
        config,
        load=lambda: load(file, kinds=kinds, env=os.environ),
        store=LastingStore(MortalStore(SqliteStore(config.agent.state_dir, vantage=config.agent.vantage.name), fate)),
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, agent.reload)
    await agent.run(stop)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), Point.parse(sys.argv[2])))
