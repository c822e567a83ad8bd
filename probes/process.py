"""Looks at processes of this machine: are they there, what do they use, do they start again and again?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, perf_counter
from typing import Annotated, ClassVar

from probes._look import Look, failed
from probes._patterns import pattern
from probes._system import procfs
from probes._system.hang import Asker, Hung
from probes.contract import (
    BadField,
    Context,
    LookFailed,
    Measurement,
    Observation,
    Probe,
    Reason,
    Unit,
    check_fields,
)

_SLACK = 0.8
"""The part of a look's time limit that reading may take: the rest is for saying so."""
_MOST_COUNTED = 500
"""Processes whose descriptors are counted in one look, the oldest first."""
_COMM = 15
"""Characters of a process's name that the kernel keeps."""
_SHORTEST = 0.5
"""Seconds between looks below which CPU time, which ticks 100 times a second, tells little."""


@dataclass(frozen=True, slots=True)
class Process(Probe):
    """Looks at the processes of a program: how many there are, what they use, and whether they have been replaced.

    ```yaml
    checks:
      - name: nginx
        probe: process
        pidfile: /run/nginx.pid
        degraded: rss > 2GiB for 10m
      - name: workers
        probe: process
        matches: 'celery .*worker'
        down: count < 4
    ```

    Say whom to look at by one or more of: `program`, the name that `ps -o comm` shows; `matches`, a regular
    expression on the whole command line; `pidfile`, a process and all that descend from it; `cgroup`, what runs in a
    control group, such as `nginx.service`. Of several all must be true, so `program` beside a `pidfile` guards
    against a file that was left behind and whose number somebody else has now. None there fails the look (`missing`).

    `cpu`, `rss` and `threads` are sums over all of them; `cpu` is in cores, so 200% are two of them busy all along.
    `open_fds` is that of the process nearest to its own limit. The main process is that of the pidfile, or else the
    oldest; when it has been replaced since the last look, that is one of `restarts`, while a worker that was replaced
    is one of `started`. A process is known by its number and the time of its start, so a number that was used again
    is another process.

    Default thresholds:

    - `open_fds > 80%, clear < 70%` is degraded, `open_fds > 95%` is down: descriptors leak slowly and then all at
      once. At its limit a server cannot accept connections, nor open its log or its database, and few survive that;
      what is left at 95 % goes in one burst.
    - `restarts >= 1 for 3 of 10` is degraded: one restart is a deployment, three within ten looks are a crash loop.
    - `zombies > 10 for 15m` is degraded: the parent does not look after its children, and each keeps a number.
    - None on `cpu`, `rss` and `count`: what is much for one program is little for another. Set `count < N` for yours.

    Limits: Linux. `rss` counts shared memory once for each process. Of more than 500 processes the descriptors of the
    oldest 500 are counted; before Linux 6.2 those of other users need the right to see them, and are left out. Where
    processes of others are hidden (hidepid=, ProtectProc=) the look cannot tell that there is none (`denied`): with
    the shipped unit, `brownout install --with host` shows them. A
    command line is matched in its first 4 KiB; zombies and threads of the kernel have none. All checks share one
    reading of /proc a second, some 20 µs of CPU a process; the first look has no `cpu`, `started` and `restarts`.
    """

    kind: ClassVar[str] = "process"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("count", Unit.COUNT, "Processes, without zombies."),
        Measurement("cpu", Unit.RATIO, "Cores they kept busy since the last look, all together."),
        Measurement("rss", Unit.BYTES, "Resident memory of all."),
        Measurement("open_fds", Unit.RATIO, "Open descriptors against its own limit, of the worst."),
        Measurement("threads", Unit.COUNT, "Threads of all."),
        Measurement("restarts", Unit.COUNT, "1 when the main process has been replaced since the last look, else 0."),
        Measurement("started", Unit.COUNT, "Processes that have been started since the last look."),
        Measurement("zombies", Unit.COUNT, "Processes that have ended and were not reaped by their parent."),
        Measurement("uptime", Unit.SECONDS, "Since the main process was started."),
        Measurement("youngest", Unit.SECONDS, "Since the last of them was started."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "degraded": ("open_fds > 80%, clear < 70%", "restarts >= 1 for 3 of 10", "zombies > 10 for 15m"),
        "down": ("open_fds > 95%",),
    }

    program: Annotated[str | None, "The program's name, as `ps -o comm` shows it."] = None
    matches: Annotated[str | None, "A regular expression (RE2) that is found in the command line."] = None
    pidfile: Annotated[str | None, "The file with the main process's number: an absolute path."] = None
    cgroup: Annotated[str | None, "A control group: `nginx.service`, or its path such as system.slice/x.service."] = (
        None
    )
    _before: _Before = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_before", _Before())
        check_fields(self._check_who, self._check_pattern, self._check_paths)

    def _check_who(self) -> None:
        if not (self.program or self.matches or self.pidfile or self.cgroup):
            raise BadField("program", "nothing says whom to look at: write program, matches, pidfile or cgroup")

    def _check_pattern(self) -> None:
        pattern("matches", self.matches)

    def _check_paths(self) -> None:
        if self.pidfile is not None and not self.pidfile.startswith("/"):
            raise BadField("pidfile", f"{self.pidfile!r} is not an absolute path such as /run/nginx.pid")
        if self.cgroup is not None and (".." in self.cgroup.split("/") or not self.cgroup.strip("/")):
            raise BadField("cgroup", f"{self.cgroup!r} is no path of a control group")

    @property
    def target(self) -> str:
        return self.pidfile or self.cgroup or self.program or f"processes that match {self.matches}"

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, None, context.redact)
        figures: dict[str, float] = {}
        began = perf_counter()
        try:
            query = _Query(self.program, self.matches, self.pidfile, self.cgroup)
            found = await _READER.ask(query, context.timeout * _SLACK)
            look.spend("read", perf_counter() - began)
            self._measure(look, found, figures, context)
        except Hung:
            stuck = "/proc or the pidfile does not answer: the kernel holds a process, or a disk hangs"
            return failed(look, LookFailed(Reason.HUNG, stuck), figures)
        except LookFailed as failure:
            if failure.reason is Reason.MISSING:
                figures["count"] = 0.0
            return failed(look, LookFailed(failure.reason, look.show(failure.detail)), figures)
        finally:
            look.close()
        return Observation(figures, None, "", look.phases, look.evidence)

    def _measure(self, look: Look, found: _Found, figures: dict[str, float], context: Context) -> None:
        living, main, now = found.living, found.main, procfs.uptime()
        figures["count"] = float(len(living))
        figures["zombies"] = float(len(found.zombies))
        figures["rss"] = float(sum(each.rss for each in living))
        figures["threads"] = float(sum(each.threads for each in living))
        figures["uptime"] = max(0.0, now - main.started)
        figures["youngest"] = max(0.0, now - max(each.started for each in living))
        if found.fds is not None:
            figures["open_fds"] = found.fds.open / found.fds.limit
            look.evidence["open_fds"] = look.show(f"{found.fds.of.shown}: {found.fds.open} of {found.fds.limit}")
        if found.denied:
            look.evidence["hidden"] = f"the descriptors of {found.denied} processes: they belong to another user"
        look.evidence["main"] = look.show(main.shown)
        if len(living) > 1:
            look.evidence["largest"] = look.show(max(living, key=lambda each: each.rss).shown)
        identity = f"{main.pid} {main.started:.2f}"
        before = context.memory.get("main")
        if before is not None:
            figures["restarts"] = float(before != identity)
        if context.scheduled or before is None:
            context.memory["main"] = identity
        self._before.compare(living, figures, keep=context.scheduled)


