"""An agent in this process, for what is measured from within."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from monitor.app import Agent
from monitor.config.load import load
from monitor.kinds import installed_kinds
from monitor.logs import configure_logs


@asynccontextmanager
async def started(file: Path) -> AsyncIterator[Agent]:
    """The agent of a checks.yaml, once it has started; it is stopped behind that."""
    config = load(file, kinds=installed_kinds(), env=os.environ)
    configure_logs(config.redactor.text)
    stop = asyncio.Event()
    with Path(os.devnull).open("w") as terminal:  # noqa: ASYNC230  (before anything runs)
        agent = Agent(config, terminal=terminal)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(agent.run(stop))
            await agent.started.wait()
            yield agent
            stop.set()
            await running
