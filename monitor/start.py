"""What starting and stopping are made of: what can be wrong before anything runs, and the life of a part."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn

import structlog

from monitor.config.model import Listen
from monitor.web import bind

_log = structlog.get_logger("brownout")


class StartError(Exception):
    """The agent cannot start; the text says what to do. Nothing was started."""

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(f"{problem}; {advice}" if advice else problem)
        self.problem = problem


def raise_descriptor_limit() -> None:
    """Looks, page and sends all hold descriptors; the usual soft limit, 1024, is there for programs with select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # where it may not be raised, the limit stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def listening_sockets(listen: Listen, key: str = "agent.listen") -> list[socket.socket]:
    """`key` is what was written. Raises `StartError`."""
    where = f"{listen.host}:{listen.port}"
    try:
        return bind(listen.host, listen.port)
    except UnicodeError:  # of the codec that writes names of hosts, `idna`
        raise StartError(f"cannot listen on {where}: that is no name of a host; write another {key}") from None
    except OSError as error:
        raise StartError(
            f"cannot listen on {where}: {error.strerror or error}",
            f"is another agent running? else write another {key}",
        ) from None


class Stop:
    """An orderly end: the seconds that it may take in all, shared out among its steps."""

    def __init__(self, seconds: float) -> None:
        self._until = asyncio.get_running_loop().time() + seconds
        self.cut_short = False
        """Whether a step was given up: what it waited for may go on in its thread."""

    async def give(self, limit: float, step: str, work: Awaitable[object]) -> None:
        """Wait for a step, for up to `limit` seconds and no longer than is left."""
        left = self._until - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(min(limit, left), 0.0)):
                await work
        except TimeoutError:
            self.cut_short = True
            _log.warning("stop_cut_short", step=step, effect="it is given up, as by a kill; what is durable stays")


async def for_ever(name: str, part: Coroutine[Any, Any, None]) -> NoReturn:
    """A part that comes to an end by itself has died, too: half an agent is worse than none."""
    await part
    raise RuntimeError(f"the {name} has ended by itself")


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait((task,))
