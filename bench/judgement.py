"""How soon, and how seldom wrongly: the agent's core against simulated targets, beside the usual policies.

`--trace FILE` plays a target of one's own instead (docs/judgement.md tells the format).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from bench._cells import Found
from bench._jobs import GROUPS, Job, jobs
from bench._played import play
from bench._traffic import read_trace
from bench._verdicts import as_json, line, table
from monitor.config.units import parse_duration

SEED = 5


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parsed(arguments)
    if options.trace is not None:
        return _trace(options)
    began = time.monotonic()
    found = gathered(
        jobs(quick=options.quick, seed=options.seed, only=options.only, part=options.part), options.processes
    )
    result = line(found, time.monotonic() - began)
    if options.json:
        print(json.dumps(as_json(found, result), indent=1))
    else:
        print("\n".join(table(found)))
        print(result, flush=True)
    return 0 if result.ok or options.quick else 1


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less than a minute: shows that it runs, judges nothing")
    parser.add_argument("--only", action="append", choices=sorted(GROUPS), help="only these figures; may be repeated")
    parser.add_argument("--part", type=float, default=1.0, help="do only this part of the work (%(default)g)")
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 2), help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="the table and the goals, for machines")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="play this target: JSON lines")
    parser.add_argument("--every", type=_seconds, default=30.0, help="with --trace: the check's interval (30s)")
    parser.add_argument("--runs", type=int, default=1, help="with --trace: so many times (%(default)s)")
    parser.add_argument("--until", type=_seconds, help="with --trace: when it ends (an hour after the last line's "
                        "beginning; a target of one line: 30 days)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=SEED, help="of all that is drawn (%(default)s)")
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    """``30``, ``30s`` or ``1m``; more than nothing."""
    try:
        seconds = float(text) if text.replace(".", "", 1).isdigit() else parse_duration(text).total_seconds()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text} is no interval")
    return seconds


def _trace(options: argparse.Namespace) -> int:
    try:
        with options.trace.open(encoding="utf-8") as lines:
            phases = read_trace(lines)
    except (OSError, ValueError) as error:
        print(f"bench.judgement: {options.trace}: {error}", file=sys.stderr)
        return 2
    for record in play(phases, every=options.every, seed=options.seed, runs=options.runs, until=options.until):
        print(json.dumps(record), flush=True)
    return 0


def gathered(todo: Sequence[Job], processes: int) -> dict[tuple[str, str, float], Found]:
    """What the jobs have found, by group, policy and interval."""
    found: dict[tuple[str, str, float], Found] = {}
    for job, part in _done(todo, processes):
        found.setdefault(job.key, Found()).merge(part)
    return found


def _done(todo: Sequence[Job], processes: int) -> Iterator[tuple[Job, Found]]:
    if processes < 2:
        yield from ((job, job.run()) for job in todo)
        return
    with ProcessPoolExecutor(processes) as pool:
        running = {pool.submit(job.run): job for job in todo}
        for number, future in enumerate(as_completed(running), 1):
            if sys.stderr.isatty():
                print(f"\r{number} of {len(running)} parts", end="", file=sys.stderr, flush=True)
            yield running[future], future.result()
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
