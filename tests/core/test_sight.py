"""What is kept of how the agent itself is, read again at a start."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.model import Moment
from monitor.core.sight import Ailment, Sight, Trouble
from tests.core.builders import moment


@pytest.mark.parametrize(
    "note",
    [
        {},
        {"seq": -1, "since": "", "state": "network"},
        {"seq": 3, "since": None, "state": "network", "told": None, "why": ""},
        {"seq": 3, "since": "2026-01-01T00:00:00+00:00", "state": "hungry", "told": None, "why": ""},
        {"seq": 3, "since": "yesterday", "state": "network", "told": None, "why": ""},
    ],
)
def test_a_note_that_nobody_has_written_costs_nothing(note: Any) -> None:
    assert Sight(note, moment(0)).state == "well"


def test_a_clock_that_went_back_over_the_restart_makes_no_time_negative() -> None:
    value = {"seq": 3, "since": moment(500).at.isoformat(), "state": "network", "told": ["hook"], "why": "x"}
    kept = Sight(value, moment(0))
    assert kept.ailments == (Ailment(Trouble.NETWORK, Moment(moment(500).at, moment(0).tick), "x"),)
