"""`brownout status`: how everything stands, asked of a running agent, worst first."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.commands._agent import asked, read
from monitor.commands._asking import client_of_ours, shown
from monitor.commands._common import FINDING, FINE, print_json
from monitor.core.wording import duration, seconds
from monitor.pills import pill
from monitor.sinks.console import harmless

PATH = "/api/v1/status"
LIMIT = 10_000
"""Checks asked for: what the agent hands out at most."""
FLAGS = {"maintenance": "in maintenance", "flapping": "flapping", "suppressed": "suppressed"}
PATIENCE = 10.0
"""Seconds: an agent that answers at all does so at once."""


def execute(options: Namespace) -> int:
    def show(client: httpx.Client, url: str, token: str) -> int:
        document = read(client, f"{url}?limit={LIMIT}", token, "summary")
        if options.json:
            print_json(document)
        else:
            _show(document, shown(url))
        bad = document["summary"]["state"] in ("degradation", "outage")
        return FINDING if bad or document.get("incidents") else FINE

    return asked(options, PATH, show, writes=False, manual="api.md", patience=PATIENCE)


def fetch(url: str) -> Mapping[str, Any]:
    """The agent's own document. Raises `NotAsked`."""
    with client_of_ours(PATIENCE) as client:
        return read(client, f"{url}{PATH}?limit={LIMIT}", "", "summary")


def fetch_check(url: str, check: str) -> Mapping[str, Any]:
    """What the agent knows of a check, by its id. Raises `NotAsked`."""
    with client_of_ours(PATIENCE) as client:
        return read(client, f"{url}/api/v1/checks/{quote(check, safe='')}", "", "confirming")


def fetch_findings(url: str, check: str) -> list[str]:
    """What the agent's history shows to be new of a check, in words. Raises `NotAsked`."""
    with client_of_ours(PATIENCE) as client:
        found = read(client, f"{url}/api/v1/checks/{quote(check, safe='')}/findings", "", "findings")
    return [str(item["why"]) for item in found["findings"]]


def _show(document: Mapping[str, Any], url: str) -> None:
    console = Console(highlight=False)
    now = _time(document["agent"]["now"])
    summary = document["summary"]
    console.print(pill(summary["state"], harmless(summary["sentence"])), soft_wrap=True)
    for trouble in document["agent"].get("impaired", ()):
        console.print(Text(f"! {harmless(trouble)}", style="yellow"), soft_wrap=True)
    services = [service for service in document["services"] if not service["implicit"]]
    if services:
        console.print(_services(services, now))
    console.print(_checks(document["checks"], now))
    if document.get("truncated"):
        console.print(Text(f"Only the worst {LIMIT} are shown.", style="dim"))
    agent = document["agent"]
    console.print(Text(f"{url}  {agent['vantage']}  brownout {agent['version']}", style="dim"))


def _services(services: list[dict[str, Any]], now: datetime) -> Table:
    table = _table("Service", "State", "Since", "Checks")
    for service in services:
        counts = ", ".join(f"{count} {state}" for state, count in service["checks"].items() if count)
        flags = "".join(f" ({FLAGS[flag]})" for flag in service.get("flags", ()) if flag in FLAGS)
        if service.get("doubt") and service["state"] != "operational":
            counts += f"\n{harmless(service['doubt'])}"
        title = Text(harmless(service["title"]) + flags)
        table.add_row(title, pill(service["state"]), _since(service["since"], now), counts)
    return table


def _checks(checks: list[dict[str, Any]], now: datetime) -> Table:
    table = _table("Check", "State", "Since", "Took", "Why")
    for check in checks:
        why = harmless(check["why"]) if check["state"] != "up" else ""
        notes = notes_of(check)
        why += f" ({', '.join(notes)})" if notes else ""
        table.add_row(
            Text(harmless(check["name"])),
            pill(check["state"]),
            _since(check["since"], now),
            _took(check),
            Text(why.lstrip()),
        )
    return table


def notes_of(check: Mapping[str, Any]) -> list[str]:
    """What is to be known of a check besides its state and why it has it."""
    notes = []
    if check.get("suppressed_by"):
        notes.append(f"{FLAGS['suppressed']}: {harmless(check['suppressed_by'])} explains it")
    notes += ["being confirmed"] if check["confirming"] else []
    if (window := check.get("maintenance")) is not None:
        notes.append(f"{FLAGS['maintenance']} until {_time(window['until']):%H:%M} UTC")
    notes += [FLAGS["flapping"]] if "flapping" in check.get("flags", ()) else []
    return notes


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column == "Took" else "left")
    return table


def _took(check: Mapping[str, Any]) -> str:
    measured = (check["last"] or {}).get("measurements", {})
    took = next((measured[name]["value"] for name in ("response_time", "connect_time") if name in measured), None)
    return seconds(took) if took is not None else "-"


def _since(text: str | None, now: datetime) -> str:
    if text is None:
        return "-"
    age = timedelta(seconds=max(round((now - _time(text)).total_seconds()), 0))
    return f"{duration(age)} ago"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
