"""What it costs that witnesses of our own network are asked before a failed look is believed: the whole agent but its
sockets, in virtual time, held against the goals of the study (DETECTION.md)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from monitor.witnesses import Asked
from probes.contract import Reason
from tests.test_simulation import simulate, simulated

EVERY, OUTAGES = 30.0, 4
BEGIN = 120.0


@dataclass
class Far:
    """A reference that answers after a round trip of `away` seconds."""

    away: float

    async def reference(self, host: str, port: int) -> bool | None:
        await asyncio.sleep(self.away)
        return True

    async def gateway(self) -> bool | None:
        return None

    async def resolvers(self) -> bool | None:
        return None

    def link(self) -> str:
        return ""


def told_after(reason: Reason, witnesses: Asked | None) -> list[float]:
    """Seconds from the first look at a dead target to the page, for outages that begin all over an interval. On
    average that look comes half an interval after the outage has begun."""
    found = []
    for number in range(OUTAGES):
        begin, failed = BEGIN + (number + 0.5) * EVERY / OUTAGES, []

        def truth(name: str, at: float, since: float = begin, failed: list[float] = failed) -> Reason | None:
            if at < since:
                return None
            failed.append(at)
            return reason

        notebook, _ = simulate([simulated("home", truth)], begin + 60, witnesses=witnesses)
        assert notebook.told() == [("incident.opened", "outage")]
        found.append(notebook.pages[0][0] - failed[0])
    return found


@pytest.mark.parametrize(
    ("reason", "goal"), [(Reason.REFUSED, 5.5), (Reason.CONNECT_TIMEOUT, 8.0)], ids=["refused", "swallowed"]
)
def test_an_outage_is_told_within_the_goal_although_witnesses_are_asked_first(reason: Reason, goal: float) -> None:
    alone, vouched = told_after(reason, None), told_after(reason, Far(0.1))
    assert max(alone) <= goal
    assert max(vouched) <= goal, "a mean of half an interval more, from the begin of the outage on"
    # One round trip before the first extra looks where it fails at once, and one for the last look.
    assert all(later - sooner <= 2 * 0.1 + 0.15 for sooner, later in zip(alone, vouched, strict=True))


def test_the_questions_overlap_the_confirmation_however_far_the_witness_is() -> None:
    """Ten looks that each wait for a witness 0.6 s away wait for it once, and not ten times."""
    alone, vouched = told_after(Reason.CONNECT_TIMEOUT, None), told_after(Reason.CONNECT_TIMEOUT, Far(0.6))
    assert all(later - sooner <= 0.6 + 0.2 for sooner, later in zip(alone, vouched, strict=True))
