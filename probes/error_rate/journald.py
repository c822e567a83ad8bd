"""Counts in the journal of systemd, read by its own program."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import TYPE_CHECKING, Any, ClassVar

from probes._logs.following import AWAY
from probes._look import Look
from probes._system.hang import Hung
from probes._system.spawn import CannotStart, room, start
from probes.contract import TEXT_LIMIT, BadField, Context, LookFailed, Reason, check_fields
from probes.error_rate._seen import Top, without_queries
from probes.error_rate.source import Source, Tally

if TYPE_CHECKING:
    from probes._system.child import Child
    from probes.error_rate.probe import ErrorRate

PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""From the most urgent on, as syslog(3) numbers them."""
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@*?\[\]-]{1,255}")
_FIELDS = "PRIORITY,MESSAGE,_SYSTEMD_UNIT"
_LINE_MOST = 1 << 20
_ERRORS_MOST = 4096
_SLACK = 0.7
"""The part of a look's time after which what has been read by then counts; the rest is read by the next one."""
_SHORT = 0.5


class Journald(Source):
    """`journald: myapp.service`, a list of units, or a pattern such as `worker@*.service`: how many of their messages
    are bad. A unit's messages are those of its processes, and what systemd itself says of it (that it failed, say).

    ```yaml
    checks:
      - name: worker errors
        probe: error_rate
        every: 30s
        journald: worker@*.service
        priority: err
        degraded: bad_requests > 20
    ```

    Every message counts as a request, and one of `priority` or more urgent as bad (`emerg`, `alert`, `crit`, `err`,
    `warning`, `notice`, `info`); the default is `err`. What an application writes to its standard output has the
    priority `info` unless each line begins with one, as in `<3>`: see sd-daemon(3). For such an application follow
    its log file with `format: lines`, or let it log with priorities. An application that only logs its errors has an
    `error_rate` of 100 %: then drop the default thresholds and count, as above.

    Each look runs `journalctl` from where the last one ended, also over a restart of the agent; messages from before
    a break of more than two minutes are passed over. `directory` reads another journal than that of this machine,
    such as one that systemd-journal-remote collects.

    The agent needs the group `systemd-journal` (with the shipped unit: `brownout install --with journald`);
    otherwise, and when there is no `journalctl`, the check is unknown. A look that cannot read all within
    its time goes on at the next one. There are no response times.
    """

    name: ClassVar[str] = "journald"
    title: ClassVar[str] = "Counting in the journal of systemd: journald"
    takes: ClassVar[frozenset[str]] = frozenset({"priority", "directory"})

    def __init__(self, check: ErrorRate) -> None:
        check_fields(*(lambda unit=unit: _check_unit(unit) for unit in check.journald), lambda: _check_folder(check))
        self._units = tuple(unit if "." in unit else f"{unit}.service" for unit in check.journald)
        self._bad = PRIORITIES.index(check.priority or "err")
        self._directory = check.directory
        self.program = "journalctl"
        """Not of the YAML: so that a test can hand in one that misbehaves."""
        self._one_at_a_time = asyncio.Lock()
        self._looked: float | None = None
        """When, on a clock that goes on while the machine sleeps."""

    @property
    def target(self) -> str:
        more = len(self._units) - 1
        return f"journal of {self._units[0]}" + (f" and {more} more" if more else "")

    async def read(self, look: Look, context: Context) -> Tally | None:
        try:
            async with asyncio.timeout(look.left() * _SLACK):
                await self._one_at_a_time.acquire()  # two would count the same messages
        except TimeoutError:
            raise LookFailed(Reason.LATE, "another look at this journal was still reading it") from None
        try:
            return await self._read(look, context)
        finally:
            self._one_at_a_time.release()

    async def _read(self, look: Look, context: Context) -> Tally | None:
        memory, now = context.memory, time.clock_gettime(time.CLOCK_BOOTTIME)
        cursor, wall = memory.get("journald.cursor"), memory.get("journald.wall")
        if not isinstance(cursor, str) or not isinstance(wall, float):
            await self._begin(look, context, now)
            return None
        seconds = now - self._looked if self._looked is not None else time.time() - wall
        if self._looked is None and not 0 <= seconds <= AWAY:
            look.evidence["passed_over"] = f"messages of {abs(seconds):.0f} s in which nobody read (over {AWAY:.0f})"
            await self._begin(look, context, now)
            return None
        messages = _Messages(cursor, self._bad)
        at = time.time()
        begin = [f"--after-cursor={cursor}"] if cursor else [f"--since=@{wall:.6f}"]
        try:
            whole = await self._run([*begin, *(f"--unit={unit}" for unit in self._units)], messages, look)
        except LookFailed as failure:
            if "cursor" in failure.detail:  # it is of no journal any more: begin anew, with the next look
                memory.pop("journald.cursor")
            raise
        if not whole:
            look.evidence["behind"] = "there was more than could be read in time; the next look goes on"
        if not messages.cursor:
            at = wall  # an empty journal: from the same moment on
        memory["journald.cursor"], memory["journald.wall"], self._looked = messages.cursor, at, now
        rated = seconds if seconds >= _SHORT else 0.0
        return Tally(float(messages.total), float(messages.bad), rated, evidence=messages.evidence(look))

    async def _begin(self, look: Look, context: Context, now: float) -> None:
        """Find the end of the journal."""
        messages = _Messages("", self._bad)
        at = time.time()
        await self._run(["--lines=1"], messages, look)
        context.memory["journald.cursor"], context.memory["journald.wall"] = messages.cursor, at
        self._looked = now

    async def _run(self, arguments: list[str], messages: _Messages, look: Look) -> bool:
        """Have `messages` take what journalctl writes; False when that did not end in time."""
        where = [f"--directory={self._directory}"] if self._directory else []
        command = [self.program, "--no-pager", "--quiet", "--output=json", f"--output-fields={_FIELDS}"]
        errors = bytearray()
        timeout = look.left() * _SLACK
        child: Child | None = None
        try:
            async with asyncio.timeout(timeout), room(timeout):
                child = await start(
                    [*command, *where, *arguments], messages.take,
                    lambda piece: errors.extend(piece[: _ERRORS_MOST - len(errors)]), timeout=timeout,
                )  # fmt: skip
                await child.finished()
        except TimeoutError:
            if child is None or not messages.taken:
                raise LookFailed(Reason.SOURCE, f"journalctl told nothing within {timeout:.1f} s") from None
            return False
        except Hung as hung:
            raise LookFailed(Reason.SOURCE, "the disk that journalctl lies on does not answer") from hung
        except CannotStart as error:
            raise LookFailed(Reason.UNSUPPORTED, f"this system has no journal to read: {error}") from error
        finally:
            if child is not None:
                await asyncio.shield(child.end())
        complaint = errors.decode("utf-8", "replace").strip()
        if child.code or (complaint and not messages.taken):
            raise _refused(complaint, child.code, look)
        return True


