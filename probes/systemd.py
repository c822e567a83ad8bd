"""Looks at systemd's units: what has failed, what does not run, what is started again and again."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from time import perf_counter
from typing import Annotated, ClassVar

from probes._look import Look, failed
from probes._system.hang import Hung
from probes._system.spawn import CannotStart, Ended, Endless, clean_environment, run
from probes.contract import BadField, Context, LookFailed, Measurement, Observation, Probe, Reason, Unit

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@*?\[\]-]{1,255}")
_SUFFIX = re.compile(r"\.(service|socket|target|device|mount|automount|swap|timer|path|slice|scope)$")
_PROPERTIES = (
    "Id", "Names", "LoadState", "ActiveState", "SubState", "Result", "Type", "NRestarts",
    "MemoryCurrent", "MemoryMax", "TasksCurrent", "TasksMax", "ActiveEnterTimestampMonotonic",
)  # fmt: skip
_MOST_OUTPUT = 256 * 1024
_MOST_REMEMBERED = 100
"""Units whose restarts are remembered between looks."""
_NAMED = 8
"""Units named in the evidence."""
_TO_END = 0.5
_BOOTED = Path("/run/systemd/system")


@dataclass(frozen=True, slots=True)
class Systemd(Probe):
    """Looks at systemd's units on this machine, all of them or those you name.

    ```yaml
    checks:
      - name: units
        probe: systemd
        every: 60s
      - name: web
        probe: systemd
        units: [nginx.service, "app@*.service"]
    ```

    Without `units` it counts what has failed on the whole machine. With them it knows what should run: a unit that is
    inactive, failed, masked or waits for its restart does not, and neither does a pattern that no running unit fits.
    A oneshot service has done its work when it is inactive and succeeded, so it counts only when it failed. A unit
    that systemd does not know at all fails the look (`missing`). A name without suffix is a service.

    `restarts` are those that systemd made by itself (`Restart=`) since the last look, so the first look has none; a
    restart by hand or by a deployment does not count.

    Default thresholds:

    - `failed >= 1` is degraded: a failed unit stays so until somebody has looked, and a machine without any is what
      all of systemd's own tools call "running". Two looks must agree.
    - `not_running >= 1` is down: you named it, and it does not run. A restart is over between two looks.
    - `restarts >= 1 for 3 of 10` is degraded: once may be bad luck, and systemd mended it. In three of ten looks it
      is a crash loop that `Restart=always` hides: the unit is up whenever somebody asks.
    - `starting >= 1 for 5m` is degraded: most services start in seconds, and systemd itself gives up after 90 s
      unless it was told otherwise.
    - `tasks_used > 90%, clear < 80%` is degraded: at its limit a service cannot start threads, and most of them take
      that for a reason to crash. There is none on `memory_used`: it includes caches, which fill up any limit.

    Limits: it asks `systemctl`, which takes some 10 ms of CPU a look, and PID 1 some 0.2 ms a unit. Patterns fit
    loaded units only, as in systemctl. `uptime` is that of the unit that entered its state last. Without a systemd,
    as in most containers, the look cannot tell (`unsupported`). The shipped unit lets it ask; it needs no drop-in.
    """

    kind: ClassVar[str] = "systemd"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("failed", Unit.COUNT, "Units in the state failed."),
        Measurement("not_running", Unit.COUNT, "Entries of `units` of which nothing runs."),
        Measurement(
            "starting", Unit.COUNT, "Named units that are being started, and have not said that they are up."
        ),
        Measurement("restarts", Unit.COUNT, "Restarts that systemd made by itself since the last look."),
        Measurement("units", Unit.COUNT, "Named units, patterns counted as what fits them."),
        Measurement("uptime", Unit.SECONDS, "Since the named unit that was started last is up."),
        Measurement(
            "memory_used", Unit.RATIO, "Memory against MemoryMax=, caches included, of the worst named unit."
        ),
        Measurement("tasks_used", Unit.RATIO, "Processes and threads against TasksMax=, of the worst named unit."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "degraded": (
            "failed >= 1",
            "restarts >= 1 for 3 of 10",
            "starting >= 1 for 5m",
            "tasks_used > 90%, clear < 80%",
        ),
        "down": ("not_running >= 1",),
    }

    units: Annotated[tuple[str, ...], "Units that should run, or patterns with `*`; none: what fails of all."] = ()
    _systemctl: tuple[str, ...] = field(default=("systemctl",), repr=False, compare=False)
    """Not of the YAML: how to reach systemctl, so that a test can ask a systemd of its own."""

    def __post_init__(self) -> None:
        for unit in self.units:
            if not _UNIT.fullmatch(unit):
                raise BadField("units", f"{unit!r} is no name of a unit, such as nginx.service or app@*.service")

    @property
    def target(self) -> str:
        return ", ".join(self.units) or "all units"

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, None, context.redact)
        figures: dict[str, float] = {}
        try:
            units = await self._ask(look)
            if self.units:
                self._read_named(look, units, figures, context)
            else:
                _read_failed(look, units, figures)
        except LookFailed as failure:
            return failed(look, failure, figures)
        finally:
            look.close()
        return Observation(figures, None, "", look.phases, look.evidence)

    async def _ask(self, look: Look) -> list[_State]:
        which = ["--", *map(_full, self.units)] if self.units else ["--state=failed", "--", "*"]
        command = (*self._systemctl, "show", "--no-pager", f"--property={','.join(_PROPERTIES)}", *which)
        began = perf_counter()
        try:
            ended = await run(
                command,
                timeout=max(look.timeout - _TO_END, look.timeout / 2),
                most=_MOST_OUTPUT,
                environment=clean_environment(SYSTEMD_COLORS="0"),
            )
        except CannotStart as error:
            raise LookFailed(Reason.UNSUPPORTED, look.show(str(error))) from None
        except (TimeoutError, Hung):
            raise LookFailed(Reason.SOURCE, f"systemctl did not answer within {look.timeout:g} s") from None
        except Endless as error:
            raise LookFailed(Reason.SOURCE, look.show(f"systemctl: {error}")) from None
        look.spend("systemctl", perf_counter() - began)
        if ended.code:
            raise _refused(look, ended)
        if ended.cut:
            look.evidence["cut"] = f"more units than fit into {_MOST_OUTPUT // 1024} KiB; the rest was not looked at"
        return [_State.of(block) for block in ended.output.decode("utf-8", "replace").split("\n\n") if block.strip()]

    def _read_named(
        self,
        look: Look,
        units: Iterable[_State],
        figures: dict[str, float],
        context: Context,
    ) -> None:
        """Raises `LookFailed` when a unit is unknown, with the figures of the others filled in."""
        by_name = {unit.id: unit for unit in units}  # a unit that two patterns fit is there twice
        unknown = [unit.id for unit in by_name.values() if unit.load == "not-found"]
        known = [unit for unit in by_name.values() if unit.load != "not-found"]
        idle = [entry for entry in map(_full, self.units) if entry not in unknown and _idle(entry, known)]
        starting = [unit for unit in known if unit.starting]
        figures["units"] = float(len(known))
        figures["not_running"] = float(len(idle))
        figures["starting"] = float(len(starting))
        _read_failed(look, known, figures)
        _restarts(look, known, figures, context)
        if idle:
            look.evidence["not_running"] = look.show("; ".join(_why_idle(entry, known) for entry in idle[:_NAMED]))
        if starting:
            look.evidence["starting"] = look.show(", ".join(unit.id for unit in starting[:_NAMED]))
        since = [unit.active_since for unit in known if unit.running and unit.active_since]
        if since:
            figures["uptime"] = max(0.0, time.monotonic() - max(since))
        for name in ("memory_used", "tasks_used"):
            used = {unit.id: ratio for unit in known if (ratio := getattr(unit, name)) is not None}
            if used:
                worst = max(used, key=lambda unit: used[unit])
                figures[name] = used[worst]
                look.evidence[name] = look.show(f"{worst} ({used[worst]:.1%})")
        if unknown:
            raise LookFailed(Reason.MISSING, look.show(f"systemd knows no unit {', '.join(unknown[:_NAMED])}"))


@dataclass(frozen=True, slots=True)
class _State:
    """What systemctl says of one unit. `active_since` is in seconds of the monotonic clock, 0 where it never was."""

    id: str
    names: tuple[str, ...]
    load: str
    active: str
    sub: str
    result: str
    oneshot: bool
    restarts: int
    active_since: float
    memory_used: float | None
    tasks_used: float | None

    @classmethod
    def of(cls, block: str) -> _State:
        said = dict(line.partition("=")[::2] for line in block.splitlines())
        restarts, since = said.get("NRestarts", ""), said.get("ActiveEnterTimestampMonotonic", "")
        return cls(
            id=said.get("Id", ""),
            names=tuple(said.get("Names", "").split()),
            load=said.get("LoadState", ""),
            active=said.get("ActiveState", ""),
            sub=said.get("SubState", ""),
            result=said.get("Result", ""),
            oneshot=said.get("Type") == "oneshot",
            restarts=int(restarts) if restarts.isdecimal() else 0,
            active_since=int(since) / 1e6 if since.isdecimal() else 0.0,
            memory_used=_ratio(said.get("MemoryCurrent"), said.get("MemoryMax")),
            tasks_used=_ratio(said.get("TasksCurrent"), said.get("TasksMax")),
        )

    @property
    def failed(self) -> bool:
        return self.active == "failed"

    @property
    def running(self) -> bool:
        """Up, or done as it should be."""
        done = self.oneshot and self.active == "inactive" and self.result == "success" and self.load == "loaded"
        return self.active in ("active", "reloading") or done

    @property
    def starting(self) -> bool:
        return self.active == "activating" and self.sub != "auto-restart"

    @property
    def shown(self) -> str:
        if self.load != "loaded":
            return f"{self.id} is {self.load}"
        why = "" if self.result in ("success", "") else f": {self.result}"
        return f"{self.id} is {self.active} ({self.sub}{why})"


def _full(unit: str) -> str:
    return unit if _SUFFIX.search(unit) or unit.endswith("*") else f"{unit}.service"


def _fits(entry: str, units: Iterable[_State]) -> list[_State]:
    return [unit for unit in units if any(fnmatchcase(name, entry) for name in (unit.id, *unit.names))]


def _idle(entry: str, units: Iterable[_State]) -> bool:
    return not any(unit.running or unit.starting for unit in _fits(entry, units))


def _why_idle(entry: str, units: Iterable[_State]) -> str:
    fit = _fits(entry, units)
    return ", ".join(unit.shown for unit in fit) if fit else f"no loaded unit fits {entry}"


def _ratio(used: str | None, limit: str | None) -> float | None:
    """None where there is no limit ("infinity") or no accounting ("[not set]")."""
    if used is None or limit is None or not (used.isdecimal() and limit.isdecimal()) or int(limit) == 0:
        return None
    return int(used) / int(limit)


def _read_failed(look: Look, units: Iterable[_State], figures: dict[str, float]) -> None:
    bad = [unit for unit in units if unit.failed]
    figures["failed"] = float(len(bad))
    if bad:
        look.evidence["failed"] = look.show(", ".join(f"{unit.id} ({unit.result})" for unit in bad[:_NAMED]))


def _restarts(look: Look, units: Iterable[_State], figures: dict[str, float], context: Context) -> None:
    """Count what was restarted since the last look; systemd begins again at 0 when a unit is started by hand."""
    now = {unit.id: unit.restarts for unit in units if unit.restarts}
    kept = dict(sorted(now.items(), key=lambda item: -item[1])[:_MOST_REMEMBERED])
    written = context.memory.get("restarts")
    if context.scheduled or written is None:
        context.memory["restarts"] = json.dumps(kept)
    if not isinstance(written, str):
        return
    before: dict[str, int] = json.loads(written)
    grown = {}
    for unit, count in now.items():
        earlier = before.get(unit, 0)
        grown[unit] = count - earlier if count >= earlier else count
    figures["restarts"] = float(sum(grown.values()))
    if figures["restarts"]:
        worst = sorted(grown, key=lambda unit: -grown[unit])[:_NAMED]
        look.evidence["restarts"] = look.show(", ".join(f"{unit} ({grown[unit]})" for unit in worst if grown[unit]))


def _refused(look: Look, ended: Ended) -> LookFailed:
    said = ended.errors.decode("utf-8", "replace").strip().replace("\n", " ") or f"exit code {ended.code}"
    if "not been booted" in said or not _BOOTED.is_dir():
        return LookFailed(Reason.UNSUPPORTED, look.show(f"no systemd runs here: {said}"))
    if "denied" in said.lower():
        return LookFailed(Reason.DENIED, look.show(f"systemctl: {said}"))
    return LookFailed(Reason.SOURCE, look.show(f"systemctl: {said}"))
