"""In its first days a target that has shown bursts of failures is not called down by the next one a little longer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core.model import Confirm, Policy
from tests.core.builders import Watch, moment
from tests.core.test_confirming import DAY, burst, down_after, watch


def needed(watched: Watch, at: float) -> float:
    return watched.judge.confirmation(moment(at).tick).span


def test_one_burst_makes_it_careful_for_three_days() -> None:
    watched = watch()
    burst(watched, DAY, 1)
    assert down_after(watched, DAY + 3600) == 20
    other = watch()
    burst(other, DAY, 1)
    assert needed(other, 2.9 * DAY) == 20
    assert needed(other, 3.1 * DAY) < 12


def test_lone_lost_packets_are_no_bursts() -> None:
    watched = watch()
    for hour in range(20):
        burst(watched, 3600 * (1 + hour), 0)
    assert needed(watched, DAY) == 5


@pytest.mark.parametrize("seconds", [8, 25])
def test_an_outage_is_none_however_short(seconds: float) -> None:
    watched = watch()
    burst(watched, DAY, seconds)
    assert [new for _, _, new in watched.transitions].count("down") == 1
    assert needed(watched, DAY + 3600) == 5


def test_it_is_so_many_times_the_span_that_is_asked_for() -> None:
    for confirm, span in ((Confirm(span=2 * Confirm().span), 40), (replace(Confirm(), policy=Policy.CONSECUTIVE), 5)):
        watched = watch(confirm=confirm)
        burst(watched, DAY, 0.9)
        assert needed(watched, DAY + 3600) == pytest.approx(span)


def test_it_survives_a_restart() -> None:
    watched = watch()
    burst(watched, DAY, 1)
    watched.restart(DAY + 60)
    assert needed(watched, DAY + 60) == 20
