"""`/api/v1/checks`: every check in a line, fast enough to be asked often; and one check with all there is to it.

Most of a line does not change while a check's state stays, so its text is kept, for as long as somebody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice
from time import perf_counter
from typing import Any

from aiohttp import web

from monitor.core.flags import explained_by, flags
from monitor.core.judge import Judge
from monitor.core.model import Check, Look, State, Verdict
from monitor.core.wording import cut, iso
from monitor.core.world import World
from monitor.web import query
from monitor.web.items import Redact, check_item, down_item, usual_item
from monitor.web.problem import Problem
from monitor.web.stream import JSON, dumps, finite, stream
from monitor.web.view import View

TURN = 0.001
"""Seconds of rendering after which the loop gets a turn. By time and not by number: a busy loop's turns are long, and
an answer must not take hundreds of them."""
PIECE = 64 * 1024
"""Bytes after which it gets one, too: to hand them to the kernel takes as long as to make them."""
SLICE = 16
"""Checks between two looks at the clock; half a millisecond where nothing of them is kept yet."""
KEPT_FOR = 60.0
"""Seconds after the last answer for which the texts are kept: they take about 700 bytes a check."""
FACTS_LIMIT = 16
RESPONSE_TIME = "response_time"

_STATES = {state.value: state for state in State}
Filter = Callable[[Judge], bool]


class Checks:
    """The routes of checks."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._kept: dict[str, Line] = {}
        """By id. Made anew for another world: a reload removes checks, and may make a secret of what stands here."""
        self._world: World | None = None
        self._asked = 0
        self._forget: asyncio.TimerHandle | None = None

    async def all(self, request: web.Request) -> web.StreamResponse:
        """In the order of the configuration."""
        wanted = _filter(request)
        judges = list(self._view.world().judges.values())
        return await stream(request, self._pieces(filter(wanted, judges)), JSON)

    async def one(self, request: web.Request) -> web.StreamResponse:
        """With thresholds, figures, phases and evidence."""
        world = self._view.world()
        judge = world.judges.get(request.match_info["name"])
        if judge is None:
            raise Problem(404, "No check has this id; /api/v1/checks lists them.")
        document = check_item(judge, world, self._view.redact)
        document["trouble_since"] = iso(judge.trouble_since)
        document["depends_on"] = self._view.redact(list(judge.check.depends_on))
        document["measured"] = [{"name": item.name, "unit": item.unit.value} for item in judge.check.probe.measured]
        now = self._view.clock.now()
        document["usual"] = usual_item(judge, now.at)
        document["down_after"] = down_item(judge, now.tick)
        document["evidence"] = _evidence(judge, self._view.redact)
        return web.Response(body=dumps(document), content_type=JSON)

    async def _pieces(self, judges: Iterable[Judge]) -> AsyncIterator[bytes]:
        self._asked += 1
        yield b'{"checks":['
        count, comma = 0, b""
        part: list[bytes] = []
        size, rest, began = 0, iter(judges), perf_counter()
        while some := [self._line(judge) for judge in islice(rest, SLICE)]:
            part += some
            size += len(some[0]) * len(some)
            if size >= PIECE or perf_counter() - began >= TURN:
                yield comma + b",".join(part)
                comma, count, part = b",", count + len(part), []
                await asyncio.sleep(0)
                size, began = 0, perf_counter()
        yield (comma if part else b"") + b",".join(part) + b'],"count":%d}' % (count + len(part))
        self._keep_for_a_while()

    def _line(self, judge: Judge) -> bytes:
        if (world := self._view.world()) is not self._world:
            self._world, self._kept = world, {}
        line = self._kept.get(judge.check.id)
        if line is None or line.check is not judge.check:
            line = self._kept[judge.check.id] = Line(judge.check, self._view.redact)
        return line.render(judge, flags(world, judge), explained_by(world, judge), self._view.redact)

    def _keep_for_a_while(self) -> None:
        if self._forget is None:
            loop = asyncio.get_running_loop()
            self._forget = loop.call_later(KEPT_FOR, self._forget_unless_asked, self._asked)

    def _forget_unless_asked(self, asked: int) -> None:
        self._forget = None
        if asked == self._asked:
            self._kept = {}
        else:
            self._keep_for_a_while()


class Line:
    """One check's line: what the configuration fixes, what the verdict does, and the last look."""

    __slots__ = ("_head", "_last", "_look", "_of", "_told", "check")

    def __init__(self, check: Check, redact: Redact) -> None:
        self.check = check
        ids, target, labels, owner, runbook = redact(
            [
                [check.id, check.name, check.service],
                check.probe.target,
                dict(check.labels),
                check.owner,
                check.runbook,
            ]
        )
        fixed = {
            "id": ids[0],
            "name": ids[1],
            "service": ids[2],
            "probe": check.probe.kind,
            "target": cut(target),
            "impact": check.impact.value,
            "every": check.every.total_seconds(),
            "owner": owner,
            "runbook": runbook,
            "labels": labels,
        }
        self._head = dumps(fixed)[:-1]
        self._of: tuple[Verdict | None, int, str | None] = None, -1, None
        """What the told part was made of."""
        self._told = b""
        self._look: Look | None = None
        self._last = b""

    def render(self, judge: Judge, flags: tuple[str, ...], explained: str | None, redact: Redact) -> bytes:
        if judge.last is not self._look or not self._told:
            self._look = judge.last
            self._last = _last(judge)
        told = judge.verdict, judge.seq, explained
        if told != self._of:
            self._of = told
            self._told = dumps(_told(judge, explained, redact))[1:-1]
        return b'%b,%b,"flags":%b,%b}' % (self._head, self._told, dumps(flags) if flags else b"[]", self._last)


def _told(judge: Judge, explained: str | None, redact: Redact) -> dict[str, Any]:
    reason = judge.verdict.reason
    return {
        "state": judge.state.value,
        "since": iso(judge.since),
        "reason": reason.value if reason else None,
        "why": cut(redact(judge.verdict.why)),
        "advice": reason.advice if reason else None,
        "suppressed_by": redact(explained),
    }


def _last(judge: Judge) -> bytes:
    """Written by hand, as each look changes it: a tenth of what the encoder takes. No text in it is a target's."""
    look, confirming = judge.last, "true" if judge.suspicious else "false"
    if look is None:
        return f'"confirming":{confirming},"last":null'.encode()
    seen = look.observation
    took = finite(seen.measurements.get(RESPONSE_TIME))
    reason = f'"{seen.reason.value}"' if seen.reason else "null"
    ok = "true" if seen.ok else "false"
    figure = "null" if took is None else repr(float(took))
    told = f'{{"at":"{iso(look.ended.at)}","ok":{ok},"reason":{reason},"response_time":{figure}}}'
    return f'"confirming":{confirming},"last":{told}'.encode()


def _evidence(judge: Judge, redact: Redact) -> dict[str, str]:
    """What the last look brought: bounded, and written by a target that may be hostile."""
    facts = islice(judge.facts.items(), FACTS_LIMIT)
    return {cut(redact(key)): cut(redact(value)) for key, value in facts}


def _filter(request: web.Request) -> Filter:
    """`state`, `service` and `label`: of the first two any that is given, of labels all. Raises `Problem`."""
    states = query.words(request, "state", _STATES)
    services = frozenset(request.query.getall("service", []))
    labels = query.pairs(request, "label")

    def wanted(judge: Judge) -> bool:
        check = judge.check
        return (
            (not states or judge.state in states)
            and (not services or check.service in services)
            and all(check.labels.get(name) == value for name, value in labels)
        )

    return wanted
