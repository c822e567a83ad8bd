"""`/api/v1/oncall`: who is on call, now or at another time, and who comes next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from monitor.core.rota import Directory, Duty
from monitor.core.wording import iso
from monitor.web.problem import Problem
from monitor.web.stream import JSON, dumps
from monitor.web.view import View

TURNS = 5
"""That are shown, the present one among them."""
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Time zones are known in between."""


class OncallRoutes:
    """The route of rotas."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def show(self, request: web.Request) -> web.Response:
        roster, at = self._view.world().plan.roster, self._asked(request)
        rotas = []
        if isinstance(roster, Directory):
            rotas = [self._rota(roster, name, at) for name in roster.rotas]
        return web.Response(body=dumps({"at": iso(at), "rotas": rotas}), content_type=JSON)

    def _asked(self, request: web.Request) -> datetime:
        now, text = self._view.clock.now().at, request.query.get("at")
        if text is None:
            return now
        try:
            at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
            if at.tzinfo is not None and EARLIEST <= at < LATEST:
                return at.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise Problem(400, "at must be a time with a zone, from 2000 to 2099, such as 2026-12-25T10:00:00Z.")

    def _rota(self, roster: Directory, name: str, at: datetime) -> dict[str, Any]:
        (_, duty), *coming = roster.turns(name, at, TURNS)
        told = {"name": name, **_duty(roster, duty, at), "next": [_turn(begin, turn) for begin, turn in coming]}
        found: dict[str, Any] = self._view.redact(told)
        return found


def _duty(roster: Directory, duty: Duty, at: datetime) -> dict[str, Any]:
    people = [
        {"name": who, "awake": roster.people[who].awake.holds(at), "ways": list(roster.people[who].ways)}
        for who in duty.who
        if who in roster.people
    ]
    return {"who": people, "by": duty.by, "until": iso(duty.until) if duty.until else None, "instead": duty.instead}


def _turn(begin: datetime, duty: Duty) -> dict[str, Any]:
    return {
        "from": iso(begin),
        "until": iso(duty.until) if duty.until else None,
        "who": list(duty.who),
        "by": duty.by,
    }
