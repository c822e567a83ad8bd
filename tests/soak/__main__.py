"""`python -m tests.soak [--seed N] [--moments 200]`: SIGKILL at random moments; the seed repeats the moments."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.kills import Soak, kills


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats the moments of an earlier run")
    parser.add_argument("--moments", type=int, default=200, help="how often the agent is killed (%(default)s)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="brownout-soak-"))
    print(f"seed {options.seed}, {options.moments} moments, in {folder}", flush=True)
    try:
        soak = asyncio.run(kills(folder, options.seed, options.moments, tell=_progress))
    except (AssertionError, TimeoutError) as error:
        print(f"\nFAILED: {error}\nrepeat it with --seed {options.seed}; all is left in {folder}", flush=True)
        return 1
    print(f"\n{_verdict(soak)}", flush=True)
    shutil.rmtree(folder)
    return 0


def _progress(line: str) -> None:
    ending = "\x1b[K\r" if sys.stdout.isatty() else "\n"
    print(line, end=ending, flush=True)


def _verdict(soak: Soak) -> str:
    receiver = soak.receiver
    deaths = ", ".join(f"{count} while {during}" for during, count in soak.deaths.items())
    return (
        f"ok: {sum(soak.deaths.values())} kills ({deaths}); {len(receiver.told)} events told, "
        f"{len(receiver.repeated)} of them more than once with the same id and body; nothing lost, no second id, "
        f"every stream in order, every incident closed"
    )


if __name__ == "__main__":
    sys.exit(main())
