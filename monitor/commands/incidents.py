"""`brownout incidents [NAME]`: which are open, who has them, and who is called next; or all that was told of one."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from monitor.commands._agent import asked, at, clock, table_of
from monitor.commands._asking import NotAsked
from monitor.commands._common import FINDING, FINE, print_json
from monitor.commands._incidents import MANUAL, MOST, PATH, Incident, known, matching, one, short
from monitor.core.wording import seconds
from monitor.sinks.console import harmless

_SERVICES = 3
"""That are named of an incident."""


def execute(options: Namespace) -> int:
    def show(client: httpx.Client, url: str, token: str) -> int:
        found = known(client, url, token, options.limit if options.name is None else MOST)
        if options.name is not None:
            meant = matching(found, options.name)
            if not meant:
                raise NotAsked(f"no incident is called {options.name}, or was of such a service")
            incident = one(client, url, token, meant[0]["id"])
            if options.json:
                print_json(incident)
            else:
                _show_one(incident)
            return FINDING if incident["open"] else FINE
        if options.json:
            print_json(found)
        else:
            _show(found)
        return FINDING if any(item["open"] for item in found) else FINE

    return asked(options, PATH, show, writes=False, manual=MANUAL)


def _show(incidents: Iterable[Incident]) -> None:
    table = table_of("Incident", "Services", "Impact", "Since", "Lasts", "Who has it, or is next")
    for item in incidents:
        since = f"{at(item['since']):%m-%d %H:%M}"
        cells = (short(item), _services(item), _impact(item), since, _lasted(item), _who(item) or "over")
        table.add_row(*(Text(harmless(cell)) for cell in cells))
    if table.row_count:
        Console(highlight=False).print(table)
    else:
        print("No incident is open, and none is known of the past.")


def _show_one(incident: Incident) -> None:
    lines = [
        f"{incident['id']}: {_impact(incident)} of {_services(incident)}",
        f"since {clock(incident['since'])}, {'open for' if incident['open'] else 'over after'} {_lasted(incident)}",
        f"{incident['root']}: {incident['why']}",
    ]
    if who := _who(incident):
        lines.append(f"who has it: {who}")
    print("\n".join(map(harmless, lines)), end="\n\n")
    for event in incident["events"]:
        kind, said = _said(event)
        print(f"{at(event['at']):%Y-%m-%d %H:%M:%S}  {harmless(kind):<12}  {harmless(said)}")


def _said(event: Mapping[str, Any]) -> tuple[str, str]:
    """What it was, and in which words: its sentence, unless only this has happened."""
    update = event.get("update") or {"kind": "changed"}
    if update["kind"] == "changed":
        return event["type"].removeprefix("incident."), event["sentence"]
    by = f"by {update['by']}" if update["by"] else ""
    return update["kind"], ": ".join(filter(None, (by, update["text"])))


def _impact(incident: Incident) -> str:
    """Of one that is over what it was at its worst; of one that is open what it is now, and what it was before."""
    now = incident["impact"]
    worst = incident.get("worst", now)  # an agent of an earlier version tells none
    if not incident["open"]:
        return str(worst)
    return str(now) if now == worst else f"{now}, was an {worst}"


def _services(incident: Incident) -> str:
    names = ", ".join(incident["services"][:_SERVICES])
    more = len(incident["services"]) - _SERVICES
    return f"{names} and {more} more" if more > 0 else names


def _lasted(incident: Incident) -> str:
    until = at(incident["resolved"]) if incident["resolved"] else datetime.now(UTC)
    return seconds(round(max((until - at(incident["since"])).total_seconds(), 0)))


def _who(incident: Incident) -> str:
    if not incident["open"]:
        return ""
    if given := incident["acknowledged"]:
        return str(given["by"]) + (f", until {at(given['until']):%m-%d %H:%M} UTC" if given["until"] else "")
    if not incident["next"]:
        return "nobody, and nobody is called"
    soonest = incident["next"][0]
    again = " again" if soonest["kind"] == "reminder" else ""
    return f"nobody; {', '.join(soonest['to'])}{again} at {at(soonest['at']):%H:%M:%S}"
