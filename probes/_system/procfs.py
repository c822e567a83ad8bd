"""Processes as /proc tells of them: read in a thread, as a process that the kernel holds may make a read wait.

Reading /proc/PID/stat takes some 20 µs, so a machine of 2,000 processes some 40 ms: one reading serves all checks
that look at the same time, and while it lasts the loop turns on, as each read lets go of the interpreter.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = "/proc"
_CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")
_MOST_GROUPS = 1000
_FRESH = 0.15
"""Seconds for which a reading of all processes serves others as well: looks that confirm one another are not as close
together."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process. Its number is used again one day; with the time of its start it is its own for ever."""

    pid: int
    name: str
    """As ps shows it in its column comm: at most 15 characters."""
    parent: int
    zombie: bool
    cpu: float
    """Seconds of CPU since its start, without its children's."""
    threads: int
    started: float
    """Seconds from the boot of the machine to its start."""
    rss: int
    """Resident bytes, shared ones included."""

    @property
    def identity(self) -> tuple[int, float]:
        return self.pid, self.started

    @property
    def shown(self) -> str:
        return f"{self.name}[{self.pid}]"


def uptime() -> float:
    """Seconds since the boot, sleep included: the clock of `Process.started`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def process(pid: int) -> Process | None:
    """None when there is none of that number, or it is hidden from us."""
    text = _read(f"{_PROC}/{pid}/stat")
    return None if text is None else _parse(text)


class _Reading:
    """All processes as they were a moment ago."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = -math.inf
        self._found: Mapping[int, Process] = {}

    def now(self) -> Mapping[int, Process]:
        with self._lock:  # whoever comes meanwhile waits for the same reading
            if time.monotonic() - self._at > _FRESH:
                numbers = map(int, filter(str.isdecimal, os.listdir(_PROC)))  # noqa: PTH208
                self._found = {each.pid: each for each in _of(numbers)}
                self._at = time.monotonic()
            return self._found


_READING = _Reading()


def processes() -> Mapping[int, Process]:
    """All that we may see, by number."""
    return _READING.now()


def _of(pids: Iterable[int]) -> Iterator[Process]:
    for pid in pids:
        found = process(pid)
        if found is not None:
            yield found


def tree(root: Process, everybody: Mapping[int, Process]) -> list[Process]:
    """A process and all that descend from it."""
    children: dict[int, list[Process]] = {}
    for each in everybody.values():
        children.setdefault(each.parent, []).append(each)
    found, waiting = [root], [root.pid]
    while waiting:
        born = children.pop(waiting.pop(), [])
        found += born
        waiting += [each.pid for each in born]
    return found


def of_cgroup(path: str) -> list[Process]:
    """The processes of a control group and of those within it. Raises FileNotFoundError.

    The name of a unit stands for its group among the system's services; instances have a slice of their own there.
    """
    template = path.partition("@")[0].replace("-", "\\x2d")
    inside = (path, f"system.slice/{path}", f"system.slice/system-{template}.slice/{path}")
    groups = (Path(base, name) for name in inside for base in _CGROUPS)
    group = next((group for group in groups if group.is_dir()), None)
    if group is None:
        raise FileNotFoundError(path)
    pids: set[int] = set()
    for count, (folder, _, _) in enumerate(os.walk(group)):
        if count >= _MOST_GROUPS:
            break
        pids.update(map(int, (_read(f"{folder}/cgroup.procs") or b"").split()))
    return list(_of(sorted(pids)))


def command_line(pid: int) -> bytes:
    """Its arguments, with blanks between them, 4 KiB at most; empty for a zombie and a thread of the kernel."""
    return (_read(f"{_PROC}/{pid}/cmdline", 4096) or b"").replace(b"\0", b" ").strip()


def descriptors(pid: int) -> tuple[int, int] | None:
    """How many it has open, and may have. None when it is gone or knows no limit. Raises PermissionError."""
    try:
        # From Linux 6.2 on the size of the folder is the number, for whoever asks.
        count = os.stat(f"{_PROC}/{pid}/fd").st_size or len(os.listdir(f"{_PROC}/{pid}/fd"))  # noqa: PTH116, PTH208
    except (FileNotFoundError, ProcessLookupError):
        return None
    for line in (_read(f"{_PROC}/{pid}/limits") or b"").splitlines():
        if line.startswith(b"Max open files"):
            soft = line.split()[3]
            return (count, int(soft)) if soft.isdigit() and int(soft) else None
    return None


def others_hidden() -> bool:
    """Whether processes of others cannot be seen: /proc with hidepid=, or a service with ProtectProc=."""
    return _read(f"{_PROC}/1/stat") is None


def _read(path: str, most: int = 65536) -> bytes | None:
    # Plain calls: pathlib would triple the time of a reading.
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.read(file, most)
    except OSError:
        return None  # it has gone meanwhile
    finally:
        os.close(file)


def _parse(text: bytes) -> Process | None:
    """``pid (name) state ppid ...`` (proc_pid_stat(5)); a name may hold blanks and brackets."""
    head, _, tail = text.rpartition(b") ")
    number, _, name = head.partition(b" (")
    values = tail.split()
    if len(values) < 22:
        return None
    return Process(
        pid=int(number),
        name=name.decode("utf-8", "replace"),
        parent=int(values[1]),
        zombie=values[0] in (b"Z", b"X"),
        cpu=(int(values[11]) + int(values[12])) / _TICKS,
        threads=int(values[17]),
        started=int(values[19]) / _TICKS,
        rss=int(values[21]) * _PAGE,
    )
