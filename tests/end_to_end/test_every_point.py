"""An incident's life in real processes, with kill -9 before and after each commit and each request: nothing lost, no
second id, every opened key closed. The gate meets points of each kind that lie evenly in it, `make soak` all of them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from itertools import count
from pathlib import Path

import pytest

from tests.end_to_end.crashes import Point, Side
from tests.end_to_end.incident_life import OPERATIONS, die_once

_AT_ONCE = os.cpu_count() or 1


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "point",
    ["commit:before:3", "delivered:after:7", "commit:after:10", "request:before:11", "request:after:17"],
)
async def test_a_process_that_ends_at_a_point(tmp_path: Path, point: str) -> None:
    assert await die_once(tmp_path, Point.parse(point)), "the point was there"


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_process_that_ends_at_each_point(tmp_path: Path, operation: str, side: Side) -> None:
    reached: list[bool] = []
    for first in count(1, _AT_ONCE):
        points = [Point(operation, side, number) for number in range(first, first + _AT_ONCE)]
        for point in points:
            (tmp_path / str(point)).mkdir()
        found = await asyncio.gather(*(die_once(tmp_path / str(point), point) for point in points))
        reached += found
        for point in points:
            shutil.rmtree(tmp_path / str(point))
        if not all(found):
            break
    assert any(reached), "there was a point"