class _Messages:
    """What journalctl writes, a JSON object a line, taken as it comes."""

    def __init__(self, cursor: str, bad: int) -> None:
        self.cursor = cursor
        """Of the last message."""
        self.total = 0
        self.bad = 0
        self.taken = 0
        self._most_urgent_that_is_not = bad + 1
        self._rest = b""
        self._last_bad = ""
        self._units = Top()

    def take(self, piece: bytes) -> None:
        self.taken += len(piece)
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LINE_MOST:
            self._rest = b""  # and what comes of it is no JSON
        for line in lines:
            self._take_line(line)

    def _take_line(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            self.cursor = str(entry["__CURSOR"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        self.total += 1
        priority = entry.get("PRIORITY")
        if isinstance(priority, str) and priority.isdecimal() and int(priority) < self._most_urgent_that_is_not:
            self.bad += 1
            self._last_bad = _text(entry.get("MESSAGE"))
            self._units.add(_text(entry.get("_SYSTEMD_UNIT")).encode("utf-8", "replace"))

    def evidence(self, look: Look) -> dict[str, str]:
        if not self.bad:
            return {}
        told = {"bad_message": look.show(without_queries(self._last_bad))}
        worst = self._units.first()
        if worst is not None and worst[0]:
            told["worst_unit"] = look.show(
                f"{worst[0].decode('utf-8', 'replace')} ({worst[1]:,} of {self.bad:,} bad)"
            )
        return told


def _text(value: Any) -> str:
    """A field of the journal: a list of bytes when it is no text, a list of such when there are several."""
    if isinstance(value, str):
        return value[: 2 * TEXT_LIMIT]
    if isinstance(value, list) and value:
        if all(isinstance(byte, int) and 0 <= byte < 256 for byte in value[: 2 * TEXT_LIMIT]):
            return bytes(value[: 2 * TEXT_LIMIT]).decode("utf-8", "replace")
        return _text(value[0])
    return ""


def _refused(complaint: str, code: int | None, look: Look) -> LookFailed:
    last = look.show(complaint.rpartition("\n")[2])
    if "ermission" in complaint or "not seeing messages" in complaint:
        return LookFailed(Reason.DENIED, f"the agent's user needs the group systemd-journal: {last}")
    return LookFailed(Reason.SOURCE, f"journalctl ended with {code}: {last}")


def _check_unit(unit: str) -> None:
    if not _UNIT.fullmatch(unit) or unit.startswith("-"):
        raise BadField("journald", f"{unit!r} is not a unit such as nginx.service")


def _check_folder(check: ErrorRate) -> None:
    if check.directory is not None and not check.directory.startswith("/"):
        raise BadField("directory", f"{check.directory!r} is not an absolute path such as /var/log/journal/remote")
