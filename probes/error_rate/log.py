"""Counts in log files, followed from disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from probes._logs.following import AWAY, FILES_MOST, Handed
from probes._logs.reader import Reader
from probes._look import Look
from probes._patterns import pattern
from probes._system.hang import Hung
from probes.contract import BadField, Context, LookFailed, Reason, check_fields
from probes.error_rate._access import AccessLog
from probes.error_rate._bad import USUAL, bad_statuses
from probes.error_rate._lines import UNITS, AnyLines, Custom, Format, JsonLines
from probes.error_rate._paths import Chosen
from probes.error_rate._seen import Seen
from probes.error_rate.source import PERCENTILES, Source, Tally

if TYPE_CHECKING:
    from probes.error_rate.probe import ErrorRate

_MEANT_FOR = {
    "total": ("lines",),
    "pattern": ("custom",),
    "fields": ("json",),
    "latency": ("json",),
    "latency_unit": ("combined", "json", "custom"),
    "ignore_paths": ("combined", "json", "custom"),
    "only_paths": ("combined", "json", "custom"),
}
"""The formats with which a key means something."""
_JSON_FIELDS = {
    "status": ("status",),
    "path": ("request_uri", "uri", "path", "request.uri", "request"),
    "time": ("request_time",),
}
_SLACK = 0.9
"""The part of a look's time that reading may take: the rest is for saying what went wrong."""


class Log(Source):
    """`log: /var/log/nginx/access.log`, a list of files, or a pattern such as `/var/log/nginx/*access.log`; at most
    64 files a check. They are read between looks too, in a thread, so a busy log is no burst of work for a look.

    ```yaml
    checks:
      - name: errors
        probe: error_rate
        every: 15s
        log: /var/log/nginx/access.log
        bad: 5xx, 429
        ignore_paths: [/healthz, /static/*]
    ```

    `format` says how lines are written:

    - `combined`, the default: the access logs of nginx and Apache, combined or common, with anything in front (a
      virtual host) or behind. If nginx writes `$request_time` behind the usual fields, it is found: the first number
      with three decimals outside quotes, bare or as in `rt=0.004`. For Apache's `%D` write `latency_unit: us`, for
      `%T` `latency_unit: s`: then the first number behind the usual fields counts.
    - `json`: an object a line. `fields` names where its `status` and `path` are, `latency` where the response time
      is, with dots for objects within: `fields: {status: http.status}`. Without them `status` is tried, then
      `request_uri`, `uri`, `path`, `request.uri` and `request`, and `request_time`. A `status` may be a level too:
      `fields: {status: level}`, `bad: error, fatal`.
    - `custom`: `pattern` is a regular expression (RE2) with a group named `status`, and perhaps `path` and `time`:
      `pattern: 'code=(?P<status>\\d+) took=(?P<time>[\\d.]+)'`.
    - `lines`, for logs that are not of requests: `bad` is a regular expression (RE2) that finds bad lines, `total`
      one that finds those that count, all if it is left out.

    `bad` is `5xx` unless you say otherwise. nginx's 499 means that the client gave up: add it where clients are your
    own. `latency_unit` is `s` (`ms`, `us`, `ns`); percentiles are those of all requests since the last look, each off
    by 1 % at most.

    Rotation is followed: renamed files are read until nobody has written to them for a minute, what a `copytruncate`
    has cut off is read from the copy, and where reading ended is kept over a restart of the agent, even if the file
    was rotated meanwhile. What was written while the agent was off counts if that was no more than two minutes ago;
    older lines are passed over, and so is what is more than 256 MiB behind, because it would be told as if it were
    now. The evidence says so. It also names the path and the status that fail most often: paths without their query,
    and with `*` for numbers and long random parts, since that is where tokens stand.

    A log that is not there, or may not be read, makes the check unknown, not down: it says nothing of the service.
    Give the agent the right to read it: with the shipped unit, `brownout install --with logs`, which adds the group
    `adm` that reads logs on Debian. A file that is packed (`.gz`) is not read, a line of more than 64 KiB (of JSON:
    32 KiB) is counted as unreadable, and if no line at all can be read, the look says so. A log that is edited in
    place is read again from its beginning. With `copytruncate`, lines that are written while logrotate copies are
    lost to everybody.
    """

    name: ClassVar[str] = "log"
    title: ClassVar[str] = "Counting in log files: log"
    takes: ClassVar[frozenset[str]] = frozenset({"bad", "format", *_MEANT_FOR})

    def __init__(self, check: ErrorRate) -> None:
        self._paths = check.log
        self.format = _format(check)
        self._reader: Reader[Seen] = Reader(check.log, lambda: Seen(self.format.read), self.format.slice)

    @property
    def target(self) -> str:
        more = len(self._paths) - 1
        return self._paths[0] + (f" and {more} more" if more else "")

    async def read(self, look: Look, context: Context) -> Tally | None:
        resume = context.memory.get("log.resume")
        try:
            handed = await self._reader.hand_over(resume if isinstance(resume, str) else "", look.left() * _SLACK)
        except Hung as hung:
            raise LookFailed(Reason.SOURCE, f"the disk of {look.show(str(hung))} does not answer") from hung
        context.memory["log.resume"] = handed.resume
        _tell_of_reading(handed, look)
        if handed.trouble is not None:
            raise LookFailed(handed.trouble.reason, look.show(handed.trouble.detail))
        if handed.first or handed.away:
            return None
        return _tally(handed, look)

    async def close(self) -> None:
        await self._reader.close()


