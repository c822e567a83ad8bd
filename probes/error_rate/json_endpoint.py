"""Counts from a JSON answer of the application's own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from probes._http import web
from probes._http.jsonpath import number, parse_path
from probes._http.jsonread import values_at
from probes._look import Look
from probes.contract import BadField, Context, LookFailed, Reason, check_fields
from probes.error_rate._meter import Meter
from probes.error_rate.source import Source, Tally

if TYPE_CHECKING:
    from probes.error_rate.probe import ErrorRate

_LARGEST = 2_000_000


class JsonEndpoint(Source):
    """Reads figures from an answer in JSON, such as a status page that the application has anyway.

    ```yaml
    checks:
      - name: errors
        probe: error_rate
        json: http://127.0.0.1:8000/stats
        total: $.requests.total
        bad: $.requests["5xx"]
        percentiles: {p95: $.latency.p95}
    ```

    Paths are those of `expect.json` of the `http` probe. Say what the figures count: `counts: total`, the default, is
    all since the application started (a figure that falls began again at 0), `counts: interval` what came in the last
    `interval: 60s`, as of a gauge that is set every minute, and `counts: rate` requests a second. Of an interval that
    is longer than `every`, its part is taken; what came before an interval is not made up. `percentiles` are paths to
    seconds.

    An endpoint that refuses, hangs or answers something else than JSON is the application's trouble, as with `http`.
    A path that leads nowhere, or to something that is no number, cannot tell (reason `query`); `null` for a
    percentile is none.

    Limits: 2 MB. Several workers behind one URL, each with counters of its own, cannot be told apart here: let
    them share their counts.
    """

    name: ClassVar[str] = "json"
    title: ClassVar[str] = "Counting at figures in JSON: json"
    needs: ClassVar[frozenset[str]] = frozenset({"total", "bad"})
    takes: ClassVar[frozenset[str]] = frozenset(
        {"percentiles", "counts", "interval", "headers", "max_bytes", "verify", "ca_file"}
    )

    def __init__(self, check: ErrorRate) -> None:
        written = {"total": check.total or "", "bad": check.bad or ""}
        written |= {f"percentiles.{name}": text for name, text in check.percentiles.items()}
        paths: dict[str, _Path] = {}

        def add(key: str, text: str) -> None:
            paths[key] = _Path(key, text)

        check_fields(lambda: self._address(check), *(partial(add, key, text) for key, text in written.items()))
        self._total, self._bad = paths.pop("total"), paths.pop("bad")
        self._latency = {key.replace("percentiles.", "latency_"): path for key, path in paths.items()}
        self._meter = Meter(check, self.name, "total")

    def _address(self, check: ErrorRate) -> None:
        self._ask = web.page(
            check.json or "",
            field="json",
            headers=check.headers,
            max_bytes=min(check.max_bytes, _LARGEST),
            verify=check.verify,
            ca_file=check.ca_file,
        )

    @property
    def target(self) -> str:
        return self._ask.url.shown

    @property
    def host(self) -> str | None:
        return self._ask.url.host

    @property
    def secrets(self) -> Iterable[str]:
        return web.secrets(self._ask)

    async def read(self, look: Look, context: Context) -> Tally | None:
        asked = self._meter.now()
        body = await web.read_large(look, context, self._ask)
        paths = [self._total, self._bad, *self._latency.values()]
        values = await values_at(look, body, [path.steps for path in paths])
        total, bad = self._total.figure(values[0]), self._bad.figure(values[1])
        latency = {
            name: path.figure(found)
            for (name, path), found in zip(self._latency.items(), values[2:], strict=True)
            if found is not None
        }
        look.evidence["counted"] = f"total {total:g}, bad {bad:g}"
        return self._meter.take(context.memory, asked, total, bad, latency)


class _Path:
    """A path to a figure, and the key it stands in."""

    def __init__(self, key: str, text: str) -> None:
        """Raises `BadField`."""
        self._key = key
        self._text = text
        try:
            self.steps = parse_path(text)
        except ValueError as error:
            raise BadField(key, str(error)) from None

    def figure(self, found: object) -> float:
        """What was found there, as a figure. Raises `LookFailed`."""
        figure = number(found)
        if figure is None or not 0 <= figure < math.inf:
            raise LookFailed(Reason.QUERY, f"{self._key}: {self._text} leads to no number")
        return figure
