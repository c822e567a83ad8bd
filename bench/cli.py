"""How long a person waits for the command line, and what its commands cost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._line import Figure, Line, median, run, spread

LIMIT = 200.0
"""Milliseconds of `brownout --help` (the project's own goal)."""
PATIENCE = 60.0
"""Seconds."""
CHECKS = """\
agent: {{listen: "127.0.0.1:0", state_dir: {folder}/state, vantage: {{name: bench}}}}
sinks: {{hook: {{type: webhook, url: "http://127.0.0.1:9/"}}}}
checks:
  - {{name: home, probe: http, url: "http://127.0.0.1:{port}/", every: 10s}}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds."""

    wall: float
    cpu: float


def measure(options: Namespace) -> Line:
    """`brownout --help` beside `python -c pass`, and commands on a file with one check and one webhook, in turns; CPU
    time is user and system. `first_look`: from starting `brownout run` to the first connection of a look."""
    repeats = 1 if options.quick else 10
    brownout = str(Path(sys.executable).with_name("brownout"))
    taken: dict[str, list[Cost]] = {}
    with TemporaryDirectory(prefix="brownout-bench-") as folder, socket.create_server(("127.0.0.1", 0)) as target:
        file = Path(folder) / "checks.yaml"
        file.write_text(CHECKS.format(folder=folder, port=target.getsockname()[1]), encoding="utf-8")
        nobody = free_of_listeners()
        commands = {
            "help": [brownout, "--help"],
            "python_alone": [sys.executable, "-c", "pass"],
            "version": [brownout, "--version"],
            "validate": [brownout, "validate", str(file)],
            "look": [brownout, "look", str(file), "home"],
            "status": [brownout, "status", "--url", nobody],
        }
        for _ in range(repeats):
            for name, command in commands.items():
                taken.setdefault(name, []).append(_cost(command, target if name == "look" else None))
            taken.setdefault("first_look", []).append(_until_asked([brownout, "run", str(file)], target))
    helps = [cost.wall for cost in taken["help"]]
    figures = [Figure("help", median(helps), "ms", LIMIT)]
    figures += [
        Figure(name, median([cost.wall for cost in costs]), "ms") for name, costs in taken.items() if name != "help"
    ]
    figures += [Figure(f"{name}_cpu", median([cost.cpu for cost in costs]), "ms") for name, costs in taken.items()]
    return Line("cli", tuple(figures), f"wall and CPU time of processes; help {spread(helps, 'ms')}")


def free_of_listeners() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def _cost(command: Sequence[str], target: socket.socket | None) -> Cost:
    began = time.perf_counter()
    process = _started(command)
    if target is not None:
        _answer(target)
    return _ended(process, began)


def _until_asked(command: Sequence[str], target: socket.socket) -> Cost:
    began = time.perf_counter()
    process = _started(command)
    target.settimeout(PATIENCE)
    try:
        connection, _ = target.accept()
        wall = (time.perf_counter() - began) * 1000
        ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        connection.close()
    finally:
        process.kill()
        process.wait()
    return Cost(wall, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") * 1000)


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _ended(process: subprocess.Popen[bytes], began: float) -> Cost:
    _, _, usage = os.wait4(process.pid, 0)
    wall = (time.perf_counter() - began) * 1000
    process.returncode = 0  # it has been waited for
    return Cost(wall, (usage.ru_utime + usage.ru_stime) * 1000)


def _answer(target: socket.socket) -> None:
    target.settimeout(PATIENCE)
    connection, _ = target.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


if __name__ == "__main__":
    sys.exit(run(measure))
