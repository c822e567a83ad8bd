"""Takes one look: hands the probe its context, holds it to its time, and turns whatever happens into a `Look`."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass

import structlog

from monitor.clock import Clock
from monitor.core.model import Check, Look, Moment
from probes.contract import Context, Observation, Reason, Resolver, TlsContexts

GRACE = 0.5
"""Seconds beyond its limit after which a probe that did not end by itself is stopped."""

TRUSTED_LATENESS = 0.25
"""Seconds: a look that ended so much after its limit was ended by us, late; what it measured is our own pause."""

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

    def __init__(self, clock: Clock, resolver: Resolver, tls: TlsContexts) -> None:
        self._clock = clock
        self._resolver = resolver
        self._tls = tls

    async def look(self, order: Order, memory: MutableMapping[str, float | str]) -> Look:
        began = self._clock.now()
        context = Context(order.timeout, self._resolver, self._tls, memory)
        try:
            async with asyncio.timeout(order.timeout + GRACE):
                observation = await order.check.probe.look(context)
        except TimeoutError:
            observation = Observation(reason=Reason.OVERRUN, detail=f"stopped after {order.timeout + GRACE:g} s")
        except Exception as error:  # noqa: BLE001  (a probe is foreign code: whatever it raises is its own bug)
            _log.exception("probe_bug", check=order.check.id, probe=order.check.probe.kind)
            observation = Observation(reason=Reason.PROBE_BUG, detail=type(error).__name__)
        ended = self._clock.now()
        return Look(
            check=order.check.id,
            observation=_trusted(observation, began, ended, order.timeout),
            began=began,
            ended=ended,
            scheduled=order.scheduled,
            lateness=max(began.tick - order.due, 0.0),
        )


def _trusted(observation: Observation, began: Moment, ended: Moment, timeout: float) -> Observation:
    """Void a failed look that ended long after its limit: the agent was paused or starved, the target may be fine."""
    overtime = ended.tick - began.tick - timeout
    if observation.ok or overtime <= TRUSTED_LATENESS or observation.reason in (Reason.OVERRUN, Reason.PROBE_BUG):
        return observation
    return Observation(reason=Reason.LATE, detail=f"the look ended {overtime:.1f} s after its limit")
