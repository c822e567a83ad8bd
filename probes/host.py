"""Looks at the machine the agent runs on: CPU, memory, disks, pressure, the kernel's limits, the clock."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Annotated, ClassVar

import psutil

from probes._look import visible
from probes._system.forecast import forecast
from probes._system.kernel import read_clock, read_disks, read_kills, read_limits
from probes._system.mounts import Hung, RealFileSystems, Space, Watchers, local_mounts
from probes.contract import BadField, Context, LookFailed, Measurement, Observation, Probe, Reason, Unit

_SLACK = 0.8
"""The part of a look's time limit that a mount may take: the rest is for saying so."""
_PRESSURE = Path("/proc/pressure")
# One for all checks: two checks of one mount must not hang in two threads.
_WATCHERS = Watchers(RealFileSystems())


@dataclass(frozen=True, slots=True)
class Host(Probe):
    """Looks at the machine itself: what runs full before users notice.

    ```yaml
    checks:
      - name: web1
        probe: host
        every: 15s
        disks: [/, /var/lib/postgresql]
        degraded: pressure_io > 40% for 5m
    ```

    `cpu` is the busy part of all cores' time since the check's last look, so the first look has none. Memory counts
    as used what is not available to programs: caches are not in use. `pressure_*` is the kernel's own figure of the
    last minute: the part of the time in which at least one task waited for CPU, memory or the disk; it is left out
    where the kernel does not have it. Of several disks the worst is reported, and named in the evidence.

    `disk_full_in` is learnt from how the disks have filled in the last 20 minutes and the last 6 hours, at the
    earliest after 7 minutes; 30 days stand for "not in sight". It looks ahead four times as far as back, and
    keeps quiet below where the disk has been within a week and came back from, as logs do between two rotations.

    `clock_error` is the kernel's own bound, which grows by 0.5 ms a second until the time is set again; who keeps the
    clock (chrony, ntpd, timesyncd) makes no difference.

    Default thresholds make a check degraded, none makes it down: a machine that runs full still serves, and whether
    customers notice is for the checks that look at the service to say.

    - `disk_used > 90%` and `inodes_used > 90%`: databases and queues stop for good when a write fails, and below 10 %
      free most file systems fragment. It is the first figure to mend and never comes back by itself.
    - `memory_used > 95% for 5m`: the kernel begins to kill processes when nothing is available; a peak is no trouble.
    - `pressure_memory > 20% for 5m`: tasks wait for memory a fifth of the time, which is what swapping feels like.
      There is no threshold on `swap_used`: swap that is full of idle pages is as it should be.
    - `cpu > 95% for 15m`: a backup or a build is none of anybody's business, a quarter of an hour is a new load.
    - `disk_full_in < 4h, clear > 6h`: time to find out what fills it and to act. `disk_used` tells of the slow ones
      days ahead; this tells of the log that has gone wild on a disk that was half empty, while it still is.
    - `oom_kills >= 1 for 1 of 10`: a process was killed for want of memory, its own group's limit included. Whatever
      it did is undone, and what made it grow is mostly still there. It shows for ten looks, or it would be missed.
    - `open_files > 80%`, `conntrack_used > 80%`, `tasks_used > 80%`: beyond their limits the kernel refuses whomever
      comes, and for connections it says so to nobody but its own log.
    - `clock_unsynced >= 1 for 1h`: nobody keeps the clock. It drifts by seconds a week, until tokens are refused,
      certificates are not valid yet and logs cannot be laid side by side.
    - None on `io_busy` and `io_latency`: a disk that serves many at once is busy all the time and well, and what is
      slow depends on what it is. `pressure_io` tells what tasks feel of it.

    Limits: Linux (elsewhere only cpu, load and memory). What a sandbox hides is left out and named in the evidence
    (`hidden`): with the shipped unit that is all but disks, until `brownout install --with host` opens /proc; `clock`
    adds the clock's figures, and `home` the disks of /home and /root. In a container the figures are the host's. A
    mount that does not answer in time makes the look fail (`hung`) and is named; its thread is left behind, and
    nothing else waits. By default all real local file systems are looked at, but those below folders that the agent's
    user may not enter; name network mounts in `disks` if they matter. Six disks are watched for their pace, the
    fullest.
    """

    kind: ClassVar[str] = "host"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("cpu", Unit.RATIO, "Busy part of all cores' time since the last look."),
        Measurement("load_per_core", Unit.COUNT, "One-minute load average divided by the number of cores."),
        Measurement("memory_used", Unit.RATIO, "Memory that is not available to programs."),
        Measurement("swap_used", Unit.RATIO, "Swap in use; left out without swap."),
        Measurement("disk_used", Unit.RATIO, "Space in use on the fullest disk, as df counts."),
        Measurement("disk_free", Unit.BYTES, "Space left on the disk that has least."),
        Measurement("inodes_used", Unit.RATIO, "Inodes in use on the disk with the fewest left."),
        Measurement("pressure_cpu", Unit.RATIO, "Part of the last minute in which some task waited for CPU."),
        Measurement("pressure_memory", Unit.RATIO, "Part of the last minute in which some task waited for memory."),
        Measurement("pressure_io", Unit.RATIO, "Part of the last minute in which some task waited for the disk."),
        Measurement(
            "disk_full_in", Unit.SECONDS, "Until the first disk is full at its present pace; 30 days at most."
        ),
        Measurement("io_busy", Unit.RATIO, "Part of the time since the last look in which the busiest disk worked."),
        Measurement(
            "io_latency", Unit.SECONDS, "Mean time of an operation since the last look, of the slowest disk."
        ),
        Measurement("open_files", Unit.RATIO, "Open files of all processes against the kernel's limit."),
        Measurement("conntrack_used", Unit.RATIO, "Tracked connections against the limit, where they are tracked."),
        Measurement("tasks_used", Unit.RATIO, "Processes and threads against the kernel's limit."),
        Measurement("oom_kills", Unit.COUNT, "Processes killed for want of memory since the last look."),
        Measurement("clock_unsynced", Unit.COUNT, "1 while nobody keeps the clock, else 0."),
        Measurement("clock_error", Unit.SECONDS, "How far the clock may be off, as the kernel estimates."),
        Measurement("clock_offset", Unit.SECONDS, "How far the clock is being adjusted at present."),
        Measurement("uptime", Unit.SECONDS, "Since the machine booted."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "degraded": (
            "disk_used > 90%, clear < 88%",
            "inodes_used > 90%, clear < 88%",
            "memory_used > 95% for 5m",
            "pressure_memory > 20% for 5m",
            "cpu > 95% for 15m",
            "disk_full_in < 4h, clear > 6h",
            "oom_kills >= 1 for 1 of 10",
            "open_files > 80%",
            "conntrack_used > 80%",
            "tasks_used > 80%",
            "clock_unsynced >= 1 for 1h",
        )
    }

    disks: Annotated[tuple[str, ...], "Paths on the file systems to look at; none: all real local ones."] = ()
    _watchers: Watchers = field(default=_WATCHERS, repr=False, compare=False)
    """Not of the YAML: whom to ask about file systems, so that a test can hand in one that hangs."""
    _clock: Callable[[], float] = field(default=time.time, repr=False, compare=False)
    """Not of the YAML: the wall clock, so that a test can let hours pass."""

    def __post_init__(self) -> None:
        for path in self.disks:
            if not path.startswith("/"):
                raise BadField("disks", f"{path!r} is not an absolute path such as /var/lib")

    @property
    def target(self) -> str:
        return ", ".join(self.disks) or "this host"

    async def look(self, context: Context) -> Observation:
        started = perf_counter()
        figures: dict[str, float] = {}
        evidence: dict[str, str] = {}
        hidden: list[str] = []
        # These are reads of /proc that never touch a disk: some 0.8 ms in all, so they stay on the loop.
        try:
            _memory(figures)
            _cpu(figures, context.memory)
            figures["uptime"] = max(0.0, time.time() - psutil.boot_time())
        except OSError as error:
            # systemd's ProcSubset=pid hides /proc/stat and /proc/meminfo.
            hidden.append(f"{error.filename}: {error.strerror}")
        _pressure(figures)
        if sys.platform == "linux":
            read_limits(figures, hidden)
            read_kills(figures, context.memory, hidden, keep=context.scheduled)
            read_disks(figures, evidence, context.memory, hidden)
            read_clock(figures, hidden)
        local = perf_counter()
        failure = await self._disks(figures, evidence, hidden, context)
        if hidden:
            evidence["hidden"] = visible("; ".join(hidden))
        phases = {"local": local - started, "disks": perf_counter() - local}
        if failure is not None:
            return Observation(figures, failure.reason, failure.detail, phases, evidence)
        return Observation(figures, None, "", phases, evidence)

    async def _disks(
        self, figures: dict[str, float], evidence: dict[str, str], hidden: list[str], context: Context
    ) -> LookFailed | None:
        """Fill in the figures of the disks that answer; the trouble of the others. One that we may not look at is
        trouble only where it was named."""
        timeout = context.timeout * _SLACK
        try:
            paths = self.disks or local_mounts()
        except FileNotFoundError:
            paths = ("/",)  # no /proc: not Linux
        answers = await asyncio.gather(
            *(self._watchers.space(path, timeout) for path in paths), return_exceptions=True
        )
        spaces: dict[str, Space] = {}
        troubles: list[LookFailed] = []
        for path, answer in zip(paths, answers, strict=True):
            if isinstance(answer, Space):
                spaces[path] = answer
            elif isinstance(answer, PermissionError) and not self.disks:
                hidden.append(f"{path}: {answer.strerror}")
            elif isinstance(answer, Hung | OSError | LookFailed):
                troubles.append(_trouble(path, answer))
            else:
                raise answer
        _worst(spaces, figures, evidence)
        full = forecast({path: space for path, space in spaces.items() if space.total}, context.memory, self._clock())
        if full is not None:
            figures["disk_full_in"] = full[0]
            if full[1]:
                evidence["disk_full_in"] = visible(f"{full[1]} ({full[0] / 3600:.1f} h)")
        # A hung mount is worse news than one that is missing.
        return min(troubles, key=lambda trouble: trouble.reason is not Reason.HUNG, default=None)


