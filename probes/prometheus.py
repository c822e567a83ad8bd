"""Looks at one figure of a Prometheus server."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from probes import _promql
from probes._clean import Cleaner
from probes._look import Look, failed
from probes._promql import Query, Series
from probes.contract import Context, FilePath, LookFailed, Measurement, Observation, Probe, Reason, Secret, Unit

_SHOWN = 3
"""Series that the evidence names."""


@dataclass(frozen=True, slots=True, repr=False)
class Prometheus(Probe):
    """Asks a Prometheus server one PromQL query, whatever it is, and compares the figure.

    ```yaml
    checks:
      - name: disks of the cluster
        probe: prometheus
        url: http://prometheus:9090
        query: 1 - node_filesystem_avail_bytes{fstype="ext4"} / node_filesystem_size_bytes
        unit: ratio
        pick: max
        degraded: value > 85% for 10m
        down: value > 97%
    ```

    The figure is called `value`, and `unit` says what it counts in: `seconds`, `ratio`, `bytes`, `count`,
    `per_second` or `bytes_per_second`, so that conditions are written with units (`value > 85%`). The server answers
    as of now. Anything that speaks this API will do: Thanos, Mimir, VictoriaMetrics. A password stands in the URL, a
    token in `headers`.

    When a query returns several series, `pick` says which one counts: the `max` or the `min`, or their `sum`; with
    `only`, the default, several are an error of the query, so that none is passed over unseen. The evidence names the
    series that counts. No series at all cannot tell, as nobody knows whether all is well or nothing is scraped any
    more; a query that returns nothing when all is well (`up == 0`) says `empty: zero`.

    The server is a third party. That it is down, slow, or answers with an error or a warning says nothing of what it
    watches: such a look cannot tell (reason `source`), and neither can one whose query is wrong, returns NaN or
    several series (reason `query`). Both make the check `unknown`, never down: watch the server itself with `http`.

    Default thresholds: none. A query can mean anything, so nobody but you knows which value is bad.

    Limits: instant queries of at most 4,000 characters, results of 128 KiB. An answer whose time is more than 5
    minutes from the agent's clock is refused. Histogram samples are not compared: take a quantile in the query.
    """

    kind: ClassVar[str] = "prometheus"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("series", Unit.COUNT, "Series that the query returned."),
        Measurement("query_time", Unit.SECONDS, "How long the server took to answer.", cut_by=Reason.QUERY_TIMEOUT),
    )

    url: Annotated[str, "The Prometheus server: http:// or https://, with its path if it has one."]
    query: Annotated[str, "The PromQL query, whose result is the figure `value`."]
    unit: Annotated[Unit, "What the figure counts in."] = Unit.COUNT
    pick: Annotated[
        Literal["only", "max", "min", "sum"], "Which of several series counts; `only`: there must be one."
    ] = "only"
    empty: Annotated[
        Literal["unknown", "zero"], "What a result without any series means: nobody can tell, or the figure is 0."
    ] = "unknown"
    headers: Annotated[Mapping[str, Secret], "Headers to send; never shown, and never sent to another host."] = field(
        default_factory=dict
    )
    verify: Annotated[bool, "Whether the certificate must be trusted and for this name."] = True
    ca_file: Annotated[FilePath | None, "A file of PEM certificates to trust instead of the system's."] = None
    _query: Query = field(init=False, compare=False)
    _own: Cleaner | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        query = _promql.query(
            self.url,
            self.query,
            url_field="url",
            key="query",
            headers=self.headers,
            verify=self.verify,
            ca_file=self.ca_file,
        )
        object.__setattr__(self, "_query", query)
        object.__setattr__(self, "_own", Cleaner(query.secrets) or None)

    def __repr__(self) -> str:
        # The URL may hold a password; a repr ends in tracebacks and logs.
        return f"Prometheus({self.target})"

    @property
    def target(self) -> str:
        return f"PromQL at {_promql.shown(self.url)}"

    @property
    def measured(self) -> tuple[Measurement, ...]:
        return (Measurement("value", self.unit, "What the query returned."), *self.measurements)

    @property
    def host(self) -> str | None:
        return self._query.ask.url.host

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, self._own, context.redact)
        figures: dict[str, float] = {}
        try:
            found = await self._query.run(look, context)
            figures["series"] = float(len(found))
            figures["value"] = self._value(found, look)
            look.check_clocks()
        except LookFailed as failure:
            if self._own is not None:
                failure = LookFailed(failure.reason, self._own(failure.detail))
            return failed(look, failure, figures, elapsed="query_time")
        finally:
            look.close()
        # With `send`: a busy agent may notice only after the answer came that it has sent the question.
        figures["query_time"] = sum(look.phases.get(phase, 0.0) for phase in ("send", "first_byte", "transfer"))
        return Observation(figures, None, "", look.phases, look.evidence)

    def _value(self, found: list[Series], look: Look) -> float:
        if not found:
            if self.empty == "zero":
                return 0.0
            raise LookFailed(Reason.QUERY, "the query returns no series; if that is as it should be, say empty: zero")
        if self.pick == "only" and len(found) > 1:
            some = "; ".join(each.shown(look) for each in found[:2])[:200]
            raise LookFailed(Reason.QUERY, f"the query returns {len(found)} series, say which with pick: {some}")
        known = _promql.finite(found)
        if not known or (self.pick == "sum" and len(known) < len(found)):
            raise LookFailed(Reason.QUERY, "the query returns a value that is no number (NaN or infinite)")
        ordered = sorted(known, key=lambda each: each.value, reverse=self.pick != "min")
        look.evidence["series"] = ordered[0].shown(look)
        if len(ordered) > 1:
            others = "; ".join(f"{each.shown(look)} {each.value:g}" for each in ordered[1 : 1 + _SHOWN])
            look.evidence["others"] = look.show(others, 300)
        return math.fsum(each.value for each in known) if self.pick == "sum" else ordered[0].value
