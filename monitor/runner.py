"""Takes one look: hands the probe its context, holds it to its time, and turns whatever happens into a `Look`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from errno import EMFILE, ENFILE
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

import structlog

from monitor.clock import Clock
from monitor.core.form import form_of
from monitor.core.model import Check, Look, Moment
from monitor.limits import Limits
from probes._names.wanted import Resolvers, fitted
from probes._quick import quick
from probes._tls.contexts import SharedTls
from probes._wire.stamps import keep_on
from probes.contract import (
    DETAIL_LIMIT,
    Context,
    Observation,
    Presence,
    Probe,
    Reason,
    Resolver,
    ResolverWanted,
    TlsContexts,
    Trace,
)

GRACE = 0.5
"""Seconds beyond its limit after which a probe that did not end by itself is stopped."""

TRUSTED_LATENESS = 0.25
"""Seconds: a look that ended so much after its limit was ended by us, late; what it measured is our own pause."""

FIGURES_LIMIT = 256
"""Measurements, phases and facts of evidence taken from one look; a probe of a third party may offer more."""

T = TypeVar("T")

_log = structlog.get_logger("brownout.runner")


@quick(frozen=True, slots=True)
class Order:
    """One look to take: when it was due (monotonic seconds), within which limit (s), and why. `turn` numbers extra
    looks: each takes the next of the target's addresses first, so that one dead address is not taken for all."""

    check: Check
    due: float
    timeout: float
    scheduled: bool
    turn: int = 0
    trace: Trace | None = None
    """Who listens to it: a person; nobody in the agent."""


@contextmanager
def new_runner(
    clock: Clock,
    redact: Callable[[str], str],
    presence: Callable[[], Presence | None] | None = None,
    resolver: ResolverWanted | None = None,
) -> Iterator[Runner]:
    """A runner with the real resolvers, `resolver` for checks that name none, and the real CA store."""
    keep_on()
    resolvers = Resolvers(resolver)
    try:
        yield Runner(clock, resolvers.default, SharedTls(), redact, presence, resolvers.of)
    finally:
        resolvers.close()


class Runner:
    """Runs probes. A bug in a probe is an observation (`probe_bug`), never a crash of the agent."""

    def __init__(
        self,
        clock: Clock,
        resolver: Resolver,
        tls: TlsContexts,
        redact: Callable[[str], str] = lambda text: text,
        presence: Callable[[], Presence | None] | None = None,
        wanted: Callable[[ResolverWanted], Resolver] | None = None,
    ) -> None:
        """`redact` takes secrets out of a text: a target may send back what it was sent. `presence` is for passive
        probes; None: nothing arrives here. What it gives is None while nothing can. `wanted` has the resolvers of
        checks that ask for one of their own; None: `resolver` is for all."""
        self._clock = clock
        self.resolver = resolver
        self._tls = tls
        self._redact = redact
        self._presence = presence
        self._wanted = wanted
        self._limits = Limits()
        self._bugs: dict[str, str] = {}
        """By check: the kind of error that was reported last."""

    async def look(self, order: Order, memory: MutableMapping[str, float | str]) -> Look:
        began = self._clock.now()
        observation = await self._take(order, memory)
        ended = self._clock.now()
        seen = self._admitted(_trusted(observation, began, ended, order.timeout))
        late = began.tick - order.due
        return Look(order.check.id, seen, began, ended, order.timeout, order.scheduled, late if late > 0.0 else 0.0)

    async def _take(self, order: Order, memory: MutableMapping[str, float | str]) -> Observation:
        probe, heard = order.check.probe, None
        if self._presence is not None and form_of(order.check).passive:
            heard = self._presence()
            if heard is None:
                # The probe is not asked: what it had thought of last is where the absence begins.
                return Observation(reason=Reason.OWN_NETWORK, detail="what is sent to the agent cannot arrive")
        context = Context(
            order.timeout,
            self._resolver_of(order),
            self._tls,
            memory,
            self._redact,
            order.scheduled,
            heard,
            order.trace,
        )
        limit = self._limits.begin(order.timeout + GRACE)
        try:
            try:
                observation = _sound(await probe.look(context), probe)
            finally:
                limit.end()
            if memory:
                _check(memory, _NOTE)
        except asyncio.CancelledError:
            if not limit.struck_alone:
                raise
            return _overrun(order)
        except Exception as error:  # noqa: BLE001  (a probe is foreign code: whatever it raises is its own bug)
            if isinstance(error, TimeoutError) and limit.struck:
                return _overrun(order)
            if isinstance(error, MemoryError):
                return Observation(reason=Reason.NO_DESCRIPTORS, detail="no memory can be had")
            if isinstance(error, OSError) and error.errno in (EMFILE, ENFILE):  # wherever a library runs out of them
                return Observation(reason=Reason.NO_DESCRIPTORS, detail="no file can be opened")
            memory.clear()  # what confused it once must not do so for ever
            self._report(order, error)
            return Observation(reason=Reason.PROBE_BUG, detail=type(error).__name__)
        if self._bugs:
            self._bugs.pop(order.check.id, None)
        return observation

    def _resolver_of(self, order: Order) -> Resolver:
        check, resolver = order.check, self.resolver
        if check.resolver is not None and self._wanted is not None:
            resolver = self._wanted(check.resolver)
        if order.scheduled and check.ip is None and not order.turn:
            return resolver
        return fitted(resolver, check.ip, again=not order.scheduled, turn=order.turn)

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
        if observation.reason is None and _small(observation):
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


