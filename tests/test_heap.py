"""What is given back to the C library's heap leaves the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from monitor import heap

_LARGE_AND_GONE = """
import psutil
from monitor import heap

def resident():
    return psutil.Process().memory_info().rss

heap.keep_small()
first = bytes(8_000_000)  # what glibc would take as the new measure of what is large
del first
before = resident()
for _ in range(3):
    parts, small = [], []
    for _ in range(100):
        parts.append(bytes(300_000))
        small.append(bytes(600))  # would lie behind it in the heap
    del parts
heap.trim()
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_what_is_large_and_free_is_not_kept() -> None:
    done = subprocess.run([sys.executable, "-c", _LARGE_AND_GONE], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 3_000_000


def test_it_is_trimmed_or_left_alone() -> None:
    heap.trim()
