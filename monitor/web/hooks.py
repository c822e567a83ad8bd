"""`/hooks/NAME`: what GitHub, GitLab, PagerDuty and Slack send, signed; `/acknowledge/TICKET`: links in messages.

Neither needs a token: a signature is one, for one thing. So both are there for the world, too.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from html import escape
from importlib.resources import files
from urllib.parse import parse_qs

import structlog
from aiohttp import web

from monitor.hooks import Acknowledged, Deployed, Forged, Hook, Wish, read
from monitor.invitations import Expired
from monitor.web.arrivals import read_body
from monitor.web.guard import SECURITY_HEADERS
from monitor.web.problem import problem
from monitor.web.view import Doors, View

BODY_LIMIT = 128 * 1024
"""Bytes of what a vendor sends: tens of KB, and whoever sends more has to be read before it is known to be forged."""
TOLD_EVERY = 60.0
"""Seconds between lines on the log about what a hook has refused: anybody may send to it, as often as they like."""
KEPT = 1000
"""What was done last for vendors: it may come again, and must not be done again."""
FORM_LIMIT = 4096
LONGEST_NAME = 60
"""Characters of the name that somebody gives who acknowledges by a link."""

_MAY_SEND = SECURITY_HEADERS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'")

_log = structlog.get_logger("brownout.web")


def add_doors(app: web.Application, view: View) -> None:
    """Where there is somebody to hand to what comes."""
    if view.doors is None:
        return
    hooks, invited = Hooks(view, view.doors), Invited(view, view.doors)
    app.router.add_post("/hooks/{name}", hooks.take)
    app.router.add_get("/acknowledge/{ticket}", invited.ask)
    app.router.add_post("/acknowledge/{ticket}", invited.acknowledge)


class Hooks:
    """Knows whose it is, and hands on what it asks for."""

    def __init__(self, view: View, doors: Doors) -> None:
        self._view = view
        self._doors = doors
        self._done: OrderedDict[bytes, None] = OrderedDict()
        self._told: dict[str, float] = {}
        """When the log was last told of refusals of each hook, as a tick."""
        self._untold: Counter[str] = Counter()

    async def take(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        hook = next((item for item in self._doors.hooks() if item.name == name), None)
        if hook is None:
            return problem(404, "agent.hooks has none of this name.")
        body, cut = await read_body(request, BODY_LIMIT)
        if cut:
            return self._refused(hook, 413, "It is larger than anything that this hook is for.")
        try:
            wish = read(hook, request.headers, body, self._view.clock.now().at)
            done = await self._do(wish, hashlib.sha256(body).digest())
            self._view.telemetry.hook(name, "ignored" if done.startswith("ignored") else "done")
            return web.Response(text=done)
        except Forged as forged:
            return self._refused(hook, 403, f"{forged}")
        except ValueError as error:
            return self._refused(hook, 422, f"Nothing was done: {error}.")

    async def _do(self, wish: Wish, sent: bytes) -> str:
        """What became of it. `sent`: its digest. Raises `ValueError`."""
        if isinstance(wish, Deployed):
            _, new = await self._doors.mark(wish.asked, wish.by, wish.key)
            return "marked" if new else "marked before"
        if isinstance(wish, Acknowledged):
            return await self._acknowledge(wish, sent)
        return f"ignored: {wish.why}"

    async def _acknowledge(self, wish: Acknowledged, sent: bytes) -> str:
        """Once: whoever took on a degradation must not have the outage that it became when the same comes again."""
        if sent in self._done:
            return "acknowledged before"
        if not await self._doors.acknowledge(wish.incident, wish.by):
            return "ignored: this incident is not open"
        self._done[sent] = None
        if len(self._done) > KEPT:
            self._done.popitem(last=False)
        return "acknowledged"

    def _refused(self, hook: Hook, status: int, detail: str) -> web.Response:
        self._view.telemetry.hook(hook.name, "refused")
        now, told = self._view.clock.now().tick, self._told.get(hook.name)
        if told is None or now - told >= TOLD_EVERY:
            _log.warning(
                "hook_refused", hook=hook.name, status=status, why=detail, more=self._untold.pop(hook.name, 0)
            )
            self._told[hook.name] = now
        else:
            self._untold[hook.name] += 1
        return problem(status, detail)


class Invited:
    """A page that asks once more: mail programs open links to look at them, and that must acknowledge nothing."""

    def __init__(self, view: View, doors: Doors) -> None:
        self._view = view
        self._doors = doors

    async def ask(self, request: web.Request) -> web.Response:
        incident = self._incident(request)
        return incident if isinstance(incident, web.Response) else self._page(incident)

    async def acknowledge(self, request: web.Request) -> web.Response:
        incident = self._incident(request)
        if isinstance(incident, web.Response):
            return incident
        body, _ = await read_body(request, FORM_LIMIT)
        given = _field(body, "by")
        await self._doors.acknowledge(incident, f"{given} (link)" if given else "somebody (link)")
        return self._page(incident)

    def _incident(self, request: web.Request) -> str | web.Response:
        try:
            found = self._doors.invitations.incident(request.match_info["ticket"], self._view.clock.now().at)
        except Expired:
            return _shown(410, "This link has expired", "It was good for 24 hours. A newer message has a newer link.")
        if found is None:
            return _shown(404, "This is no link of this agent", "Was it copied as a whole?")
        return found

    def _page(self, incident: str) -> web.Response:
        world = self._view.world()
        case = world.cases.get(incident)
        if case is None:
            return _shown(200, "This incident is over", "There is nothing left to acknowledge.")
        service = world.services.get(next(iter(case.services), ""))
        title = str(self._view.redact(service.service.title if service else case.incident.root))
        given, state = world.handling.acknowledgement(incident), case.incident.impact.value
        what = f"{title}: {state} since {case.incident.since:%H:%M} UTC"
        why = str(self._view.redact(f"{case.incident.root}: {case.incident.why}"))
        if given is not None and given.until is None:
            told = f"{given.by} has it, since {given.at:%H:%M} UTC. Nobody else is called for it."
            return _shown(200, what, why, told, state=state)
        return _shown(200, what, why, state=state, form=True)


def _field(body: bytes, name: str) -> str:
    try:
        found = parse_qs(body.decode(), max_num_fields=10).get(name, [""])[0]
    except ValueError:
        return ""
    return "".join(letter for letter in found[:LONGEST_NAME] if letter.isprintable()).strip()


def _shown(
    status: int, title: str, why: str, done: str = "", *, state: str = "unknown", form: bool = False
) -> web.Response:
    text = (files("monitor") / "web/templates/acknowledge.html").read_text("utf-8")
    for name, value in (("title", title), ("why", why), ("done", done), ("state", state)):
        text = text.replace(f"{{{{{name}}}}}", escape(value))
    text = text.replace("{{form}}", "" if form else "hidden").replace("{{told}}", "" if done else "hidden")
    headers = {"Content-Security-Policy": _MAY_SEND, "X-Robots-Tag": "noindex"}
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)
