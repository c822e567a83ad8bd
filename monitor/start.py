"""What starting and stopping are made of: what can be wrong before anything runs, and the life of a part."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NoReturn

from monitor.config.model import Listen
from monitor.web import bind


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


async def for_ever(name: str, part: Coroutine[Any, Any, None]) -> NoReturn:
    """A part that comes to an end by itself has died, too: half an agent is worse than none."""
    await part
    raise RuntimeError(f"the {name} has ended by itself")


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait((task,))
