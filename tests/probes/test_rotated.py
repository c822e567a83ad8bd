"""Which file a rotated one was before, by its name."""

from __future__ import annotations

import pytest

from probes._logs.rotated import original


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("access.log.1", "access.log"),
        ("access.log-20261122", "access.log"),
        ("access.log-20261122-1700000000", "access.log"),
        ("access.log.2026-11-22_10", "access.log"),
        ("access-20261122.log", "access.log"),
        ("access.1.log", "access.log"),
        ("access.log.old", "access.log"),
        ("access.log.api", None),
        ("access.log", None),
        (".1", None),
    ],
)
def test_names_that_rotations_give(name: str, before: str | None) -> None:
    assert original(name) == before