def _trouble(path: str, error: Hung | OSError | LookFailed) -> LookFailed:
    if isinstance(error, LookFailed):
        return error
    shown = visible(path, 200)
    if isinstance(error, Hung):
        return LookFailed(Reason.HUNG, f"the file system at {shown} does not answer")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return LookFailed(Reason.MISSING, f"there is nothing at {shown}")
    if isinstance(error, PermissionError):
        return LookFailed(Reason.DENIED, f"the agent may not look at {shown}")
    return LookFailed(Reason.MISSING, f"the file system at {shown} does not work: {error.strerror}")


def _worst(spaces: Mapping[str, Space], figures: dict[str, float], evidence: dict[str, str]) -> None:
    sized = {path: space for path, space in spaces.items() if space.total}
    if not sized:
        return
    fullest = max(sized, key=lambda path: sized[path].used)
    figures["disk_used"] = sized[fullest].used
    least = min(sized, key=lambda path: sized[path].available)
    figures["disk_free"] = float(sized[least].available)
    evidence["disk_used"] = visible(f"{fullest} ({sized[fullest].used:.1%})")
    evidence["disk_free"] = visible(f"{least} ({sized[least].available / 2**30:.1f} GiB)")
    inodes = {path: used for path, space in sized.items() if (used := space.inodes_used) is not None}
    if inodes:
        most = max(inodes, key=lambda path: inodes[path])
        figures["inodes_used"] = inodes[most]
        evidence["inodes_used"] = visible(f"{most} ({inodes[most]:.1%})")


