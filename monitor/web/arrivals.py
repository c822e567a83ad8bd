"""What is sent to the agent: `/ping` and `/push`, handed to the passive probe whose token it carries.

A request is taken in within bounds, folded into the check's memory, and answered once that is in the journal. All
that a stranger learns is that a token is not known.
"""

from __future__ import annotations

import asyncio

import aiohttp
import structlog
from aiohttp import web

from monitor.core.judge import Judge
from monitor.core.world import World
from monitor.presence import Listener
from monitor.web.access import bearer
from monitor.web.problem import problem
from monitor.web.view import Post, View
from probes.contract import Arrival, Passive, Refused, claim

BODY_LIMITS = {"ping": 100_000, "push": 16_384}
"""Bytes of a body that are read, at most. A ping's body is what a job said, and may end there; a push is refused."""
BODY_TIME = 10.0
"""Seconds that a body may take."""
_METHODS = {"ping": ("GET", "HEAD", "POST"), "push": ("POST",)}

_log = structlog.get_logger("brownout.web")


def add_arrivals(app: web.Application, view: View, listener: Listener) -> None:
    """The routes of passive probes, where there is somebody to hand to what arrives."""
    if view.post is None:
        return
    arrivals = Arrivals(view, view.post, listener)
    app.router.add_route("*", "/{door:ping}/{token}", arrivals.take)
    app.router.add_route("*", "/{door:ping}/{token}/{rest:.*}", arrivals.take)
    app.router.add_route("*", "/{door:push}", arrivals.take)
    app.router.add_route("*", "/{door:push}/{token}", arrivals.take)
    app.router.add_route("*", "/{door:push}/{token}/{rest:.*}", arrivals.take)


class Arrivals:
    """Finds the check, hands it what arrived, has it kept and looked at."""

    def __init__(self, view: View, post: Post, listener: Listener) -> None:
        self._view = view
        self._post = post
        self._listener = listener
        self._world: World | None = None
        self._claims: dict[tuple[str, bytes], Judge] = {}

    async def take(self, request: web.Request) -> web.Response:
        door = request.match_info["door"]
        answer, result = await self._take(request, door)
        self._view.telemetry.arrival(door, result)
        return answer

    async def _take(self, request: web.Request, door: str) -> tuple[web.Response, str]:
        """The answer, and the word for it in the metrics."""
        if request.method not in _METHODS[door]:
            allowed = ", ".join(_METHODS[door])
            return problem(405, f"Write to this surface with {allowed}.", {"Allow": allowed}), "refused"
        sought = door, _token(request), request.match_info.get("rest", "").strip("/")
        if self._find(*sought) is None:
            return _unknown(), "unknown"
        body, cut = await read_body(request, BODY_LIMITS[door])
        if not self._post.open():
            return problem(503, "The agent is stopping. Send it again.", {"Retry-After": "5"}), "refused"
        found = self._find(*sought)  # anew: a reload may have come while the body did
        if found is None:
            return _unknown(), "unknown"
        judge, path = found
        arrival = Arrival(self._post.presence(), path, dict(request.query), body, cut, self._redact)
        try:
            self._hand_over(judge, arrival)
        except Refused as refused:
            return problem(refused.status, refused.advice), "refused"
        self._post.heard(self._listener)
        self._post.ask(judge.check.id)
        if await self._post.keep(judge.check.id):
            return web.Response(text="OK"), "accepted"
        # It counts all the same. That a kill now would lose it is the journal's trouble, which is told elsewhere.
        return web.Response(text="OK, but the journal cannot be written now"), "unsaved"

    def _find(self, door: str, token: str, rest: str) -> tuple[Judge, str] | None:
        """The check, and what of the path is left to it. Looked up by digest: the time it takes tells nothing."""
        world = self._view.world()
        if world is not self._world:
            self._world, self._claims = world, _claims(world)
        if judge := self._claims.get((door, claim(token))):
            return judge, rest
        slug, _, left = rest.partition("/")
        judge = self._claims.get((door, claim(f"{token}/{slug}")))
        return (judge, left) if judge else None

    @staticmethod
    def _hand_over(judge: Judge, arrival: Arrival) -> None:
        """All of it or nothing. Raises `Refused`."""
        probe, memory = judge.check.probe, dict(judge.memory)
        assert isinstance(probe, Passive)  # noqa: S101  (`_claims` has no others)
        try:
            probe.receive(arrival, memory)
        except Refused:
            raise
        except Exception as error:
            _log.exception("probe_bug", check=judge.check.id, probe=probe.kind)
            raise Refused(500, "This is a fault of the agent; its log has the traceback.") from error
        judge.memory.clear()
        judge.memory.update(memory)

    def _redact(self, text: str) -> str:
        return str(self._view.redact(text))


def _unknown() -> web.Response:
    return problem(404, "No check of this agent has this token.")


def _claims(world: World) -> dict[tuple[str, bytes], Judge]:
    judges = ((judge, judge.check.probe) for judge in world.judges.values())
    return {(probe.door, probe.claim): judge for judge, probe in judges if isinstance(probe, Passive)}


def _token(request: web.Request) -> str:
    """From the path, or as ``Authorization: Bearer``."""
    if "token" in request.match_info:
        return request.match_info["token"]
    return bearer(request)


async def read_body(request: web.Request, limit: int) -> tuple[bytes, bool]:
    """The body, or as much of it as comes within the bounds; True when there was more, or it broke off."""
    if not request.can_read_body:
        return b"", False
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIME):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit:
                    break
    except (TimeoutError, OSError, web.RequestPayloadError, aiohttp.http.HttpProcessingError):
        return bytes(body[:limit]), True
    return bytes(body[:limit]), len(body) > limit
