"""Every target for some seconds, for half a minute in all in CI (`FUZZ_SECONDS`); `make fuzz` does so for an hour."""

from __future__ import annotations

import os
from time import perf_counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

SECONDS = float(os.environ.get("FUZZ_SECONDS", "2"))
"""In all; each target takes its part, and at least one round."""

_BITS = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        [b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\t", b",", b";", b'"', b"\\", b"[", b"{", b"0", b"\xff"]
    ),
)
_EDITS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12), _BITS), max_size=6)


def _edited(seed: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, taken, put in edits:
        seed = seed[:at] + put + seed[at + taken :]
    return seed


def _inputs(target: str) -> st.SearchStrategy[bytes]:
    known = st.sampled_from(seeds(target))
    joined = st.builds(bytes.__add__, known, known)
    return st.one_of(st.builds(_edited, known, _EDITS), st.builds(_edited, joined, _EDITS), st.binary(max_size=300))


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_breaks(name: str) -> None:
    run, ends = TARGETS[name], perf_counter() + SECONDS / len(TARGETS)

    @settings(
        max_examples=50, deadline=None, database=None, derandomize=False, suppress_health_check=list(HealthCheck)
    )
    @given(_inputs(name))
    def once(data: bytes) -> None:
        run(data)

    for seed in seeds(name):
        run(seed)
    once()
    while perf_counter() < ends:
        once()
