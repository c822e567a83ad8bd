"""What commands about incidents of a running agent do alike: ask for them, find the one that is meant, act."""

from __future__ import annotations

import getpass
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx

from monitor.commands._agent import asked, read, write
from monitor.commands._asking import NotAsked
from monitor.commands._common import FINE, print_json
from monitor.sinks.console import harmless

PATH, MANUAL = "/api/v1/incidents", "escalation.md"
SHORT = 12
"""Characters of an id that are shown; its beginning is enough to name it."""
MOST = 500
"""Incidents that the agent lists at most."""

Incident = Mapping[str, Any]


def act(options: Namespace, deed: str, body: Mapping[str, Any], told: Callable[[Incident], str]) -> int:
    """Do something about the open incident that is meant, and say what it has come to."""

    def do(client: httpx.Client, url: str, token: str) -> int:
        meant = the_open_one(known(client, url, token, MOST), options.name)
        by = options.by if options.by is not None else _user()
        path = f"{url}/{meant['id']}/{deed}"
        incident = write(client, path, token, {**body, "by": by}, "acknowledged", httpx.codes.OK)
        if options.json:
            print_json(incident)
        else:
            print(harmless(f"{in_words(incident)}: {told(incident)}"))
        return FINE

    return asked(options, PATH, do, writes=True, manual=MANUAL)


def known(client: httpx.Client, url: str, token: str, limit: int) -> list[Incident]:
    """The open ones first."""
    return list(read(client, f"{url}?limit={limit}", token, "incidents")["incidents"])


def one(client: httpx.Client, url: str, token: str, identity: str) -> Incident:
    """With its events."""
    return read(client, f"{url}/{identity}", token, "events")


def the_open_one(incidents: Iterable[Incident], name: str | None) -> Incident:
    """The one that is meant by the beginning of its id, or by a service; without a name the only one that is open.
    Raises `NotAsked`."""
    found = [item for item in incidents if item["open"]]
    if not found:
        raise NotAsked("no incident is open")
    if name is not None:
        found = matching(found, name)
        if not found:
            raise NotAsked(
                f"no open incident is called {name}, or is of such a service: brownout incidents lists them"
            )
    if len(found) > 1:
        several = "; ".join(f"{short(item)} ({', '.join(item['services'][:3])})" for item in found[:5])
        raise NotAsked(f"{len(found)} incidents may be meant: name one of {several}")
    return found[0]


def matching(incidents: Iterable[Incident], name: str) -> list[Incident]:
    """By the beginning of the id, as far as it says more than all have, or by a service."""
    long = len(name) > len("inc_")
    return [item for item in incidents if (long and item["id"].startswith(name)) or name in item["services"]]


def in_words(incident: Incident) -> str:
    """``the outage of shop and api``"""
    *others, last = incident["services"][:3]
    more = f" and {len(incident['services']) - 3} more" if len(incident["services"]) > 3 else ""
    names = f"{', '.join(others)} and {last}" if others and not more else ", ".join((*others, last)) + more
    return f"the {incident['impact']} of {names}"


def short(incident: Incident) -> str:
    return str(incident["id"])[:SHORT]


def _user() -> str:
    """Who calls the command, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
