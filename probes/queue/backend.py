"""What a queue's back end tells: one `Backlog` a look. The probe makes its measurements of it, for all alike."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from probes._look import Look
from probes.contract import Context

if TYPE_CHECKING:
    from probes.queue.probe import Queue


@dataclass(frozen=True, slots=True)
class Backlog:
    """All queues of one check together, as they stood at one moment. None: this back end cannot know."""

    depth: int
    """Jobs that could run now: neither those of the future nor those of a paused queue."""
    lag: float | None
    """Seconds that the oldest of those has been able to run; 0 when there is none."""
    scheduled: int | None = None
    """Jobs that are to run later."""
    in_flight: int | None = None
    """Jobs that a worker has taken and not finished."""
    taken_for: float | None = None
    """Seconds since the first of those was taken."""
    failed: int | None = None
    """Jobs that have failed and will not run again by themselves, as long as the back end keeps them."""
    retry: int | None = None
    """Jobs that have failed and wait for another attempt."""
    workers: int | None = None
    """Workers that are alive and serve at least one of these queues."""
    arrived: float | None = None
    """A counter of jobs that ever arrived, where the back end keeps one."""
    completed: float | None = None
    """A counter of jobs that ever ended, well or not, where the back end keeps one."""
    paused: tuple[str, ...] = ()
    """The queues that somebody has paused, as a text fit to be shown."""
    held: int | None = None
    """Jobs that wait in paused queues; they are not part of `depth` and `lag`."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """Which queue is worst, which kind of job is oldest: for people, already made visible and cut."""


class Backend(ABC):
    """One kind of queue. Its docstring is its chapter of the manual: keys, what each figure is made of, limits.

    A module of this package holds one or more of them; the probe finds them by `name`.
    """

    name: ClassVar[str]
    """The word after ``backend:``."""
    needs: ClassVar[frozenset[str]]
    """The keys of the probe that must be written."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """The keys that may be; any other one is a fault of the config."""
    extra: ClassVar[str | None] = None
    """The optional dependency group: ``pip install brownout[extra]``."""

    @abstractmethod
    def __init__(self, queue: Queue) -> None:
        """Check the keys; raises `BadField`. Connects to nothing."""

    @property
    @abstractmethod
    def target(self) -> str:
        """What is looked at, for people: host, database, queues; without any secret."""

    @property
    @abstractmethod
    def host(self) -> str | None:
        """Who bears the load of a look."""

    @property
    def secrets(self) -> Iterable[str]:
        """What must not come back in evidence, besides the keys that are secret as a whole."""
        return ()

    @abstractmethod
    async def read(self, look: Look, context: Context) -> Backlog:
        """What stands in the queues now. Raises `LookFailed`. It changes nothing there."""

    def close(self) -> None:  # noqa: B027  (some keep nothing open)
        """Let go of what is kept between looks."""


@cache
def backends() -> Mapping[str, type[Backend]]:
    """All back ends by name: every module of this package is looked at, so a new one is one file."""
    found: dict[str, type[Backend]] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name != "probe":  # it asks for them while it is made itself
            for _, value in inspect.getmembers(
                importlib.import_module(f"{__package__}.{module.name}"), inspect.isclass
            ):
                if issubclass(value, Backend) and not inspect.isabstract(value) and hasattr(value, "name"):
                    found[value.name] = value
    return MappingProxyType(dict(sorted(found.items())))
