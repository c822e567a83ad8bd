"""An agent in a process of its own, whose looks are written down: `python -m bench._truthful FILE TOLD`.

Prints "ready" when it has started. Ends when its stdin does, writes a line `number began ended reason phases` for
each look to TOLD (`phases` are JSON), and prints "written".
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import uvloop

from bench._agent import started
from monitor.core.model import Look
from monitor.core.world import Decision, World


def written_down(world: World, told: list[str]) -> None:
    """From now on every look that is decided on is a line in `told`."""
    observe = world.observe

    def witnessed(look: Look) -> Decision:
        seen, number = look.observation, look.check.rpartition("-")[2].rpartition(" ")[2]
        reason = seen.reason.value if seen.reason is not None else "ok"
        phases = json.dumps({name: round(took, 7) for name, took in seen.phases.items()})
        told.append(f"{number} {look.began.tick:.6f} {look.ended.tick:.6f} {reason} {phases}")
        return observe(look)

    setattr(world, "observe", witnessed)  # noqa: B010  (the type of a method cannot be assigned to)


async def watch(file: Path, told: list[str]) -> None:
    async with started(file) as agent:
        written_down(agent.world, told)
        print('"ready"', flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main(file: Path, path: Path) -> None:
    told: list[str] = []
    uvloop.run(watch(file, told))
    path.write_text("\n".join(told))
    print('"written"', flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
