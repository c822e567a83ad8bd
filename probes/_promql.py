"""Instant queries against a Prometheus server, or what speaks its API (Thanos, Mimir, VictoriaMetrics).

The server is a third party: whatever is wrong with it says nothing of what it watches. So every failure here is one
that cannot tell. Source: Prometheus' documentation, HTTP API, "Instant queries" and "Format overview".
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from probes._http import url as _url
from probes._http import web
from probes._http.exchange import Ask
from probes._look import Look
from probes.contract import TEXT_LIMIT, BadField, Context, LookFailed, Reason, Secret

ANSWER_BYTES = 128 * 1024
"""Parsing JSON holds the loop: so much of it for some 5 ms."""
_LONGEST = 4000
"""Characters of a query: it travels in the request's first line, of which servers take some 8 KiB."""
_STALE = 300.0
"""Seconds by which the time of an answer may differ from ours; Prometheus itself looks back as far."""
_EXPLAINED = frozenset({200, 400, 422, 500, 503})
"""Statuses that come with an answer in JSON."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a result; `value` may be NaN or infinite."""

    labels: Mapping[str, str]
    value: float

    def shown(self, look: Look) -> str:
        """Its name and labels, for people."""
        name = self.labels.get("__name__", "")
        inside = ", ".join(f'{key}="{value}"' for key, value in self.labels.items() if key != "__name__")
        return look.show(f"{name}{{{inside}}}" if inside or not name else name, 240)


@dataclass(frozen=True, slots=True, repr=False)
class Query:
    """One query to one server, made once a check."""

    key: str
    """The key of the config it stands in, for what is said of it."""
    ask: Ask

    @property
    def secrets(self) -> Iterable[str]:
        return web.secrets(self.ask)

    async def run(self, look: Look, context: Context) -> list[Series]:
        """The result, a scalar as one series without labels. Raises `LookFailed`: none that blames the target."""
        try:
            body = await web.read(look, context, self.ask, expect=_EXPLAINED)
        except LookFailed as failure:
            if failure.reason is Reason.TOO_LARGE:
                many = f"{self.key}: the result is larger than {ANSWER_BYTES // 1024} KiB"
                raise LookFailed(Reason.QUERY, f"{many}: aggregate, with sum() or topk()") from None
            raise web.source(failure, self.ask.url.shown.partition("/api/v1")[0]) from None
        return self._result(body, look)

    def _result(self, body: bytes, look: Look) -> list[Series]:
        try:
            answer = json.loads(body)
            if answer["status"] != "success":
                raise self._refused(answer, look)
            if answer.get("warnings"):
                # Such as Thanos' partial answers: what is left out may be what matters.
                said = look.show(str(answer["warnings"][0]), 200)
                raise LookFailed(Reason.SOURCE, f"{self.key}: the server warns: {said}")
            return self._series(str(answer["data"]["resultType"]), answer["data"]["result"], look)
        except (ValueError, OverflowError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            start = look.show(body[:TEXT_LIMIT].decode("utf-8", "replace"), 100, cut=len(body) > TEXT_LIMIT)
            raise LookFailed(
                Reason.SOURCE, f"this is no answer of a Prometheus server: {start or 'it is empty'}"
            ) from None

    def _refused(self, answer: Mapping[str, Any], look: Look) -> LookFailed:
        """``bad_data`` and ``execution`` are the query's fault, ``timeout``, ``unavailable``, ... the server's."""
        kind = str(answer.get("errorType"))
        reason = Reason.QUERY if kind in ("bad_data", "execution") else Reason.SOURCE
        return LookFailed(reason, f"{self.key}: {look.show(kind, 30)}: {look.show(str(answer.get('error')), 220)}")

    def _series(self, kind: str, result: Any, look: Look) -> list[Series]:
        if kind == "scalar":
            result = [{"metric": {}, "value": result}]
        elif kind != "vector":
            raise LookFailed(
                Reason.QUERY, f"{self.key}: the result is a {look.show(kind, 20)}, not one value for each series"
            )
        found = []
        for item in result:
            if "value" not in item:
                raise LookFailed(Reason.QUERY, f"{self.key}: the result is a histogram: take a quantile of it")
            at, value = item["value"]
            behind = time.time() - float(at)
            if abs(behind) > _STALE:
                raise LookFailed(Reason.SOURCE, f"{self.key}: the answer is {behind:.0f} s old; compare the clocks")
            labels = {str(name): str(text) for name, text in item["metric"].items()}
            found.append(Series(labels, float(value)))
        return found


def query(
    url: str,
    text: str,
    *,
    url_field: str,
    key: str,
    headers: Mapping[str, Secret],
    verify: bool,
    ca_file: str | None,
) -> Query:
    """Raises `BadField` for `url_field`, the headers or `key`. `url` is the server's, with its path if it has one."""
    if not text.strip():
        raise BadField(key, "write a PromQL query")
    if len(text) > _LONGEST:
        raise BadField(key, f"is longer than {_LONGEST} characters: make a recording rule of it")
    base, question, more = url.partition("?")
    base = base.rstrip("/").removesuffix("/api/v1/query").rstrip("/")
    where = f"{base}/api/v1/query?{more}{'&' if question and more else ''}query={quote(text.strip(), safe='')}"
    try:
        _url.parse(url)
    except ValueError as error:
        raise BadField(url_field, str(error)) from None
    ask = web.page(where, field=url_field, headers=headers, max_bytes=ANSWER_BYTES, verify=verify, ca_file=ca_file)
    return Query(key, ask)


def shown(url: str) -> str:
    """The server for people: without user, password and query."""
    return _url.parse(url).shown


def finite(series: Iterable[Series]) -> list[Series]:
    """Those that have a value."""
    return [each for each in series if math.isfinite(each.value)]
