"""Counts from a Prometheus server."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from probes import _promql
from probes._look import Look
from probes._promql import Query
from probes.contract import BadField, Context, LookFailed, Reason, check_fields
from probes.error_rate._meter import Meter
from probes.error_rate.source import Source, Tally

if TYPE_CHECKING:
    from probes.error_rate.probe import ErrorRate


class PromQL(Source):
    """Asks a Prometheus server, or what speaks its API: it has done the scraping already.

    ```yaml
    checks:
      - name: errors
        probe: error_rate
        promql: http://prometheus:9090
        headers: {Authorization: "Bearer ${PROMETHEUS_TOKEN}"}
        total: sum(rate(http_requests_total{job="shop"}[1m]))
        bad: sum(rate(http_requests_total{job="shop", status=~"5.."}[1m]))
        percentiles:
          p95: histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{job="shop"}[1m])))
    ```

    The queries tell requests a second (`counts: rate`, the default), or those of a span with `counts: interval` and
    `interval: 1m`, for `increase(...[1m])`. What came since the last look is made of that, so let the range in the
    query be about `every`, and no shorter than four scrapes; a longer one tells of trouble later. Raw counters are
    refused: their resets are the server's to handle, by `rate` or `increase`. Several series are added up, except in
    `percentiles`, where a query must return one. A password stands in the URL, a token in `headers`.

    No result for `bad` is no error yet, as long as `total` has one. Everything else cannot tell, and never makes an
    outage: a server that is down, slow or warns of partial results (reason `source`), an error in a query, no series
    or NaN for `total` (reason `query`).

    Limits: results of 128 KiB, queries of 4,000 characters; a new connection for each query. What the server does not
    scrape any more has no rate after a few minutes: then there is no result, and the check becomes unknown.
    """

    name: ClassVar[str] = "promql"
    title: ClassVar[str] = "Counting by queries to a Prometheus server: promql"
    needs: ClassVar[frozenset[str]] = frozenset({"total", "bad"})
    takes: ClassVar[frozenset[str]] = frozenset({"percentiles", "counts", "interval", "headers", "verify", "ca_file"})

    def __init__(self, check: ErrorRate) -> None:
        self._url = check.promql or ""
        make = partial(
            _promql.query,
            self._url,
            url_field="promql",
            headers=check.headers,
            verify=check.verify,
            ca_file=check.ca_file,
        )
        written = {"total": check.total or "", "bad": check.bad or ""}
        written |= {f"percentiles.{name}": text for name, text in check.percentiles.items()}
        queries: dict[str, Query] = {}

        def add(key: str, text: str) -> None:
            queries[key] = make(text, key=key)

        check_fields(partial(_refuse_counters, check), *(partial(add, key, text) for key, text in written.items()))
        self._total, self._bad = queries.pop("total"), queries.pop("bad")
        self._latency = {key.replace("percentiles.", "latency_"): query for key, query in queries.items()}
        self._meter = Meter(check, self.name, "rate")

    @property
    def target(self) -> str:
        return f"PromQL at {_promql.shown(self._url)}"

    @property
    def host(self) -> str | None:
        return self._total.ask.url.host

    @property
    def secrets(self) -> Iterable[str]:
        return self._total.secrets

    async def read(self, look: Look, context: Context) -> Tally | None:
        asked = self._meter.now()
        total = await _sum(self._total, look, context)
        if total is None:
            raise LookFailed(Reason.QUERY, "total: the query returns no series")
        bad = await _sum(self._bad, look, context)
        if bad is None:
            look.evidence["bad"] = "no such series yet"
        latency = {}
        for name, query in self._latency.items():
            found = _promql.finite(await query.run(look, context))
            if len(found) > 1:
                raise LookFailed(Reason.QUERY, f"{query.key}: {len(found)} series, which cannot be added up")
            if found:  # there is none, or NaN, where no request came
                latency[name] = found[0].value
        look.evidence["counted"] = f"total {total:g}, bad {bad or 0.0:g}"
        return self._meter.take(context.memory, asked, total, bad or 0.0, latency)


def _refuse_counters(check: ErrorRate) -> None:
    if check.counts == "total":
        raise BadField("counts", "counters reset: write rate(...) or increase(...) into the query")


async def _sum(query: Query, look: Look, context: Context) -> float | None:
    """The sum over the series; None without any. Raises `LookFailed`."""
    found = await query.run(look, context)
    if len(_promql.finite(found)) < len(found) or any(each.value < 0 for each in found):
        raise LookFailed(
            Reason.QUERY, f"{query.key}: the result is not a number of requests (NaN, infinite, negative)"
        )
    return sum(each.value for each in found) if found else None
