"""What the history has of a check or a service: figures for a chart, states for a ribbon, transitions.

A chart's points are those of the roll-ups; the last hour is told more finely, from the looks themselves.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from monitor.core.history import LONG, SAMPLES_LIMIT, Past, Point, Sample, Span
from monitor.core.judge import Judge
from monitor.core.novelty import SPAN, Finding, findings
from monitor.core.series import percentile
from monitor.core.wording import cut, iso
from monitor.store.contract import StoreError
from monitor.web import query
from monitor.web.problem import Problem, unreadable
from monitor.web.stream import JSON, dumps, finite, json_pieces, stream
from monitor.web.view import View

SPANS = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "400d": timedelta(days=400),
}
DEFAULT_SPAN = "24h"
FINE = timedelta(hours=1)
"""Up to here the looks themselves are told, in periods of `FINE_STEP`."""
FINE_STEP = 10.0
"""Seconds."""
PAGE = timedelta(minutes=10)
"""Looks of so long a time are read at once."""
TRANSITIONS_LIMIT, TRANSITIONS_MOST = 20, 500
PIECE = 500
"""Points written, or looks counted, at a time: about a millisecond."""

_Row = list[Any]


class PastRoutes:
    """The routes of the past."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def chart(self, request: web.Request) -> web.StreamResponse:
        """One measurement: count, mean, p50, p95 and max of each period."""
        judge = self._judge(request)
        name, unit = _measurement(judge, request.query.get("measurement"))
        since, until = self._time(request)
        try:
            if until - since <= FINE:
                step: float | None = FINE_STEP
                rows = await self._fine(judge.check.id, since, until, name)
            else:
                points = await self._view.records.rollup(judge.check.id, since, until)
                step = points[0].span.total_seconds() if points else None
                rows = _rows(points, name)
        except (StoreError, ValueError):
            raise unreadable("history") from None
        head = self._head(judge.check.id, since, until) | {"measurement": name, "unit": unit, "step": step}
        return await stream(request, json_pieces(head, {"points": rows}, PIECE), JSON)

    async def _fine(self, check: str, since: datetime, until: datetime, name: str) -> list[_Row]:
        """From the looks themselves, a few minutes at a time: a check may be looked at ten times a second."""
        bins: defaultdict[float, list[float]] = defaultdict(list)
        while since < until:
            end = min(since + PAGE, until)
            samples = await self._view.records.samples(check, since, end)
            for part in range(0, len(samples), PIECE):
                _distribute(samples[part : part + PIECE], name, bins)
                await asyncio.sleep(0)
            since = end if len(samples) < SAMPLES_LIMIT else samples[-1].began + timedelta(milliseconds=1)
        return [[round(at), *_summed(sorted(bins[at]))] for at in sorted(bins)]

    async def check_ribbon(self, request: web.Request) -> web.StreamResponse:
        return await self._ribbon(request, "check", self._judge(request).check.id)

    async def service_ribbon(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in self._view.world().services:
            raise Problem(404, "No service has this name; /api/v1/services lists them.")
        return await self._ribbon(request, "service", name)

    async def _ribbon(self, request: web.Request, kind: str, subject: str) -> web.StreamResponse:
        """How long it was in each state; null where no agent was there to see."""
        since, until = self._time(request)
        try:
            spans = await self._view.records.states(kind, subject, since, until)
        except (StoreError, ValueError):
            raise unreadable() from None
        head = self._head(subject, since, until) | {"seconds": _seconds(spans)}
        rows = ([_unix(item.start), _unix(item.end), item.state, self._why(item.why)] for item in spans)
        return await stream(request, json_pieces(head, {"spans": rows}, PIECE), JSON)

    async def transitions(self, request: web.Request) -> web.StreamResponse:
        """The newest first; `before` is the `number` of the last one of the page before."""
        judge = self._judge(request)
        limit = query.whole(request, "limit", TRANSITIONS_LIMIT, TRANSITIONS_MOST)
        before = query.number(request, "before")
        try:
            found = await self._view.records.transitions("check", judge.check.id, limit, before)
        except (StoreError, ValueError):
            raise unreadable() from None
        body = {"transitions": [self._transition(item) for item in found]}
        return web.Response(body=dumps(body), content_type=JSON)

    async def findings(self, request: web.Request) -> web.StreamResponse:
        """Figures that are where they have not been. A thread works it out: it may be a tenth of a second."""
        judge, until = self._judge(request), self._view.clock.now().at
        try:
            points = await self._view.records.rollup(judge.check.id, until - SPAN, until, LONG)
        except (StoreError, ValueError):
            raise unreadable("history") from None
        found = await asyncio.to_thread(findings, points, judge.check, until)
        head = self._head(judge.check.id, until - SPAN, until)
        body = head | {"findings": [_finding(item) for item in found]}
        return web.Response(body=dumps(body), content_type=JSON)

    def _transition(self, past: Past) -> dict[str, Any]:
        item = past.transition
        return {
            "number": past.number,
            "at": iso(item.at),
            "since": iso(item.since),
            "old": item.old,
            "new": item.new,
            "reason": item.verdict.reason.value if item.verdict.reason else None,
            "why": self._why(item.verdict.why),
            "was": self._view.redact(item.was) or None,
        }

    def _judge(self, request: web.Request) -> Judge:
        judge = self._view.world().judges.get(request.match_info["name"])
        if judge is None:
            raise Problem(404, "No check has this id; /api/v1/checks lists them.")
        return judge

    def _time(self, request: web.Request) -> tuple[datetime, datetime]:
        until = self._view.clock.now().at
        return until - query.word(request, "span", SPANS, DEFAULT_SPAN), until

    def _head(self, subject: str, since: datetime, until: datetime) -> dict[str, Any]:
        return {"id": self._view.redact(subject), "from": iso(since), "to": iso(until)}

    def _why(self, why: str) -> str:
        return cut(str(self._view.redact(why)))


def _measurement(judge: Judge, asked: str | None) -> tuple[str, str]:
    """(name, unit). Raises `Problem`."""
    known = {item.name: item.unit.value for item in judge.check.probe.measured}
    name = asked or ("response_time" if "response_time" in known else next(iter(known), ""))
    if name not in known:
        raise Problem(404, f"measurement must be one of {', '.join(known) or 'none: this check has none'}.")
    return name, known[name]


def _finding(item: Finding) -> dict[str, Any]:
    return {
        "measurement": item.measurement,
        "unit": item.unit.value,
        "value": finite(item.value),
        "low": finite(item.low),
        "high": finite(item.high),
        "since": iso(item.since),
        "why": item.why,
    }


def _rows(points: Iterable[Point], name: str) -> list[_Row]:
    """Periods in which nothing was measured are left out."""
    found = []
    for point in points:
        if (it := point.figures.get(name)) is not None and it.count:
            figures = (it.mean, it.p50, it.p95, it.max)
            found.append([_unix(point.at), it.count, *map(finite, figures)])
    return found


def _distribute(samples: Iterable[Sample], name: str, bins: Mapping[float, list[float]]) -> None:
    for sample in samples:
        value = sample.measurements.get(name)
        if sample.scheduled and value is not None:
            bins[sample.began.timestamp() // FINE_STEP * FINE_STEP].append(value)


def _summed(values: Sequence[float]) -> _Row:
    """Reckoned as in the roll-ups, so that both charts mean the same."""
    told = (math.fsum(values) / len(values), percentile(values, 50), percentile(values, 95), values[-1])
    return [len(values), *map(finite, told)]


def _seconds(spans: Iterable[Span]) -> dict[str, float]:
    """How long in each state; what nobody saw counts for none."""
    told: defaultdict[str, float] = defaultdict(float)
    for span in spans:
        if span.state is not None:
            told[span.state] += (span.end - span.start).total_seconds()
    return {state: round(seconds, 3) for state, seconds in told.items()}


def _unix(moment: datetime) -> float:
    return round(moment.timestamp(), 3)
