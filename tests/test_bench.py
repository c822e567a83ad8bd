"""Every benchmark runs and prints one line of the common shape. How fast it was is nobody's business here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import LONG, NAMES
from bench._line import Figure, Line, percentile

ROOT = Path(__file__).parents[1]
FIGURE = r"\w+ -?[\d.,e+-]+ [^;|]+"
LINE = re.compile(rf"(?P<name>\w+) \| {FIGURE}(; {FIGURE})* \| (ok|over) \| [^|]+\n")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", NAMES + LONG)
def test_prints_one_comparable_line(name: str) -> None:
    # The judgement's quick form takes half a minute; two of its cells show that it runs.
    few = ("--only", "iid", "--only", "half") if name == "judgement" else ()
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--quick", *few],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    # Where there is more to show than a line holds, a table comes before it.
    line = LINE.fullmatch("".join(text for text in done.stdout.splitlines(keepends=True) if text[0] != "|"))
    assert line is not None, done.stdout
    assert line["name"] == name


def test_all_modules_are_listed() -> None:
    assert {*NAMES, *LONG} == {path.stem for path in (ROOT / "bench").glob("[a-z]*.py")}


def test_a_line_is_over_when_one_of_its_figures_is() -> None:
    good, bad = Figure("speed", 1.5, "s", 2.0), Figure("rate", 900.0, "looks/s", 1000.0, floor=True)
    assert Line("x", (good,), "so").ok
    assert str(Line("x", (good, bad), "so")) == (
        "x | speed 1.5 s (<= 2 ok); rate 900 looks/s (>= 1,000 over) | over | so"
    )


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentile([], 99) == 0.0
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile(list(range(1000)), 99) == 990
