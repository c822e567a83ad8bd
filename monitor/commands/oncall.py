"""`brownout oncall`: ask a running agent who is on call, now or at another time."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from monitor.commands._agent import asked, read
from monitor.commands._asking import NotAsked
from monitor.commands._common import FINDING, FINE, fail, print_json
from monitor.config.maintenance import parse_time
from monitor.sinks.console import harmless

PATH = "/api/v1/oncall"
_BY = {
    "override": "override",
    "calendar": "calendar",
    "rotation": "rotation",
    "nobody": "nobody is entered, so all are told",
}


def execute(options: Namespace) -> int:
    try:
        at = _time(options.at) if options.at else None
    except NotAsked as error:
        return fail(str(error))

    def show(client: httpx.Client, url: str, token: str) -> int:
        query = f"?at={quote(at.isoformat())}" if at else ""
        rotas = (told := read(client, url + query, token, "rotas"))["rotas"]
        if options.json:
            print_json(told)
        elif not rotas:
            print("Nobody is on call: checks.yaml has no oncall section.")
        else:
            for rota in rotas:
                _show(rota, now=at is None)
        return FINE if any(rota["by"] != "nobody" for rota in rotas) else FINDING

    return asked(options, PATH, show, writes=False, manual="oncall.md")


def _time(text: str) -> datetime:
    """Without an offset, by the clock of this machine. Raises `NotAsked`."""
    try:
        return parse_time(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise NotAsked('--at must be a time such as "2026-12-25 10:00", or 2026-12-25T10:00Z') from None


def _show(rota: Mapping[str, Any], *, now: bool) -> None:
    names = [person["name"] for person in rota["who"]]
    who = " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:]))) or "Nobody"
    until = f" until {_clock(rota['until'])}" if rota["until"] else ""
    why = _BY.get(rota["by"]) or f"{rota['instead']}, whose turn it is, sleeps"
    verb = "are" if len(names) > 1 else "is"
    print(harmless(f"{who} {verb} on call{until} ({why})."))
    if now:
        for turn in rota["next"]:
            print("  " + harmless(f"from {_clock(turn['from'])}: {', '.join(turn['who'])} ({turn['by']})"))


def _clock(text: str) -> str:
    """By the clock of this machine, as the people who ask live by it."""
    return f"{datetime.fromisoformat(text).astimezone():%a %Y-%m-%d %H:%M %Z}"
