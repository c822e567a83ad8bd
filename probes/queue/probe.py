"""The probe `queue`: one set of figures for every kind of job queue; a back end a file tells what stands there."""

from __future__ import annotations

import difflib
import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from time import perf_counter
from typing import Annotated, ClassVar

from probes._clean import Cleaner
from probes._look import Look, failed, visible
from probes.contract import (
    BadField,
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
from probes.queue.backend import Backend, Backlog, backends
from probes.queue.pace import judge_pace
from probes.registry import driver_note

_ALL_FIGURES = ("depth", "lag", "scheduled", "in_flight", "taken_for", "failed", "retry", "workers", "held")
_MOST = 2.0**63
"""Beyond what any server counts to; not a number is beyond it too."""


def _chapters() -> Mapping[str, str]:
    return {f"Back end {name}": _chapter(backend) for name, backend in backends().items()}


def _chapter(backend: type[Backend]) -> str:
    keys = f"Keys: {_listed(backend.needs)}" + (f"; may be: {_listed(backend.takes)}" if backend.takes else "") + "."
    driver = [driver_note(backend.extra)] if backend.extra else []
    return "\n\n".join((inspect.cleandoc(backend.__doc__ or ""), keys, *driver))


def _listed(keys: frozenset[str]) -> str:
    return ", ".join(f"`{key}`" for key in sorted(keys)) or "none"


@dataclass(frozen=True, slots=True)
class Queue(Probe):
    """Looks at a job queue: how long jobs wait, whether anybody works on them, and when the backlog will be gone.

    ```yaml
    checks:
      - name: jobs
        probe: queue
        backend: sidekiq
        url: redis://127.0.0.1/0
        queues: [default, mailers]
        degraded: lag > 30s
        down: lag > 10m
    ```

    `backend` says which kind of queue it is. Every back end has a chapter below: where its figures come from, which
    keys of a check it takes, and what it cannot know. A figure that a back end cannot know is left out. Nothing is
    ever written to the queue, and a job's arguments are never shown: they hold your customers' data.

    `lag` is the age of the oldest job that could run now. Not counted are jobs of the future (`scheduled`), those
    that wait for another attempt (`retry`), those that a worker has taken (`in_flight`), and those of a paused queue,
    which are told apart (`paused`, `held`). The age is taken by the server's clock where it has one. An empty queue
    has a lag of 0, and so has one that does not exist yet. Queues of different urgency belong into different checks:
    the lag is that of the worst of `queues`, and a queue that may well wait an hour would hide one that may not.

    `arrival_rate` and `drain_rate` are known where the back end counts jobs; `growth_rate` is what the depth itself
    tells, negative while it shrinks. All three cover about the last two minutes. `drain_time` is the forecast made of
    it: seconds until nothing waits at this pace, at most 7 days, which is what is said of a backlog that does not
    shrink. A busy queue is never empty: as long as a job that comes now is taken within a minute, that time is the
    forecast. There is none in the first half minute or so, nor where neither lag nor throughput is known and the
    depth hardly changes.

    `stalled_for` is how long work has waited and nothing was completed or taken; `no_workers_for` is how long work
    has waited and there was no worker. Both are 0 while nothing waits: workers that are scaled to nothing at night
    are no trouble. They are counted from what the agent has seen itself, so a new check begins at 0, and time in
    which the agent did not see the queue (more than a minute, and than three intervals) is left out.

    Default thresholds:

    - degraded: `lag > 1m, clear < 30s`. Whoever hands a job to a queue expects it to run about now; after a minute a
      customer asks for the mail again. A queue that may wait needs its own figures: `defaults: off`.
    - down: `lag > 15m`. Nobody plans with a quarter of an hour: to users the work is not done at all.
    - degraded: `no_workers_for > 1m`, down: `no_workers_for > 5m`. A deployment or an autoscaler brings workers
      within a minute; after five none come by themselves, and nothing will be done until somebody acts.
    - degraded: `stalled_for > 5m`. Work waits and nothing moves: workers hang, or all of them have long jobs. None
      makes it down, as the second may be as planned.
    - degraded: `drain_time > 1h for 10m`. The backlog has been growing for ten minutes, or needs more than an hour:
      more comes than is done. It speaks before the lag does where the lag is not known.
    - degraded: `paused > 0 for 1h`. Queues are paused for a deployment; after an hour it was forgotten, and the jobs
      are missed by nobody but customers.

    There is none on `depth` (a figure means nothing without the pace) nor on `failed` (back ends keep dead jobs for
    months, so the figure is mostly history): write `failed > 100` when you clear them.

    Limits: all queues of a check are one figure each; at most 100 queues a check. Two looks less than a second apart
    make no rate; after more than an hour without a look rates and `stalled_for` begin anew. With jobs of very
    different priority in one queue, the oldest is mostly one of the least urgent.
    """

    kind: ClassVar[str] = "queue"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("lag", Unit.SECONDS, "Age of the oldest job that could run now; 0 when there is none."),
        Measurement("depth", Unit.COUNT, "Jobs that could run now."),
        Measurement("scheduled", Unit.COUNT, "Jobs that are to run later."),
        Measurement("in_flight", Unit.COUNT, "Jobs that a worker has taken and not finished."),
        Measurement("taken_for", Unit.SECONDS, "Since the first of those was taken; mostly not known."),
        Measurement("retry", Unit.COUNT, "Jobs that have failed and wait for another attempt."),
        Measurement("failed", Unit.COUNT, "Jobs that have failed for good and are still kept."),
        Measurement("workers", Unit.COUNT, "Workers that are alive and serve at least one of the queues."),
        Measurement("paused", Unit.COUNT, "Queues that somebody has paused."),
        Measurement("held", Unit.COUNT, "Jobs that wait in paused queues."),
        Measurement("arrival_rate", Unit.PER_SECOND, "Jobs that arrived, over about two minutes."),
        Measurement("drain_rate", Unit.PER_SECOND, "Jobs that ended, well or not, over about two minutes."),
        Measurement("growth_rate", Unit.PER_SECOND, "By how much the depth grew, over about two minutes."),
        Measurement("drain_time", Unit.SECONDS, "Until nothing waits at the present pace; at most 7 days."),
        Measurement("stalled_for", Unit.SECONDS, "How long work has waited and nothing moved."),
        Measurement("no_workers_for", Unit.SECONDS, "How long work has waited and there was no worker."),
        Measurement(
            "read_time", Unit.SECONDS, "Reading all of this, after name resolution.", cut_by=Reason.QUERY_TIMEOUT
        ),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "degraded": (
            "lag > 1m, clear < 30s",
            "no_workers_for > 1m",
            "stalled_for > 5m",
            "drain_time > 1h for 10m",
            "paused > 0 for 1h",
        ),
        "down": ("lag > 15m", "no_workers_for > 5m"),
    }
    chapters: ClassVar[Mapping[str, str]] = _chapters()

    backend: Annotated[str, "Which kind of queue it is: one of the back ends below."]
    url: Annotated[Secret | None, "Where the queue's server is; a password in it is never shown."] = None
    dsn: Annotated[Secret | None, "The database of a queue that lives in tables, as a URL."] = None
    brokers: Annotated[tuple[str, ...], "Addresses `host:port` of a cluster, to begin with."] = ()
    queues: Annotated[tuple[str, ...], "The queues to look at; none: all that there are."] = ()
    namespace: Annotated[str | None, "What the keys of this queue begin with, without the colon."] = None
    prefix: Annotated[str | None, "What the keys of this queue begin with, as the library is told it."] = None
    schema: Annotated[str | None, "The schema of the queue's tables."] = None
    table: Annotated[str | None, "The queue's table."] = None
    query: Annotated[str | None, "The SQL query that tells how things stand."] = None
    vhost: Annotated[str | None, "The virtual host of the broker."] = None
    stream: Annotated[str | None, "The stream to look at."] = None
    group: Annotated[str | None, "The group of consumers whose backlog it is."] = None
    consumer: Annotated[str | None, "The durable consumer whose backlog it is."] = None
    topics: Annotated[tuple[str, ...], "The topics to look at; none: all that the group has read."] = ()
    user: Annotated[str | None, "The user to log in as, where no URL can hold it."] = None
    password: Annotated[Secret | None, "The password of `user`; never shown."] = None
    verify: Annotated[bool, "Whether the server's certificate must be trusted and for this name."] = True
    ca_file: Annotated[FilePath | None, "A file of PEM certificates to trust instead of the system's."] = None
    _backend: Backend = field(init=False, repr=False, compare=False)
    _own: Cleaner | None = field(init=False, repr=False, compare=False)
    _clock: Callable[[], float] = field(default=time.time, repr=False, compare=False)
    """Not of the YAML: seconds of the wall clock, so that a test can let time pass."""

    def __post_init__(self) -> None:
        kind = backends().get(self.backend)
        if kind is None:
            near = difflib.get_close_matches(self.backend, backends(), 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(backends())}"
            raise BadField("backend", f'unknown back end "{visible(self.backend, 40)}" ({hint})')
        check_fields(*(partial(_refuse, kind, key, missing=missing) for key, missing in self._misplaced(kind)))
        object.__setattr__(self, "_backend", kind(self))
        object.__setattr__(self, "_own", Cleaner(self._secrets()) or None)

    def _misplaced(self, kind: type[Backend]) -> Iterator[tuple[str, bool]]:
        """(key, whether it is missing) for each that this back end needs and lacks, or has no use for."""
        for each in fields(self):
            if each.name.startswith("_") or each.name == "backend":
                continue
            written = getattr(self, each.name) != each.default
            if written and each.name not in kind.needs | kind.takes:
                yield each.name, False
            elif not written and each.name in kind.needs:
                yield each.name, True

    def _secrets(self) -> list[str]:
        """What must not come back in evidence: each URL as it is written, and what the back end reads in it."""
        whole = [secret.reveal() for secret in (self.url, self.dsn, self.password) if secret is not None]
        return [*whole, *self._backend.secrets]

    @property
    def target(self) -> str:
        return f"{self.backend}: {self._backend.target}"

    @property
    def host(self) -> str | None:
        return self._backend.host

    def now(self) -> float:
        """Seconds of the wall clock."""
        return self._clock()

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, self._own, context.redact)
        figures: dict[str, float] = {}
        try:
            began = perf_counter()
            backlog = await self._backend.read(look, context)
            figures["read_time"] = perf_counter() - began - look.phases.get("resolve", 0.0)
            look.check_clocks()
            standing = _standing(backlog)
        except LookFailed as failure:
            return failed(look, self._cleaned(failure), figures, elapsed="read_time")
        finally:
            look.close()
        figures.update(standing)
        figures.update(judge_pace(backlog, context.memory, self.now(), scheduled=context.scheduled))
        evidence = {**look.evidence, **backlog.evidence}
        if backlog.paused:
            evidence["paused"] = visible(", ".join(backlog.paused))
        return Observation(figures, None, "", look.phases, evidence)

    def _cleaned(self, failure: LookFailed) -> LookFailed:
        return failure if self._own is None else LookFailed(failure.reason, self._own(failure.detail))

    async def close(self) -> None:
        self._backend.close()


def _refuse(kind: type[Backend], key: str, *, missing: bool) -> None:
    if missing:
        raise BadField(key, f'"{key}" is missing: the back end {kind.name} needs it')
    needs, takes = (", ".join(sorted(keys)) for keys in (kind.needs, kind.takes))
    raise BadField(key, f'the back end {kind.name} has no key "{key}"; it needs {needs}, and takes {takes}')


def _standing(backlog: Backlog) -> dict[str, float]:
    """The figures that one look tells by itself. Raises `LookFailed` for one that cannot be: a server lies."""
    for name in ("arrived", "completed", *_ALL_FIGURES):
        value = getattr(backlog, name)
        if value is not None and not -_MOST < value < _MOST:
            raise LookFailed(Reason.PROTOCOL, f"the server tells of a figure that cannot be ({name})")
    figures = {name: float(value) for name in _ALL_FIGURES if (value := getattr(backlog, name)) is not None}
    figures["paused"] = float(len(backlog.paused))
    return figures
