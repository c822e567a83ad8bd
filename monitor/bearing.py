"""How one sink bears up: what has become of the attempts at it, whether its breaker is open, how much it was told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog

from monitor.attempt import Shared
from monitor.cap import Cap
from monitor.restraint import Restraint
from monitor.sending import SinkCondition, SinkState
from monitor.sinks.contract import Nature, Sink

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.outbox")


class Bearing:
    """Of one sink."""

    def __init__(self, name: str, sink: Sink, shared: Shared) -> None:
        self._name, self._sink = name, sink
        self._clock, self._pace = shared.clock, shared.pace
        self._cap = Cap(name, shared.store, shared.clock, shared.notes)
        self.restraint = self._new_restraint(self._cap.told)
        self._error = ""
        """Of the last attempt, where it failed."""
        self._since: datetime | None = None
        """When they began to fail."""
        self._accepted: datetime | None = None

    def _new_restraint(self, told: Iterable[float]) -> Restraint:
        return Restraint(self._pace, self._sink.most, gathers=self._sink.nature is Nature.HUMAN, told=told)

    def begin_anew(self, sink: Sink) -> None:
        """The sink is another one, or somebody has seen to it; people have read as much as they have all the same."""
        self._sink = sink
        self.restraint = self._new_restraint(self.restraint.told)

    def state(self, *, gathered: int, handed_over: int, retired: bool) -> SinkState:
        restraint = self.restraint
        condition = SinkCondition.FAILING if restraint.broken else SinkCondition.FINE
        condition = SinkCondition.DISABLED if restraint.disabled else condition
        since = self._since if condition is not SinkCondition.FINE else None
        error = restraint.disabled or self._error
        return SinkState(condition, since, error, self._accepted, gathered, handed_over, retired=retired)

    def failed(self, error: str, *, asked: float = 0.0, retry: float = 0.0, gone: bool = False) -> None:
        was = self.restraint.broken
        self.restraint.sent(self._clock.now().tick, accepted=False, asked=asked, retry=retry)
        if not self._error:
            self._since = self._clock.now().at
        self._error = error
        if self.restraint.broken and not was:
            log.error("outbox.sink_failing", sink=self._name, error=error, effect="tried one at a time, now and then")
        if gone:
            self.restraint.disabled = error
            log.error("outbox.sink_disabled", sink=self._name, error=error, advice="correct it, or remove it")

    def accepted(self, *, trouble: bool = True) -> bool:
        """Whether it is thought to be back after it was down."""
        now, was = self._clock.now(), self.restraint.broken
        self._error, self._since, self._accepted = "", None, now.at
        is_back = self.restraint.sent(now.tick, accepted=True, trouble=trouble)
        if was:
            log.info("outbox.sink_accepts_again", sink=self._name)
        return is_back

    async def note(self) -> None:
        """Keep what it was told, for the next start. Raises `StoreError`."""
        await self._cap.keep(self._sink.most, self.restraint.told)