class _Before:
    """What the last look saw: too much for the check's memory, so a restart of the agent costs one look of `cpu`."""

    __slots__ = ("_at", "_cpu")

    def __init__(self) -> None:
        self._at: float | None = None
        self._cpu: dict[tuple[int, float], float] = {}

    def compare(self, living: list[procfs.Process], figures: dict[str, float], *, keep: bool) -> None:
        now = monotonic()
        passed = None if self._at is None else now - self._at
        if passed is not None and passed >= _SHORTEST:
            used = sum(each.cpu - self._cpu.get(each.identity, 0.0) for each in living)
            figures["cpu"] = max(0.0, used) / passed
            figures["started"] = float(sum(each.identity not in self._cpu for each in living))
        if passed is None or (keep and passed >= _SHORTEST):
            self._at = now
            self._cpu = {each.identity: each.cpu for each in living}


# --- in a thread: reading ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Query:
    program: str | None
    matches: str | None
    pidfile: str | None
    cgroup: str | None


@dataclass(frozen=True, slots=True)
class _Descriptors:
    of: procfs.Process
    open: int
    limit: int


@dataclass(frozen=True, slots=True)
class _Found:
    main: procfs.Process
    living: list[procfs.Process]
    zombies: list[procfs.Process]
    fds: _Descriptors | None
    denied: int


