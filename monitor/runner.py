"""Takes one look: hands the probe its context, holds it to its time, and turns whatever happens into a `Look`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EMFILE, ENFILE
from itertools import islice
from typing import Any, TypeVar

import structlog

from monitor.clock import Clock
from monitor.core.model import Check, Look, Moment
from probes._resolve import SystemResolver, TurnedResolver
from probes._tls import SharedTls
from probes.contract import (
    DETAIL_LIMIT,
    Context,
    Observation,
    Passive,
    Presence,
    Reason,
    Resolver,
    TlsContexts,
)

GRACE = 0.5
"""Seconds beyond its limit after which a probe that did not end by itself is stopped."""

TRUSTED_LATENESS = 0.25
"""Seconds: a look that ended so much after its limit was ended by us, late; what it measured is our own pause."""

FIGURES_LIMIT = 256
"""Measurements, phases and facts of evidence taken from one look; a probe of a third party may offer more."""

T = TypeVar("T")

_log = structlog.get_logger("brownout.runner")


@dataclass(frozen=True, slots=True)
class Order:
    """One look to take: when it was due (monotonic seconds), within which limit (s), and why. `turn` numbers extra
    looks: each takes the next of the target's addresses first, so that one dead address is not taken for all."""

    check: Check
    due: float
    timeout: float
    scheduled: bool
    turn: int = 0


@contextmanager
def new_runner(
    clock: Clock, redact: Callable[[str], str], presence: Callable[[], Presence | None] | None = None
) -> Iterator[Runner]:
    """A runner with the real resolver and the real CA store."""
    resolver = SystemResolver()
    try:
        yield Runner(clock, resolver, SharedTls(), redact, presence)
    finally:
        resolver.close()


class Runner:
    """Runs probes. A bug in a probe is an observation (`probe_bug`), never a crash of the agent."""

    def __init__(
        self,
        clock: Clock,
        resolver: Resolver,
        tls: TlsContexts,
        redact: Callable[[str], str] = lambda text: text,
        presence: Callable[[], Presence | None] | None = None,
    ) -> None:
        """`redact` takes secrets out of a text: a target may send back what it was sent. `presence` is for passive
        probes; None: nothing arrives here. What it gives is None while nothing can."""
        self._clock = clock
        self.resolver = resolver
        self._tls = tls
        self._redact = redact
        self._presence = presence
        self._bugs: dict[str, str] = {}
        """By check: the kind of error that was reported last."""

    async def look(self, order: Order, memory: MutableMapping[str, float | str]) -> Look:
        began = self._clock.now()
        observation = await self._take(order, memory)
        ended = self._clock.now()
        return Look(
            check=order.check.id,
            observation=self._admitted(_trusted(observation, began, ended, order.timeout)),
            began=began,
            ended=ended,
            limit=order.timeout,
            scheduled=order.scheduled,
            lateness=max(began.tick - order.due, 0.0),
        )

    async def _take(self, order: Order, memory: MutableMapping[str, float | str]) -> Observation:
        heard = None
        if self._presence is not None and isinstance(order.check.probe, Passive):
            heard = self._presence()
            if heard is None:
                # The probe is not asked: what it had thought of last is where the absence begins.
                return Observation(reason=Reason.OWN_NETWORK, detail="what is sent to the agent cannot arrive")
        resolver = TurnedResolver(self.resolver, order.turn) if order.turn else self.resolver
        context = Context(order.timeout, resolver, self._tls, memory, self._redact, order.scheduled, heard)
        limit = asyncio.timeout(order.timeout + GRACE)
        try:
            async with limit:
                observation = _sound(await order.check.probe.look(context))
            _check(memory, _NOTE)
        except Exception as error:  # noqa: BLE001  (a probe is foreign code: whatever it raises is its own bug)
            if isinstance(error, TimeoutError) and limit.expired():
                return Observation(reason=Reason.OVERRUN, detail=f"stopped after {order.timeout + GRACE:g} s")
            if isinstance(error, MemoryError):
                return Observation(reason=Reason.NO_DESCRIPTORS, detail="no memory can be had")
            if isinstance(error, OSError) and error.errno in (EMFILE, ENFILE):  # wherever a library runs out of them
                return Observation(reason=Reason.NO_DESCRIPTORS, detail="no file can be opened")
            memory.clear()  # what confused it once must not do so for ever
            self._report(order, error)
            return Observation(reason=Reason.PROBE_BUG, detail=type(error).__name__)
        self._bugs.pop(order.check.id, None)
        return observation

    def _report(self, order: Order, error: Exception) -> None:
        """With its traceback, once until the probe works again: a bug at every look must not fill the disk."""
        kind = type(error).__name__
        if self._bugs.get(order.check.id) != kind:
            self._bugs[order.check.id] = kind
            _log.error("probe_bug", check=order.check.id, probe=order.check.probe.kind, exc_info=error)

    def _admitted(self, observation: Observation) -> Observation:
        """The observation as the rest of the agent may keep it: bounded, and without secrets.

        This is the one gate that text from targets comes through. Good looks carry little text, and what keeps or
        shows it redacts it; so only their size is looked at.
        """
        if observation.ok and _small(observation):
            return observation
        return Observation(
            measurements=_first(observation.measurements),
            reason=observation.reason,
            detail=self._redact(observation.detail)[:DETAIL_LIMIT],
            phases=_first(observation.phases),
            evidence={
                self._redact(name)[:DETAIL_LIMIT]: self._redact(text)[:DETAIL_LIMIT]
                for name, text in _first(observation.evidence).items()
            },
        )


def _small(observation: Observation) -> bool:
    sizes = (len(observation.measurements), len(observation.phases), len(observation.evidence))
    return max(sizes) <= FIGURES_LIMIT and all(len(text) <= DETAIL_LIMIT for text in observation.evidence.values())


def _first(figures: Mapping[str, T]) -> dict[str, T]:
    return dict(islice(figures.items(), FIGURES_LIMIT))


def _sound(observation: object) -> Observation:
    """What a probe has handed back, if it is what it should be; raises TypeError. Behind here types are believed."""
    if not isinstance(observation, Observation):
        raise TypeError(f"look() must return an Observation, not {type(observation).__name__}")
    _check({"detail": observation.detail}, (str,))
    _check({"reason": observation.reason}, (Reason, type(None)))
    _check(observation.measurements, _FIGURE)
    _check(observation.phases, _FIGURE)
    _check(observation.evidence, (str,))
    return observation


_FIGURE = (float, int)
_NOTE = (float, int, str)


def _check(named: Mapping[Any, Any], kinds: tuple[type, ...]) -> None:
    for name, value in named.items():
        if not isinstance(value, kinds) or not isinstance(name, str):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"{name!r} must be {expected} by its name, not {type(value).__name__}")


def _trusted(observation: Observation, began: Moment, ended: Moment, timeout: float) -> Observation:
    """Void a failed look that ended long after its limit: the agent was paused or starved, the target may be fine."""
    overtime = ended.tick - began.tick - timeout
    if observation.ok or overtime <= TRUSTED_LATENESS or observation.reason in (Reason.OVERRUN, Reason.PROBE_BUG):
        return observation
    return Observation(reason=Reason.LATE, detail=f"the look ended {overtime:.1f} s after its limit")
