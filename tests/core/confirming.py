"""Checks as everybody has them, seen well once, and targets that die."""

from __future__ import annotations

import math

from monitor.core.failures import BURST
from monitor.core.model import Confirm, Recover
from probes.contract import Reason
from tests.core.builders import Watch


def watch(**fields: object) -> Watch:
    """With the confirmation that everybody has."""
    made = Watch(**({"confirm": Confirm(), "recover": Recover()} | fields))
    made.see(0, took=0.05)
    return made


def down_after(watched: Watch, at: float, reason: Reason = Reason.CONNECT_TIMEOUT) -> float:
    """How long a run of failures must be to be called an outage, with the usual extra looks."""
    for offset in [0.0, *BURST, *range(6, 100)]:
        watched.see(at + offset, fails=reason, scheduled=offset == 0)
        if watched.state == "down":
            return float(offset)
    return math.inf
