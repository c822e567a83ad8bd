"""Closes probes: those that a reload has replaced as soon as no look uses them, the others when the agent stops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from monitor.core.model import Check
from probes.contract import Probe

PATIENCE = 10.0
"""Seconds that a probe may take to close."""

_log = structlog.get_logger("brownout")


class Upkeep:
    """Knows which probes are in use. A probe is known by identity: two checks may look at the same."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self._closing: set[asyncio.Task[None]] = set()
        self.adopt(checks)

    def adopt(self, checks: Iterable[Check]) -> None:
        self._used = {id(check.probe): check.probe for check in checks}

    def release(self, probe: Probe) -> None:
        """No look of a check that was replaced is under way any more."""
        if id(probe) in self._used:
            return  # it goes on in the check's new definition
        task = asyncio.get_running_loop().create_task(_close(probe))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all that are left, side by side."""
        await asyncio.gather(*self._closing, *map(_close, self._used.values()))


async def _close(probe: Probe) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            await probe.close()
    except Exception as error:  # noqa: BLE001  (a probe is foreign code; what it leaves open is its own)
        _log.error("probe_bug", probe=probe.kind, error=f"it did not close: {type(error).__name__}")