def _overrun(order: Order) -> Observation:
    return Observation(reason=Reason.OVERRUN, detail=f"stopped after {order.timeout + GRACE:g} s")


def _small(observation: Observation) -> bool:
    evidence = observation.evidence
    if len(observation.measurements) > FIGURES_LIMIT or len(observation.phases) > FIGURES_LIMIT:
        return False
    return len(evidence) <= FIGURES_LIMIT and max(map(len, evidence.values()), default=0) <= DETAIL_LIMIT


def _first(figures: Mapping[str, T]) -> dict[str, T]:
    return dict(islice(figures.items(), FIGURES_LIMIT))


def _sound(observation: object, probe: Probe) -> Observation:
    """What a probe has handed back, if it is what it should be; raises TypeError. Behind here types are believed, and
    those of our own probes are, as they are checked beforehand."""
    if not isinstance(observation, Observation):
        raise TypeError(f"look() must return an Observation, not {type(observation).__name__}")
    if _ours(type(probe)):
        return observation
    _check({"detail": observation.detail}, (str,))
    _check({"reason": observation.reason}, (Reason, type(None)))
    _check(observation.measurements, _FIGURE)
    _check(observation.phases, _FIGURE)
    _check(observation.evidence, (str,))
    return observation


@lru_cache(maxsize=256)
def _ours(kind: type[Probe]) -> bool:
    return kind.__module__.partition(".")[0] == "probes"


_FIGURE = (float, int)
_NOTE = (float, int, str)


def _check(named: Mapping[Any, Any], kinds: tuple[type, ...]) -> None:
    for name, value in named.items():
        if not isinstance(value, kinds) or not isinstance(name, str):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"{name!r} must be {expected} by its name, not {type(value).__name__}")


def _trusted(observation: Observation, began: Moment, ended: Moment, timeout: float) -> Observation:
    """Void a failed look that ended long after its limit: the agent was paused or starved, the target may be fine."""
    if observation.reason is None:
        return observation
    overtime = ended.tick - began.tick - timeout
    if overtime <= TRUSTED_LATENESS or observation.reason in (Reason.OVERRUN, Reason.PROBE_BUG):
        return observation
    return Observation(reason=Reason.LATE, detail=f"the look ended {overtime:.1f} s after its limit")
