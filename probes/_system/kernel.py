"""What the kernel counts and runs out of: descriptors, connections, tasks, disks at work, the clock.

All from /proc, which no disk is behind, and one system call: some 0.1 ms in all.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import time
from collections.abc import MutableMapping
from pathlib import Path

Memory = MutableMapping[str, float | str]

_PROC = Path("/proc")
_DISK = re.compile(r"(?:sd|hd|vd|xvd)[a-z]+|nvme\d+n\d+|mmcblk\d+")
"""Whole disks: what lies upon them (partitions, dm, md) tells of the same work again."""
_SHORTEST = 0.5
"""Seconds between looks below which counters tell too little."""
_FEWEST_OPERATIONS = 10
_STA_UNSYNC, _STA_NANO = 0x0040, 0x2000


def read_limits(figures: dict[str, float], hidden: list[str]) -> None:
    """Descriptors, tracked connections and tasks, each against the kernel's limit."""
    used, _, limit = (_numbers("sys/fs/file-nr", hidden) + [0.0] * 3)[:3]
    if limit:
        figures["open_files"] = used / limit
    netfilter = _PROC / "sys/net/netfilter"
    if (netfilter / "nf_conntrack_count").exists():  # else it is not loaded, or another network namespace's
        count, most = (
            _numbers("sys/net/netfilter/nf_conntrack_count", hidden),
            _numbers("sys/net/netfilter/nf_conntrack_max", hidden),
        )
        if count and most and most[0]:
            figures["conntrack_used"] = count[0] / most[0]
    limits = [*_numbers("sys/kernel/pid_max", hidden), *_numbers("sys/kernel/threads-max", hidden)]
    tasks = _text("loadavg", hidden).partition("/")[2].split()
    if tasks and limits:
        figures["tasks_used"] = int(tasks[0]) / min(limits)


def read_kills(figures: dict[str, float], memory: Memory, hidden: list[str], *, keep: bool) -> None:
    """Processes that the kernel has killed for want of memory since the last look."""
    match = re.search(r"^oom_kill (\d+)$", _text("vmstat", hidden), re.MULTILINE)
    if match is None:
        return
    count, before = float(match[1]), memory.get("oom_kills")
    if isinstance(before, float):
        figures["oom_kills"] = count - before if count >= before else count
    if keep or before is None:
        memory["oom_kills"] = count


def read_disks(figures: dict[str, float], evidence: dict[str, str], memory: Memory, hidden: list[str]) -> None:
    """How busy the busiest disk is, and how long the slowest takes for one operation (diskstats, iostats.rst)."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    found: dict[str, tuple[int, int, int]] = {}
    for line in _text("diskstats", hidden).splitlines():
        fields = line.split()
        if len(fields) >= 14 and _DISK.fullmatch(fields[2]):
            reads, read_ms, writes, write_ms, busy_ms = (int(fields[at]) for at in (3, 6, 7, 10, 12))
            found[fields[2]] = (reads + writes, read_ms + write_ms, busy_ms)
    at, written = memory.get("disks_at"), memory.get("disks")
    passed = now - at if isinstance(at, float) else None
    if passed is not None and 0 <= passed < _SHORTEST:
        return
    memory["disks_at"], memory["disks"] = now, json.dumps(found)
    if passed is None or passed < 0 or not isinstance(written, str):
        return  # the first look, or the machine has booted since
    busy, slow = {}, {}
    for name, before in json.loads(written).items():
        operations, spent, worked = (new - old for new, old in zip(found.get(name, before), before, strict=True))
        if min(operations, spent, worked) < 0:
            continue  # another disk under the old name
        busy[name] = min(1.0, worked / 1000 / passed)
        slow[name] = spent / 1000 / operations if operations >= _FEWEST_OPERATIONS else 0.0
    if busy:
        busiest, slowest = max(busy, key=lambda name: busy[name]), max(slow, key=lambda name: slow[name])
        figures["io_busy"], figures["io_latency"] = busy[busiest], slow[slowest]
        if busy[busiest] > 0.5:
            evidence["io_busy"] = f"{busiest} ({busy[busiest]:.0%})"
        if slow[slowest] > 0.05:
            evidence["io_latency"] = f"{slowest} ({slow[slowest] * 1000:.0f} ms)"


class _Timex(ctypes.Structure):
    """The head of struct timex (adjtimex(2)); only `modes` is ever written, and it is 0: to read."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


_LIBC = ctypes.CDLL(None, use_errno=True)


def read_clock(figures: dict[str, float], hidden: list[str]) -> None:
    """Whether the kernel's clock is kept by somebody, whoever that is (chrony, ntpd, timesyncd), and how well."""
    adjtimex = getattr(_LIBC, "adjtimex", None)
    if adjtimex is None or ctypes.sizeof(ctypes.c_long) != 8:
        return  # 32 bits: the structure has two shapes there
    timex = _Timex()
    if adjtimex(ctypes.byref(timex)) < 0:
        hidden.append(f"the clock's state: adjtimex: {os.strerror(ctypes.get_errno())}")
        return
    figures["clock_unsynced"] = float(bool(timex.status & _STA_UNSYNC))
    figures["clock_error"] = timex.maxerror / 1e6
    figures["clock_offset"] = abs(timex.offset) / (1e9 if timex.status & _STA_NANO else 1e6)


def _text(name: str, hidden: list[str]) -> str:
    path = _PROC / name
    try:
        return path.read_text()
    except OSError as error:
        hidden.append(f"{path}: {error.strerror}")  # ProcSubset=pid, or a kernel without it
        return ""


def _numbers(name: str, hidden: list[str]) -> list[float]:
    return [float(word) for word in _text(name, hidden).split()]