def _cpu(figures: dict[str, float], memory: MutableMapping[str, float | str]) -> None:
    times = psutil.cpu_times()
    # user holds guest and nice holds guest_nice (proc(5)), so those two are not counted again.
    fields = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    total = sum(getattr(times, name, 0.0) for name in fields)
    idle = times.idle + getattr(times, "iowait", 0.0)
    cores = os.cpu_count() or 1
    figures["load_per_core"] = os.getloadavg()[0] / cores
    total_before, idle_before = memory.get("cpu_total"), memory.get("cpu_idle")
    if isinstance(total_before, float) and isinstance(idle_before, float):
        passed = total - total_before
        # The counters tick 100 times a second: over less than half a second they tell little, so go on counting.
        if 0 <= passed < cores * 0.5:
            return
        # A machine that has booted since began again at zero; this look then has no figure.
        if passed > 0:
            figures["cpu"] = min(1.0, max(0.0, 1 - (idle - idle_before) / passed))
    memory["cpu_total"], memory["cpu_idle"] = total, idle


def _memory(figures: dict[str, float]) -> None:
    memory = psutil.virtual_memory()
    figures["memory_used"] = 1 - memory.available / memory.total
    swap = psutil.swap_memory()
    if swap.total:
        figures["swap_used"] = swap.used / swap.total


def _pressure(figures: dict[str, float]) -> None:
    """``some avg10=0.00 avg60=1.25 avg300=... total=...``, in percent (Documentation/accounting/psi.rst)."""
    for resource in ("cpu", "memory", "io"):
        try:
            line = (_PRESSURE / resource).read_text().partition("\n")[0]
            figures[f"pressure_{resource}"] = float(line.partition("avg60=")[2].split()[0]) / 100
        except (OSError, ValueError, IndexError):
            continue  # a kernel without it, or one that was told not to keep it (psi=0)
