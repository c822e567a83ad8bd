"""Counts from an application's own metrics, in Prometheus' text format."""

from __future__ import annotations

import time
from collections.abc import Iterable, MutableMapping
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar
from zlib import crc32

from probes import _promtext
from probes._http import web
from probes._http.exchange import Ask
from probes._look import Look
from probes._promtext import Text
from probes._slices import slices
from probes.contract import BadField, Context, LookFailed, Reason, check_fields
from probes.error_rate._baselines import Baselines, Increase, Reading
from probes.error_rate._quantiles import quantile
from probes.error_rate._selection import BAD, BUCKET, TOTAL, Page, Selection
from probes.error_rate.source import PERCENTILES, Source, Tally

if TYPE_CHECKING:
    from probes.error_rate.probe import ErrorRate

_MOST_URLS = 32
_STRANGERS = 30
"""Looks in a row after which an endpoint is called one that never answers from the same process twice."""
_COUNTED = 5000
"""Series up to which a first look tells what it found."""
_YOUNG = 900.0
"""Seconds for which a new process may not have counted anything yet."""


class PrometheusText(Source):
    """Reads the metrics that an application offers for Prometheus; no Prometheus server is needed.

    ```yaml
    checks:
      - name: errors
        probe: error_rate
        prometheus: [http://10.0.0.1:8000/metrics, http://10.0.0.2:8000/metrics]
        total: http_requests_total{path!="/healthz"}
        bad: http_requests_total{path!="/healthz", status=~"5.."}
        latency: http_request_duration_seconds{path!="/healthz"}
    ```

    `total` and `bad` are names of counters with matchers as in PromQL (`=`, `!=`, `=~`, `!~`; patterns are RE2 and
    match the whole label). All series that fit are added up; the `_count` of a histogram or summary is a counter
    too. `latency` names a classic histogram in seconds; the percentiles are those of the requests since the last
    look, interpolated within a bucket as PromQL's `histogram_quantile` does, so they are as exact as the buckets
    are narrow. Summaries cannot be used: quantiles of several series, or of a span other than the application's
    own, cannot be made of quantiles.

    Both text formats are read, 0.0.4 and OpenMetrics. A series that appears between two looks has counted from 0;
    one that fell began again at 0. Where `process_start_time_seconds` is exported, as by most client libraries,
    each process that answers at a URL is followed by itself (the last 64 of them): several workers behind one port,
    or a load balancer, make no jumps, and what a new process has counted is counted from its start. Then counts
    also go on over a restart of the agent. Several URLs are added up; they are read one after another, and one that
    cannot be read makes the look fail with its reason: it is an instance of yours that does not answer. Nothing is
    lost by that, the next look that succeeds counts it all.

    A selector of `total` or `latency` that can find nothing makes the check `unknown` (reason `query`), and it is
    told what there is instead. A metric that is declared and has no series yet is fine, and so is a lack of bad
    series as long as their labels exist: counters appear with their first count.

    Limits: 16 MiB (`max_bytes`) and 100,000 selected series an answer; a line of 64 KiB. Several workers behind one
    port that tell no start time, or the same, are told apart by their counters alone, which only works once each
    has answered: the first answers may be misread as traffic. Let them share their counts (multiprocess mode), or
    give each a URL. A worker that is never asked again before it ends takes its last counts with it. Behind a load
    balancer with hundreds of processes hardly one answers twice: the check then becomes unknown, and `promql` is
    the way. Native histograms and names in quotes (UTF-8) are not read.
    """

    name: ClassVar[str] = "prometheus"
    title: ClassVar[str] = "Counting at an application's own metrics: prometheus"
    needs: ClassVar[frozenset[str]] = frozenset({"total", "bad"})
    takes: ClassVar[frozenset[str]] = frozenset({"latency", "headers", "max_bytes", "verify", "ca_file"})

    def __init__(self, check: ErrorRate) -> None:
        self._asks: list[Ask] = []
        self._strangers = 0
        """Looks in a row that had nothing to compare with."""
        check_fields(lambda: self._address(check), lambda: self._select(check))
        urls = check.prometheus
        self._baselines = [Baselines() for _ in urls]
        written = (*urls, check.total or "", check.bad or "", check.latency or "")
        self._notes = _Notes(crc32("\n".join(written).encode()))

    def _address(self, check: ErrorRate) -> None:
        urls = check.prometheus
        if len(urls) > _MOST_URLS or len(set(urls)) < len(urls):
            raise BadField("prometheus", f"write at most {_MOST_URLS} URLs, each once")
        self._asks += [
            web.page(
                url,
                field="prometheus",
                headers=check.headers,
                max_bytes=check.max_bytes,
                verify=check.verify,
                ca_file=check.ca_file,
            )
            for url in urls
        ]

    def _select(self, check: ErrorRate) -> None:
        self._selection = Selection(check)

    @property
    def target(self) -> str:
        first = self._asks[0].url.shown
        return first if len(self._asks) == 1 else f"{first} and {len(self._asks) - 1} more"

    @property
    def host(self) -> str | None:
        return self._asks[0].url.host

    @property
    def secrets(self) -> Iterable[str]:
        return [secret for ask in self._asks for secret in web.secrets(ask)]

    async def read(self, look: Look, context: Context) -> Tally | None:
        # All are read before any is counted: a failure in between must not cost what the others have told.
        found = [await self._fetch(look, context, index) for index in range(len(self._asks))]
        tallies = []
        for index, (text, page, reading) in enumerate(found):
            tally = await self._count(index, text, page, reading, look, context.memory)
            if tally is not None:
                tallies.append(tally)
        self._strangers = 0 if tallies else self._strangers + 1
        if self._strangers > _STRANGERS:
            raise LookFailed(
                Reason.QUERY, f"each of {self._strangers} looks was answered by another process: name each one's URL"
            )
        if not tallies:
            look.evidence["counted"] = _so_far([page for _, page, _ in found])
            return None
        return self._sum(tallies)

    async def _fetch(self, look: Look, context: Context, index: int) -> tuple[Text, Page, Reading]:
        ask, known = self._asks[index], self._baselines[index]
        asked, wall = perf_counter(), time.time()
        try:
            text = await web.read_large(look, context, ask)
        except LookFailed as failure:
            if len(self._asks) == 1:
                raise
            raise LookFailed(failure.reason, f"{ask.url.shown}: {failure.detail}") from None
        page = await self._selection.read(text, look)
        young = page.start is not None and wall - page.start < _YOUNG
        self._selection.complain(text, page, first=known.empty, young=young)
        if page.found & TOTAL and not page.found & BAD:
            await self._selection.complain_of_bad(text)
            look.evidence["bad"] = "no such series yet"
        return text, page, Reading(page.start, asked, wall, page.values)

    async def _count(
        self,
        index: int,
        text: Text,
        page: Page,
        reading: Reading,
        look: Look,
        memory: MutableMapping[str, float | str],
    ) -> _Part | None:
        known = self._baselines[index]
        first = known.empty
        if first:
            known.wall = self._notes.wall(memory, index, reading.start)
        increase = await known.advance(reading)
        sums = await _sums(page.values)
        resumed = self._notes.resume(memory, index, reading, sums) if first and increase is None else None
        self._notes.keep(memory, index, reading, sums)
        if known.processes > 1:
            look.evidence["processes"] = f"{known.processes} processes have answered"
        if resumed is not None:
            return resumed
        return None if increase is None else await self._part(increase, text, page, look)

    async def _part(self, increase: Increase, text: Text, page: Page, look: Look) -> _Part:
        if increase.note:
            look.evidence["counters"] = increase.note
        part = _Part(increase.seconds)
        worst, most = 0, 0.0
        async for steps in slices(increase.series.items()):
            for key, step in steps:
                if key & TOTAL:
                    part.total += step
                if key & BAD:
                    part.bad += step
                    if step > most:
                        worst, most = key, step
                if key & BUCKET:
                    bound = self._selection.bound(key)
                    part.buckets[bound] = part.buckets.get(bound, 0.0) + step
        if worst:
            series = _promtext.series_at(text, page.bad_at[worst])
            part.worst = (most, f"{look.show(series, 240)}: +{most:g}")
        return part

    def _sum(self, parts: list[_Part]) -> Tally:
        buckets: dict[float, float] = {}
        for part in parts:
            for bound, step in part.buckets.items():
                buckets[bound] = buckets.get(bound, 0.0) + step
        latency = {f"latency_{name}": quantile(share, buckets) for name, share in PERCENTILES.items()}
        _, worst = max(part.worst for part in parts)
        return Tally(
            total=sum(part.total for part in parts),
            bad=sum(part.bad for part in parts),
            seconds=max(part.seconds for part in parts),
            latency={name: value for name, value in latency.items() if value is not None},
            evidence={"worst": worst} if worst else {},
        )


