"""Takes one look: hands the probe its context, holds it to its time, and turns whatever happens into a `Look`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from itertools import islice
from types import UnionType
from typing import Any, TypeVar

import structlog

from monitor.clock import Clock
from monitor.core.model import Check, Look, Moment
from probes.contract import DETAIL_LIMIT, Context, Observation, Reason, Resolver, TlsContexts

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
    """One look to take: when it was due (monotonic seconds), within which limit (s), and why."""

    check: Check
    due: float
    timeout: float
    scheduled: bool


class Runner:
    """Runs probes. A bug in a probe is an observation (`probe_bug`), never a crash of the agent."""

    def __init__(
        self,
        clock: Clock,
        resolver: Resolver,
        tls: TlsContexts,
        redact: Callable[[str], str] = lambda text: text,
    ) -> None:
        """`redact` takes secrets out of a text: a target may send back what it was sent."""
        self._clock = clock
        self._resolver = resolver
        self._tls = tls
        self._redact = redact

    async def look(self, order: Order, memory: MutableMapping[str, float | str]) -> Look:
        began = self._clock.now()
        context = Context(order.timeout, self._resolver, self._tls, memory)
        try:
            async with asyncio.timeout(order.timeout + GRACE):
                observation = _sound(await order.check.probe.look(context))
        except TimeoutError:
            observation = Observation(reason=Reason.OVERRUN, detail=f"stopped after {order.timeout + GRACE:g} s")
        except Exception as error:  # noqa: BLE001  (a probe is foreign code: whatever it raises is its own bug)
            _log.exception("probe_bug", check=order.check.id, probe=order.check.probe.kind)
            observation = Observation(reason=Reason.PROBE_BUG, detail=type(error).__name__)
        ended = self._clock.now()
        return Look(
            check=order.check.id,
            observation=self._admitted(_trusted(observation, began, ended, order.timeout)),
            began=began,
            ended=ended,
            scheduled=order.scheduled,
            lateness=max(began.tick - order.due, 0.0),
        )

    def _admitted(self, observation: Observation) -> Observation:
        """The observation as the rest of the agent may keep it: bounded, and without secrets.

        This is the one gate that text from targets comes through. Good looks carry little text, and what shows it
        redacts it again; so only their size is looked at.
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
    _check({"detail": observation.detail}, str)
    _check({"reason": observation.reason}, Reason | None)
    _check(observation.measurements, float | int)
    _check(observation.phases, float | int)
    _check(observation.evidence, str)
    return observation


def _check(named: Mapping[Any, Any], kind: type | UnionType) -> None:
    for name, value in named.items():
        if not isinstance(value, kind) or not isinstance(name, str):
            raise TypeError(f"{name!r} must be {kind} by its name, not {type(value).__name__}")


def _trusted(observation: Observation, began: Moment, ended: Moment, timeout: float) -> Observation:
    """Void a failed look that ended long after its limit: the agent was paused or starved, the target may be fine."""
    overtime = ended.tick - began.tick - timeout
    if observation.ok or overtime <= TRUSTED_LATENESS or observation.reason in (Reason.OVERRUN, Reason.PROBE_BUG):
        return observation
    return Observation(reason=Reason.LATE, detail=f"the look ended {overtime:.1f} s after its limit")