def _tally(handed: Handed[Seen], look: Look) -> Tally:
    seen = handed.counts
    evidence = seen.evidence(look.show)
    if seen.unread and not seen.total + seen.left_out:
        look.evidence.update(evidence)
        raise LookFailed(Reason.QUERY, f"none of {seen.unread:,} new lines can be read: see format")
    latency = {}
    if seen.latency.count:
        latency = {f"latency_{name}": seen.latency.percentile(part) for name, part in PERCENTILES.items()}
    return Tally(float(seen.total), float(seen.bad), handed.seconds, latency, evidence)


def _tell_of_reading(handed: Handed[Seen], look: Look) -> None:
    if handed.away:
        look.evidence["passed_over"] = (
            f"what was written in {handed.away:.0f} s in which nobody read (over {AWAY:.0f})"
        )
    elif handed.passed:
        look.evidence["passed_over"] = f"{handed.passed / 2**20:,.1f} MiB: more was written than could be read"
    if handed.lost:
        look.evidence["lost"] = "a file was rotated and packed before it was read to its end"
    if handed.matching > FILES_MOST:
        look.evidence["files"] = f"{handed.files} of {handed.matching} are followed, the first by name"


def _format(check: ErrorRate) -> Format:
    """What reads a line. Raises `BadField` of all that is wrong."""
    made: list[Format] = []
    name = check.format
    check_fields(
        *(lambda path=path: _check_path(path) for path in check.log),
        lambda: _check_keys(check, name),
        lambda: made.append(_MAKERS[name](check)),
    )
    return made[0]


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise BadField("log", f"{path!r} is not an absolute path such as /var/log/nginx/access.log")
    if "\0" in path:
        raise BadField("log", "holds a NUL")


def _check_keys(check: ErrorRate, name: str) -> None:
    for key, formats in _MEANT_FOR.items():
        if getattr(check, key) and name not in formats:
            raise BadField(key, f"means nothing with format: {name}")


def _combined(check: ErrorRate) -> Format:
    unit = None if check.latency_unit is None else UNITS[check.latency_unit]
    return AccessLog(bad_statuses(check.bad or USUAL), _chosen(check), unit)


def _json(check: ErrorRate) -> Format:
    for name in check.fields:
        if name not in ("status", "path"):
            raise BadField("fields", f"{name!r} is not known: write status, path; the time is latency")
    fields = _JSON_FIELDS | {name: (path,) for name, path in check.fields.items()}
    if check.latency is not None:
        fields["time"] = (check.latency,)
    return JsonLines(bad_statuses(check.bad or USUAL), _chosen(check), fields, UNITS[check.latency_unit or "s"])


def _custom(check: ErrorRate) -> Format:
    if check.pattern is None:
        raise BadField("pattern", "is missing: format: custom needs it")
    compiled = pattern("pattern", check.pattern)
    names = {name.decode() for name in compiled.groupindex}
    if "status" not in names:
        raise BadField("pattern", "has no group named status: write (?P<status>\\d+) where the status stands")
    if odd := names - {"status", "path", "time"}:
        raise BadField("pattern", f"has a group {min(odd)!r}: known are status, path, time")
    if _chosen(check) and "path" not in names:
        raise BadField("pattern", "has no group named path, which only_paths and ignore_paths are about")
    return Custom(bad_statuses(check.bad or USUAL), _chosen(check), compiled, UNITS[check.latency_unit or "s"])


def _lines(check: ErrorRate) -> Format:
    if check.bad is None:
        raise BadField("bad", "is missing: a regular expression (RE2) that finds bad lines, such as ERROR|FATAL")
    return AnyLines(pattern("bad", check.bad), pattern("total", check.total))


def _chosen(check: ErrorRate) -> Chosen:
    return Chosen(check.only_paths, check.ignore_paths)


_MAKERS = {"combined": _combined, "json": _json, "custom": _custom, "lines": _lines}