class _Part:
    """What one URL adds."""

    __slots__ = ("bad", "buckets", "seconds", "total", "worst")

    def __init__(self, seconds: float, total: float = 0.0, bad: float = 0.0) -> None:
        self.seconds = seconds
        self.total = total
        self.bad = bad
        self.buckets: dict[float, float] = {}
        self.worst = (0.0, "")


class _Notes:
    """What the next process of the agent should know: sums only, which tell nothing unless the process is named."""

    def __init__(self, of: int) -> None:
        self._of = of
        """Which selectors the sums belong to."""

    def keep(self, memory: MutableMapping[str, float | str], index: int, reading: Reading, sums: list[float]) -> None:
        start = -1.0 if reading.start is None else reading.start
        text = " ".join(repr(figure) for figure in (self._of, reading.wall, start, *sums))
        memory[f"prometheus.{index}"] = text

    def wall(self, memory: MutableMapping[str, float | str], index: int, start: float | None) -> float | None:
        """When another process of the target was read last; one that began at `start` is noted, and so is not new."""
        known = self._known(memory, index)
        return known[0] if known and known[1] != start else None

    def resume(
        self, memory: MutableMapping[str, float | str], index: int, reading: Reading, sums: list[float]
    ) -> _Part | None:
        """What has come since another agent process looked, if the same process answers."""
        known = self._known(memory, index)
        if known is None or reading.start is None:
            return None
        wall, start, total, bad = known
        seconds = reading.wall - wall
        if start != reading.start or seconds <= 0 or sums[0] < total or sums[1] < bad:
            return None
        return _Part(seconds, sums[0] - total, sums[1] - bad)

    def _known(
        self, memory: MutableMapping[str, float | str], index: int
    ) -> tuple[float, float, float, float] | None:
        try:
            of, wall, start, total, bad = map(float, str(memory[f"prometheus.{index}"]).split())
        except (KeyError, ValueError):
            return None
        return (wall, start, total, bad) if of == self._of else None


def _so_far(pages: list[Page]) -> str:
    """What is there to be counted: whoever has written the selectors sees whether they find what was meant."""
    told = []
    if sum(len(page.values) for page in pages) > _COUNTED:
        return "very many series"
    for bit, name in ((TOTAL, "total"), (BAD, "bad"), (BUCKET, "latency")):
        found = [value for page in pages for key, value in page.values.items() if key & bit]
        told.append(f"{name}: {len(found):,} series" + (f", {sum(found):,.0f} so far" if bit != BUCKET else ""))
    return "; ".join(told)


async def _sums(values: dict[int, float]) -> list[float]:
    """All requests and bad ones that are counted there."""
    total = bad = 0.0
    async for part in slices(values.items()):
        total += sum(value for key, value in part if key & TOTAL)
        bad += sum(value for key, value in part if key & BAD)
    return [total, bad]
