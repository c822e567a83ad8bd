"""`python -m tests.end_to_end.crashing_agent CHECKS POINT`: the real agent, which is gone without a word at POINT.

POINT is ``operation:side:number`` as in `crashes.Point`; the exit code of such an end is 137, as of kill -9.
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
from tests.end_to_end.crashes import Fate, MortalSink, MortalStore, Point

KILLED = 137


def gone() -> NoReturn:
    os._exit(KILLED)


async def main(file: Path, point: Point) -> None:
    config = load(file, kinds=installed_kinds(), env=os.environ)
    configure_logs(config.redactor.text)
    fate = Fate(point, gone)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    agent = Agent(
        config,
        store=LastingStore(MortalStore(SqliteStore(config.agent.state_dir, vantage=config.agent.vantage.name), fate)),
        sinks={name: MortalSink(sink, fate) for name, sink in config.sinks.items()},
    )
    await agent.run(stop)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), Point.parse(sys.argv[2])))
