"""The probe itself: its keys, and what it makes of a source's counts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from probes._clean import Cleaner
from probes._look import Look, failed
from probes.contract import (
    BadField,
    ByteSize,
    Context,
    FilePath,
    LookFailed,
    Measurement,
    Observation,
    Probe,
    Reason,
    Secret,
    Unit,
    check_fields,
)
from probes.error_rate._counts import Counts
from probes.error_rate._registry import sources
from probes.error_rate._traffic import Habit, Traffic
from probes.error_rate.source import PERCENTILES, Source, Tally

_MAX_BYTES = ByteSize(16 * 1024 * 1024)
_COMMON = frozenset({"traffic"})


@dataclass(frozen=True, slots=True, repr=False)
class ErrorRate(Probe):
    """Looks at which part of a service's requests fails, wherever they are counted already.

    ```yaml
    checks:
      - name: errors
        probe: error_rate
        every: 15s
        prometheus: http://127.0.0.1:8000/metrics
        total: http_requests_total
        bad: http_requests_total{status=~"5.."}
        latency: http_request_duration_seconds
        degraded: p95(latency_p95, 5m) > 800ms
    ```

    One key says where to count, and the chapters below tell what goes with it: `prometheus` (the application's own
    endpoint), `promql` (a Prometheus server), `json` (figures in a JSON answer), `log` (access logs), `journald`,
    `sql`. All give the same measurements, so that thresholds need not change with the place.

    `requests` and `bad_requests` are what came since the last look, so the first look has none. `error_rate` is their
    ratio, and over a window the ratio of their sums: ten errors at night, of ten requests, weigh as ten errors.
    Extra looks, which confirm a trouble, take nothing from the windows. What has piled up while nobody looked (the
    agent was off for hours) is not told as if it were now.

    `stopped_for` says that traffic has stopped although it should not have: 0 while requests come, or while their
    absence is nothing special. The agent learns what is usual for each hour of the week (the quietest ten minutes of
    that hour and of the hours beside it, from the same day a week ago, or else from other working days or other
    weekend days), and tells of a silence in which more than 20 requests were due: by chance, with independent
    requests, that happens once in 500 million times. So nothing is said in the first day, nor at hours that had ten
    silent minutes, nor for a service so quiet that this is usual. A silence of a whole day becomes the new habit.
    With `traffic: steady` the rate of the last hour counts instead, at any time of the day, from ten minutes after
    the first look; with `traffic: sporadic` nothing is said at all.

    Default thresholds:

    - `error_rate(5m) > 1%, at least 50 requests` is degraded. A service that promises 99.9 % spends a month's budget
      of errors in three days at 1 %; a normal one stays far below. 50 requests, since with fewer one accident is 2 %.
    - `error_rate(2m) > 25%, at least 50 requests` is down. One request in four: a page that makes a few of them
      hardly ever works, and retries no longer help. Two minutes, so that one bad answer of a worker that dies is
      diluted.
    - `stopped_for > 2m` is degraded, not down: the silence may be in front of the service (a load balancer, DNS, a
      campaign that has ended), which a check of the site itself tells better. Two minutes outlast a restart.

    Latency has no default: how slow is too slow is yours to say.

    Limits: counts are those of the application: what never reaches it (a dead load balancer) is not an error here,
    only silence. Requests of health checks and of the agent's own looks count unless `total` leaves them out, and
    can hide that customers have gone. The first public holiday looks like a silence. Of what happened between the
    last look and the end of a process nothing is known.
    """

    kind: ClassVar[str] = "error_rate"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("error_rate", Unit.RATIO, "Bad requests of all requests.", ratio_of=("bad_requests", "requests")),
        Measurement("requests", Unit.COUNT, "Requests since the last look."),
        Measurement("bad_requests", Unit.COUNT, "Bad requests since the last look."),
        Measurement("request_rate", Unit.PER_SECOND, "Requests a second since the last look."),
        Measurement("latency_p50", Unit.SECONDS, "Half of the requests since the last look took no longer."),
        Measurement("latency_p95", Unit.SECONDS, "95 % of the requests since the last look took no longer."),
        Measurement("latency_p99", Unit.SECONDS, "99 % of the requests since the last look took no longer."),
        Measurement("stopped_for", Unit.SECONDS, "How long no request has come, once that is surprising; else 0."),
        Measurement("read_time", Unit.SECONDS, "How long it took to read the counts.", cut_by=Reason.QUERY_TIMEOUT),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "degraded": ("error_rate(5m) > 1%, at least 50 requests", "stopped_for > 2m"),
        "down": ("error_rate(2m) > 25%, at least 50 requests",),
    }
    chapters: ClassVar[Mapping[str, str]] = {source.title: source.__doc__ or "" for source in sources().values()}

    prometheus: Annotated[
        tuple[str, ...], "The application's own metrics: a URL, or one of each instance, which are summed."
    ] = ()
    promql: Annotated[str | None, "The URL of a Prometheus server, which is asked queries."] = None
    json: Annotated[str | None, "The URL of an answer in JSON that holds the counts."] = None
    log: Annotated[tuple[str, ...], "Log files of this machine to follow; a name may be a pattern."] = ()
    journald: Annotated[tuple[str, ...], "Units whose journal to follow."] = ()
    sql: Annotated[str | None, "A query that returns the counts; `dsn` says where."] = None

    total: Annotated[str | None, "All requests: a selector of series, a query, a path; see the source."] = None
    bad: Annotated[str | None, "Those of them that failed, written like `total`."] = None
    latency: Annotated[str | None, "Where response times are told: a selector of a histogram, a field of a log."] = (
        None
    )
    percentiles: Annotated[
        Mapping[str, str], "Queries or paths that tell response times in seconds, by `p50`, `p95`, `p99`."
    ] = field(default_factory=dict)
    counts: Annotated[
        Literal["total", "interval", "rate"] | None,
        "What a figure counts: `total` since the start, `interval` in the last `interval`, `rate` a second.",
    ] = None
    interval: Annotated[timedelta | None, "What `counts: interval` counts over."] = None

    headers: Annotated[Mapping[str, Secret], "Headers to send; never shown, and never sent to another host."] = field(
        default_factory=dict
    )
    max_bytes: Annotated[ByteSize, "The largest answer to read."] = _MAX_BYTES
    verify: Annotated[bool, "Whether the certificate must be trusted and for this name."] = True
    ca_file: Annotated[FilePath | None, "A file of PEM certificates to trust instead of the system's."] = None

    format: Annotated[
        Literal["combined", "json", "custom", "lines"], "How a line of the log is written; see the chapter."
    ] = "combined"
    pattern: Annotated[
        str | None, "A regular expression (RE2) with groups named `status`, `path`, `time` that reads a line."
    ] = None
    fields: Annotated[Mapping[str, str], "Where in a line of JSON its `status` and `path` are."] = field(
        default_factory=dict
    )
    latency_unit: Annotated[
        Literal["s", "ms", "us", "ns"] | None, "In what the log writes response times; seconds by default."
    ] = None
    only_paths: Annotated[tuple[str, ...], "Paths that count: `/cart`, or `/api/*` for all that begin so."] = ()
    ignore_paths: Annotated[tuple[str, ...], "Paths that do not count, such as `/healthz`."] = ()
    priority: Annotated[
        Literal["emerg", "alert", "crit", "err", "warning", "notice", "info"] | None,
        "The least urgent priority of the journal that is bad; `err` by default.",
    ] = None
    directory: Annotated[str | None, "A folder of journal files to read instead of this machine's."] = None
    dsn: Annotated[Secret | None, "The database to ask."] = None

    traffic: Annotated[
        Literal["learned", "steady", "sporadic"],
        "When silence is a finding: `learned` by the hour of the week, `steady` at any time, `sporadic` never.",
    ] = "learned"

    _source: Source = field(init=False, compare=False)
    _own: Cleaner | None = field(init=False, compare=False)
    _now: Callable[[], float] = field(default=time.time, compare=False)
    """Not of the YAML: the wall clock, so that a test can hand in one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own", None)
        selected = self._select()
        check_fields(lambda: self._check_keys(selected), lambda: self._make(selected), self._check_percentiles)
        object.__setattr__(self, "_own", Cleaner(self._source.secrets) or None)

    def _select(self) -> type[Source]:
        known = sources()
        written = [name for name in known if getattr(self, name, None)]
        if not written:
            raise BadField("probe", f"does not say where to count: write one of {', '.join(known)}")
        if len(written) > 1:
            raise BadField(written[1], f"is one place too many to count: {written[0]} is written already")
        return known[written[0]]

    def _check_keys(self, source: type[Source]) -> None:
        written = {each.name for each in fields(self) if not each.name.startswith("_") and self._is_written(each)}
        may = source.needs | source.takes | _COMMON | {source.name}
        missing, odd = sorted(source.needs - written), sorted(written - may)
        check_fields(
            *(_refusal(name, f'"{name}" is missing: {source.name} needs it') for name in missing),
            *(_refusal(name, f"means nothing with {source.name}: remove it") for name in odd),
        )

    def _is_written(self, each: Any) -> bool:
        default = each.default if each.default is not MISSING else each.default_factory()
        return bool(getattr(self, each.name) != default)

    def _make(self, source: type[Source]) -> None:
        if all(getattr(self, name) for name in source.needs):
            object.__setattr__(self, "_source", source(self))

    def _check_percentiles(self) -> None:
        for name in self.percentiles:
            if name not in PERCENTILES:
                raise BadField("percentiles", f"{name!r} is not known: write {', '.join(PERCENTILES)}")

    def __repr__(self) -> str:
        # A URL may hold a password; a repr ends in tracebacks and logs.
        return f"ErrorRate({self.target})"

    @property
    def target(self) -> str:
        return self._source.target

    @property
    def host(self) -> str | None:
        return self._source.host

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, self._own, context.redact)
        try:
            tally = await self._source.read(look, context)
        except LookFailed as failure:
            if self._own is not None:
                failure = LookFailed(failure.reason, self._own(failure.detail))
            return failed(look, failure, {}, elapsed="read_time")
        finally:
            look.close()
        figures = {"read_time": look.timeout - look.left()}
        if tally is None:
            look.evidence["note"] = "the ground is laid: what comes from now on is counted"
        else:
            look.evidence.update(tally.evidence)
            self._measure(look, context, tally, figures)
        return Observation(figures, None, "", look.phases, look.evidence)

    def _measure(self, look: Look, context: Context, tally: Tally, figures: dict[str, float]) -> None:
        counted = Counts(context.memory).take(tally, scheduled=context.scheduled)
        if counted is None:
            look.evidence["note"] = f"what came in the last {tally.seconds:.0f} s is too old to tell of now"
            return
        figures["requests"], figures["bad_requests"] = counted.total, counted.bad
        if counted.seconds > 0:
            figures["request_rate"] = counted.total / counted.seconds
        if counted.total > 0:
            figures["error_rate"] = min(1.0, counted.bad / counted.total)
        figures.update({name: value for name, value in tally.latency.items() if math.isfinite(value)})
        if self.traffic != "sporadic":
            habit = Habit.STEADY if self.traffic == "steady" else Habit.LEARNED
            traffic = Traffic(context.memory, habit)
            if context.scheduled:
                traffic.see(self._now(), counted.total, counted.seconds)
            figures["stopped_for"] = traffic.stopped_for if counted.total == 0 else 0.0

    async def close(self) -> None:
        await self._source.close()


def _refusal(name: str, message: str) -> Callable[[], None]:
    def refuse() -> None:
        raise BadField(name, message)

    return refuse