def _search(query: _Query) -> _Found:
    """Raises `LookFailed`."""
    main: procfs.Process | None = None
    if query.pidfile is not None:
        main = _of_pidfile(query)
        found = procfs.tree(main, procfs.processes())
    elif query.cgroup is not None:
        found = [each for each in _of_cgroup(query.cgroup) if _fits(each, query)]
    else:
        found = [each for each in procfs.processes().values() if _fits(each, query)]
    living = sorted((each for each in found if not each.zombie), key=lambda each: each.started)
    if not living:
        raise _none(query)
    fds, denied = _most_descriptors(living[:_MOST_COUNTED])
    return _Found(main or living[0], living, [each for each in found if each.zombie], fds, denied)


_READER: Asker[_Query, _Found] = Asker(_search, "processes")


def _of_pidfile(query: _Query) -> procfs.Process:
    path = query.pidfile or ""
    try:
        with Path(path).open("rb") as file:
            words = file.read(64).split()
    except FileNotFoundError:
        raise LookFailed(Reason.MISSING, f"there is no {path}: it was not started, or has ended") from None
    except OSError as error:
        raise LookFailed(Reason.DENIED, f"{path} cannot be read: {error.strerror}") from None
    if not words or not words[0].isdigit():
        raise LookFailed(Reason.SOURCE, f"{path} holds no number of a process")
    found = procfs.process(int(words[0]))
    if found is None and procfs.others_hidden():
        raise LookFailed(Reason.DENIED, f"{path}: processes of other users are hidden from the agent")
    if found is None or found.zombie:
        raise LookFailed(Reason.MISSING, f"there is no process {int(words[0])}, which {path} speaks of")
    if not _fits(found, query):
        raise LookFailed(Reason.MISSING, f"{path} was left behind: its number is now that of {found.shown}")
    return found


def _of_cgroup(path: str) -> list[procfs.Process]:
    try:
        return procfs.of_cgroup(path.strip("/"))
    except FileNotFoundError:
        raise LookFailed(Reason.MISSING, f"there is no control group {path}: nothing of it runs") from None
    except OSError as error:
        raise LookFailed(Reason.DENIED, f"the control group {path} cannot be read: {error.strerror}") from None


def _fits(process: procfs.Process, query: _Query) -> bool:
    if query.program is not None and process.name != query.program[:_COMM]:
        return False
    found = pattern("matches", query.matches)
    return found is None or found.search(procfs.command_line(process.pid)) is not None


def _none(query: _Query) -> LookFailed:
    if procfs.others_hidden():
        return LookFailed(Reason.DENIED, "none is to be seen, but processes of other users are hidden from the agent")
    wanted = [f"{name} {value}" for name in ("program", "matches", "cgroup") if (value := getattr(query, name))]
    return LookFailed(Reason.MISSING, f"no process runs with {' and '.join(wanted)}")


def _most_descriptors(processes: list[procfs.Process]) -> tuple[_Descriptors | None, int]:
    """The process that is nearest to its limit, and of how many nothing can be known."""
    worst: _Descriptors | None = None
    denied = 0
    for process in processes:
        try:
            counted = procfs.descriptors(process.pid)
        except PermissionError:
            denied += 1
            continue
        if counted is not None and (worst is None or counted[0] / counted[1] > worst.open / worst.limit):
            worst = _Descriptors(process, *counted)
    return worst, denied
