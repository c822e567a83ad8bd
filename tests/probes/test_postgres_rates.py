"""What the postgres probe makes of two readings of counters: rates, ratios, and when there are none."""

from __future__ import annotations

from typing import Any

import pytest

from probes.postgres.figures import COUNTERS, since


def row(
    clock: float, counted: float, *, started: float = 1.0, standby: bool = False, **fields: Any
) -> dict[str, Any]:
    return {"clock": clock, "started": started, "standby": standby, **dict.fromkeys(COUNTERS, counted), **fields}


def figures(memory: dict[str, float | str], now: dict[str, Any], *, scheduled: bool = True) -> dict[str, float]:
    found: dict[str, float] = {}
    since(now, found, memory, scheduled=scheduled)
    return found


def test_the_first_reading_lays_the_ground() -> None:
    memory: dict[str, float | str] = {}
    assert figures(memory, row(100.0, 10)) == {}
    seen = figures(memory, row(110.0, 30, cache_lookups=50))
    assert seen["transaction_rate"] == seen["deadlock_rate"] == seen["wal_rate"] == pytest.approx(2.0)
    assert (seen["cache_hits"], seen["cache_lookups"], seen["cache_hit_ratio"]) == (20, 40, 0.5)
    assert seen["forced_checkpoint_ratio"] == 1.0


def test_too_soon_it_goes_on_counting() -> None:
    memory: dict[str, float | str] = {}
    figures(memory, row(100.0, 0))
    assert figures(memory, row(100.3, 6)) == {}
    assert figures(memory, row(100.6, 12))["transaction_rate"] == pytest.approx(20.0)


def test_extra_looks_take_nothing_away() -> None:
    memory: dict[str, float | str] = {}
    figures(memory, row(100.0, 0))
    assert figures(memory, row(105.0, 10), scheduled=False)["cache_hits"] == 10
    assert figures(memory, row(110.0, 20))["cache_hits"] == 20


def test_another_server_and_a_clock_set_back_begin_anew() -> None:
    memory: dict[str, float | str] = {}
    figures(memory, row(100.0, 10))
    assert figures(memory, row(110.0, 20, started=2.0)) == {}
    assert figures(memory, row(120.0, 30, started=2.0))["cache_hits"] == 10
    assert figures(memory, row(50.0, 40, started=2.0)) == {}
    assert figures(memory, row(60.0, 50, started=2.0))["cache_hits"] == 10


def test_what_fell_has_no_figure_and_the_others_have() -> None:
    memory: dict[str, float | str] = {}
    figures(memory, row(100.0, 10))
    seen = figures(memory, row(110.0, 20, temp_bytes=5))
    assert "temp_bytes_rate" not in seen
    assert seen["transaction_rate"] == 1.0
    assert figures(memory, row(120.0, 30, temp_bytes=15))["temp_bytes_rate"] == 1.0


def test_nothing_asked_for_is_no_ratio() -> None:
    memory: dict[str, float | str] = {}
    figures(memory, row(100.0, 10))
    seen = figures(memory, row(110.0, 10))
    assert seen["cache_lookups"] == 0.0
    assert "cache_hit_ratio" not in seen


def test_a_standby_tells_no_checkpoints() -> None:
    memory: dict[str, float | str] = {}
    figures(memory, row(100.0, 10, standby=True))
    assert "checkpoints" not in figures(memory, row(110.0, 20, standby=True))
