"""Reading the configuration again while the agent runs: one at a time, beside the looks, and all or nothing.

A file with faults changes nothing. The file is read in a thread: it takes seconds of CPU where there are 10,000
checks, and the loop must have its turn every millisecond or so meanwhile (docs/design.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import structlog

from monitor import heap
from monitor.clock import Clock
from monitor.collector import collector_paused
from monitor.config.diff import Diff, compare, in_force
from monitor.config.hints import hints
from monitor.config.model import Config, ConfigError, Fault
from monitor.core.portions import Portion, portions
from monitor.core.wording import iso
from monitor.systemd import Notifier

FAULTS_LOGGED = 100
"""Faults that get a log line each."""
LET_GO_AT_ONCE = 500
"""Checks of the configuration before that are freed in one turn of the loop."""

T = TypeVar("T")

_log = structlog.get_logger("brownout.reload")


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a reload. `diff` is None where the configuration was refused because of its `faults`."""

    number: int
    """Counts the reloads of this agent, from 1."""
    at: datetime
    diff: Diff | None
    faults: tuple[Fault, ...] = ()
    seconds: float = 0.0
    """From the beginning to its end."""
    more_faults: int = 0
    """How many there are beyond `faults`."""

    @property
    def accepted(self) -> bool:
        return self.diff is not None

    @property
    def sentence(self) -> str:
        if self.diff is not None:
            return self.diff.sentence
        count = len(self.faults) + self.more_faults
        faults = "1 fault" if count == 1 else f"{count} faults"
        return f"refused for {faults}; the configuration before stays in force"

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "at": iso(self.at),
            "accepted": self.accepted,
            "sentence": self.sentence,
            "diff": self.diff.as_json() if self.diff else None,
            "faults": [fault.as_json() for fault in self.faults],
            "more_faults": self.more_faults,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was read and is to be put into force."""

    config: Config
    diff: Diff
    learnt: bool
    """Whether there is a secret that was not known before."""
    portions: deque[Portion]
    """Of the checks and services that are different: to be taken out one by one, so that they are freed so, too."""


class Ended(Exception):
    """The agent stops: nothing is read any more."""


class Reloader:
    """Keeps the configuration in force. `run` it; `ask` as often as you like."""

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        adopt: Callable[[Accepted], Awaitable[None]],
        tell: Callable[[Reloaded], None],
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        """`load` reads the file again, and raises `ConfigError`; `adopt` puts another configuration into force;
        `tell` is told each outcome."""
        self.config = config
        self.outcome: Reloaded | None = None
        """Of the last reload; None before the first."""
        self.loaded = clock.now().at
        """When what is in force was read."""
        self._load = load
        self._adopt = adopt
        self._tell = tell
        self._notifier = notifier
        self._clock = clock
        self._number = 0
        self._news = asyncio.Event()
        self._asked: asyncio.Future[Reloaded] | None = None
        self._ended = False

    @property
    def refused(self) -> Reloaded | None:
        """The last reload, where it was refused: the file is not what is in force."""
        return self.outcome if self.outcome is not None and not self.outcome.accepted else None

    def ask(self) -> asyncio.Future[Reloaded]:
        """Have the file read. Whoever asks while it is being read is answered by the next reading, which all of them
        share: it may have been changed in between. Raises `Ended`, as the future does."""
        if self._ended:
            raise Ended
        if self._asked is None:
            self._asked = asyncio.get_running_loop().create_future()
            self._news.set()
        return self._asked

    async def wait(self) -> dict[str, Any] | None:
        """As `ask`, for the API: what became of it, None when the agent stops before."""
        try:
            outcome = await asyncio.shield(self.ask())
        except Ended:
            return None
        return outcome.as_json()

    def as_json(self) -> dict[str, Any]:
        """What is in force, and the last reload."""
        return {
            "file": str(self.config.path.absolute()),
            "loaded": iso(self.loaded),
            "checks": len(self.config.checks),
            "disabled": self.config.disabled,
            "reload": self.outcome.as_json() if self.outcome else None,
        }

    async def run(self) -> None:
        """Reload when asked, until cancelled."""
        asked: asyncio.Future[Reloaded] | None = None
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                asked, self._asked = self._asked, None
                outcome = await self._reload()
                if asked is not None and not asked.done():
                    asked.set_result(outcome)
        finally:
            self._ended = True
            for waiting in (asked, self._asked):
                if waiting is not None and not waiting.done():
                    waiting.set_exception(Ended())
                    waiting.exception()  # nobody may be waiting for it

    async def _reload(self) -> Reloaded:
        began = self._clock.now()
        self._notifier.reloading(self._clock)
        self._number += 1
        try:
            diff = await self._take_over()
        except ConfigError as error:
            took = self._clock.now().tick - began.tick
            outcome = Reloaded(self._number, began.at, None, error.faults, took, error.more)
            _report_refusal(outcome)
        else:
            outcome = Reloaded(self._number, began.at, diff, (), self._clock.now().tick - began.tick)
            self.loaded = began.at
            checks, took = len(self.config.checks), round(outcome.seconds, 3)
            _log.info("reloaded", changes=diff.sentence, checks=checks, seconds=took)
            tell_hints(self.config)
        self.outcome = outcome
        self._tell(outcome)
        watching = f"watching {len(self.config.checks)} checks"
        self._notifier.ready(watching if outcome.accepted else f"{watching}; the changed file was {outcome.sentence}")
        return outcome

    async def _take_over(self) -> Diff:
        """Raises `ConfigError`."""
        with collector_paused():
            found = await _beside(partial(_compared, self._load, self.config))
            if isinstance(found, _Refused):
                raise ConfigError(found.faults, found.more)
            replaced, self.config = list(self.config.checks.values()), found.config
            await self._adopt(found)
            while replaced:  # all at once, 10,000 of them would hold the loop for 20 ms
                del replaced[-LET_GO_AT_ONCE:]
                await asyncio.sleep(0)
            gc.freeze()  # what is there now stays, as what was there at the start
            await _beside(heap.trim)
        return found.diff


@dataclass(frozen=True, slots=True)
class _Refused:
    """Not the error itself: its traceback would keep all that was read, plain secrets included."""

    faults: tuple[Fault, ...]
    more: int = 0


def _compared(load: Callable[[], Config], before: Config) -> Accepted | _Refused:
    """A file must not take the agent down: probes and sinks are foreign code, and so is their `==`."""
    try:
        after = load()
        kept = in_force(before, after)
        diff = compare(before, replace(kept, agent=after.agent))
        return Accepted(kept, diff, before.redactor.learn(after.redactor), deque(portions(before, kept)))
    except ConfigError as error:
        # What the agent knows to be a secret, the new file may have in a place where it is none.
        clean = before.redactor.for_faults().text
        return _Refused(tuple(fault.cleaned(clean) for fault in error.faults), error.more)
    except Exception as error:  # noqa: BLE001  (of foreign code; it is on the log)
        _log.exception("config_bug")
        said = f"reading it failed ({type(error).__name__}): see the agent's log"
        return _Refused((Fault(str(before.path), 0, 0, "", said),))


def tell_hints(config: Config) -> None:
    """On the log: what `brownout validate` would say of it."""
    for hint in hints(config):
        _log.warning("config_hint", hint=hint)


def _report_refusal(outcome: Reloaded) -> None:
    for fault in outcome.faults[:FAULTS_LOGGED]:
        _log.error("config_fault", fault=str(fault))
    _log.error(
        "reload_refused",
        faults=len(outcome.faults) + outcome.more_faults,
        effect="the configuration before stays in force",
        seconds=round(outcome.seconds, 3),
    )


async def _beside(work: Callable[[], T]) -> T:
    """Run `work` in a thread that nobody waits for when the agent stops."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(set_it: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the agent has stopped
            loop.call_soon_threadsafe(lambda: None if done.done() else set_it())

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  (handed to whoever waits)
            failure = error
            finish(lambda: done.set_exception(failure))
        else:
            finish(lambda: done.set_result(result))

    threading.Thread(target=run, name="reload", daemon=True).start()
    return await done
