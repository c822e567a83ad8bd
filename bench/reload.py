"""Reloading ten thousand checks, while the agent goes on looking."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Any

from bench._checks import written
from bench._line import Figure, Line, median, run
from bench._peer import answer, cores, free_port, peer, responder

DELAY = 20.0
"""Milliseconds by which taking over may delay a look (the project's own goal)."""


def measure(options: Namespace) -> Line:
    """A real agent on one core reloads its file: as it was, with one check changed, with every check changed (another
    limit), with every check replaced (another name), and as it was before that."""
    count, rest = (50, 0.05) if options.quick else (10_000, 1.0)
    mine, others = cores()
    told: dict[str, Any] = {}
    with TemporaryDirectory(prefix="brownout-bench-") as name, responder(others) as target:
        file = written(Path(name), count, port=free_port(), target=target, every="5m")
        with peer("bench._reloading", str(file), str(rest), core=mine) as process:
            answer(process)
            for kind, text in _edits(file.read_text("utf-8")):
                told[kind] = _reloaded(process, text)
    reading = [seen["ticks"]["reading"] for seen in told.values()]
    figures = (
        *(Figure(f"slice_{kind}", seen["slice"], "ms", DELAY) for kind, seen in told.items()),
        *(Figure(f"took_{kind}", seen["took"], "s") for kind, seen in told.items()),
        Figure("delay_while_reading", max(seen["worst"] for seen in reading), "ms"),
        Figure("p99_while_reading", median([seen["p99"] for seen in reading]), "ms"),
        Figure("p99_while_taking_over", max(seen["ticks"]["taking_over"]["p99"] for seen in told.values()), "ms"),
        Figure("seconds_of_all", median([seen["outcome"]["seconds"] for seen in told.values()]), "s"),
    )
    how = (
        f"{count:,} checks, 33 looks a second; slice: the most CPU time for which one slice of taking over held the "
        "loop; delays: of ticks a millisecond apart, no more than the loop's CPU time in them"
    )
    return Line("reload", figures, how)


def _edits(text: str) -> list[tuple[str, str]]:
    every = text.replace("> 800ms", "> 900ms")
    replaced = every.replace("name: check ", "name: page ")
    one = text.replace("> 800ms", "> 801ms", 1)
    return [("unchanged", text), ("one", one), ("every", every), ("replaced", replaced), ("back", text)]


def _reloaded(process: Popen[str], text: str) -> Any:
    assert process.stdin is not None
    process.stdin.write(json.dumps(text) + "\n")
    process.stdin.flush()
    return answer(process)


if __name__ == "__main__":
    sys.exit(run(measure))
