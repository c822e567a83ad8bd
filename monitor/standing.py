"""How the agent itself stands: what systemd's watchdog and `/healthz` go by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from monitor.clock import Clock
from monitor.core.sight import Sight, cannot_see
from monitor.reload import Reloader
from monitor.sending import SinkCondition
from monitor.store.lasting import LastingStore
from monitor.systemd import Watchdog
from monitor.telemetry import Telemetry
from monitor.web import Health
from monitor.web.health import examine

_GRAVE = frozenset({"vantage:sight", "scheduler:progress_age", "journal:writable"})
"""What keeps the agent from seeing, or from remembering; the names of `monitor.web.health`."""


class Standing:
    """Told of each round of the scheduler, and when the agent stops."""

    def __init__(
        self, clock: Clock, watchdog: Watchdog, store: LastingStore, reloader: Reloader, started: asyncio.Event
    ) -> None:
        self._clock = clock
        self._watchdog = watchdog
        self._store = store
        self._reloader = reloader
        self._started = started
        self._progress = clock.now().tick
        """When the scheduler's loop has last come round (a tick)."""
        self.stopping = False

    def progressed(self) -> None:
        """The scheduler's loop has come round."""
        self._progress = self._clock.now().tick
        self._watchdog.feed()

    def ailments(self, telemetry: Telemetry, sight: Sight, redact: Callable[[str], str]) -> list[str]:
        """What is so wrong with the agent itself that somebody elsewhere should know, in sentences."""
        found = examine(self.health(telemetry, sight, redact))
        return [finding.output for finding in found if finding.name in _GRAVE and finding.output]

    def health(self, telemetry: Telemetry, sight: Sight, redact: Callable[[str], str]) -> Health:
        begun, missed = telemetry.recent_beats
        refused = self._reloader.refused
        return Health(
            scheduler_progress_age=self._clock.now().tick - self._progress,
            loop_lag=telemetry.loop_lag,
            journal=self._store.condition,
            outbox_oldest_age=telemetry.outbox_oldest_age,
            refusing_sinks=telemetry.refusing_sinks,
            failing_sinks=telemetry.sinks_that_are(SinkCondition.FAILING),
            disabled_sinks=telemetry.sinks_that_are(SinkCondition.DISABLED),
            beats_begun=begun,
            beats_missed=missed,
            ready=self._started.is_set(),
            stopping=self.stopping,
            config_ok=refused is None,
            blindness=redact(cannot_see(sight)),
            full_listeners=telemetry.full_listeners,
            config_fault=redact(str(refused.faults[0])) if refused else "",
        )
