"""The process that an agent lives in: its loop, its signals, its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import structlog
import uvloop

from monitor import heap
from monitor.app import Agent
from monitor.config.model import Config
from monitor.logs import configure_logs
from monitor.signals import early_hangup
from monitor.start import raise_descriptor_limit
from monitor.store.contract import Fenced

_log = structlog.get_logger("brownout")


def run_agent(config: Config, load: Callable[[], Config]) -> int:
    """Run until SIGTERM or SIGINT; the exit code. `load` reads the configuration again. Raises `StartError`."""
    flush_logs = configure_logs(config.redactor.text)
    raise_descriptor_limit()
    heap.keep_small()
    return live(Agent(config, load=load), flush_logs)


def live(agent: Agent, flush_logs: Callable[[], None]) -> int:
    """Run the agent; the exit code. Where something hung in the end the process is left at once: Python would wait
    for the thread, and systemd would have to kill both."""
    code = uvloop.run(run_until_signal(agent))
    if agent.cut_short:
        flush_logs()
        os._exit(code)
    return code


async def run_until_signal(agent: Agent) -> int:
    """The exit code: 0 after a signal, 1 when the agent had to give up. Raises `StartError`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    earlier = early_hangup()
    loop.add_signal_handler(signal.SIGHUP, agent.reload)
    if earlier.came:
        agent.reload()
    try:
        await agent.run(stop)
    except ExceptionGroup as group:
        if group.subgroup(Fenced) is not None:
            _log.error("fenced", error="another agent has taken over this journal; this one stops")
        else:
            _log.exception("agent_died")
        return 1
    return 0
