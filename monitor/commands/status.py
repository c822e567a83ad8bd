"""`brownout status`: how everything stands, asked of a running agent, worst first."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.commands._common import FINDING, FINE, fail, print_json
from monitor.core.wording import duration, seconds
from monitor.pills import pill
from monitor.sinks.console import harmless

LIMIT = 10_000
"""Checks asked for: what the agent hands out at most."""
FLAGS = {"maintenance": "in maintenance", "flapping": "flapping", "suppressed": "suppressed"}
PATIENCE = httpx.Timeout(10.0, connect=3.0)
"""Seconds: an agent that answers at all does so at once."""


class NoAnswer(Exception):
    """There is no agent to be asked at this address; the text says what to do."""


def execute(options: Namespace) -> int:
    try:
        document = fetch(options.url)
    except NoAnswer as error:
        return fail(str(error))
    if options.json:
        print_json(document)
    else:
        _show(document, options.url)
    bad = document["summary"]["state"] in ("degradation", "outage")
    return FINDING if bad or document.get("incidents") else FINE


def fetch(url: str) -> Mapping[str, Any]:
    """The agent's own document. Raises `NoAnswer`."""
    return _read(_get(url, "/api/v1/status", {"limit": LIMIT}), url)


def fetch_check(url: str, check: str) -> Mapping[str, Any]:
    """What the agent knows of a check, by its id. Raises `NoAnswer`."""
    document = _get(url, f"/api/v1/checks/{quote(check, safe='')}", {})
    try:
        found = document.json()
    except ValueError:
        found = None
    if isinstance(found, dict) and {"state", "since", "why", "flags", "confirming"} <= found.keys():
        return found
    raise NoAnswer(f"{_shown(url)} does not know {check}")


def fetch_findings(url: str, check: str) -> list[str]:
    """What the agent's history shows to be new of a check, in words. Raises `NoAnswer`."""
    answer = _get(url, f"/api/v1/checks/{quote(check, safe='')}/findings", {})
    try:
        return [str(item["why"]) for item in answer.json()["findings"]]
    except (ValueError, KeyError, TypeError):
        raise NoAnswer(f"{_shown(url)} tells of no findings") from None


def _get(url: str, path: str, params: Mapping[str, int]) -> httpx.Response:
    try:
        # A proxy of the environment knows nothing of our loopback.
        with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
            return client.get(url.rstrip("/") + path, params=params)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        raise NoAnswer("--url must begin with http:// or https://, as in http://127.0.0.1:9788") from None
    except httpx.TimeoutException:
        raise NoAnswer(f"the agent at {_shown(url)} does not answer in time: see its log, or its load") from None
    except httpx.TransportError as error:
        raise NoAnswer(
            f"no agent answers at {_shown(url)} ({harmless(str(error))[:200]}): start one with brownout run, "
            "or name another address with --url"
        ) from None


def _read(answer: httpx.Response, url: str) -> Mapping[str, Any]:
    if answer.status_code != httpx.codes.OK:
        raise NoAnswer(f"{_shown(url)} answered {answer.status_code}: is it a Brownout agent? name it with --url")
    try:
        document = answer.json()
        if isinstance(document, dict) and {"summary", "services", "checks"} <= document.keys():
            return document
    except (json.JSONDecodeError, UnicodeDecodeError):
        pass
    raise NoAnswer(f"what answers at {_shown(url)} is not a Brownout agent: name the agent's address with --url")


def _shown(url: str) -> str:
    """The address without a password that was written into it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


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
    console.print(Text(f"{_shown(url)}  {agent['vantage']}  brownout {agent['version']}", style="dim"))


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
