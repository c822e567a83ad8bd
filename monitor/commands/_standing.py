"""What the running agent knows of a check: of one that is handed what arrives, nobody else does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from monitor.commands._address import address_of, address_told
from monitor.commands._common import FINDING, FINE, fail, print_json
from monitor.commands._looked import show_rows
from monitor.config.model import Config
from monitor.core.model import Check
from monitor.core.wording import quantity
from monitor.pills import pill
from monitor.sinks.console import harmless
from probes.contract import Passive, Unit


def ask(config: Config, check: Check, *, as_json: bool) -> int:
    """How a check stands that is handed what arrives; the exit code."""
    # An HTTP client, which no other look needs.
    from monitor.commands._asking import NotAsked
    from monitor.commands.status import fetch

    url = address_told(config.agent.state_dir) or address_of(config.agent)
    try:
        found = next((item for item in fetch(url)["checks"] if item.get("id") == check.id), None)
    except NotAsked:
        known = f"{check.name} is handed what arrives, so only a running agent knows of it"
        return fail(f"{known}, and none answers at {url}: start one with brownout run, then look again")
    if found is None:
        return fail(f"the agent at {url} does not know {check.name}: start it with this file, then look again")
    if as_json:
        print_json(config.redactor.value(found))
    else:
        _show_told(config, check, found, url)
    return FINE if found["state"] == "up" else FINDING


def known(url: str, check: str) -> tuple[str, list[str]]:
    """How a check (its id) stands, as the agent at this address has it, and what is new of it by its history; nothing
    where none answers, or there is no address."""
    if not url:
        return "", []
    # An HTTP client, which is not needed otherwise.
    from monitor.commands._asking import NotAsked
    from monitor.commands.status import fetch_check, fetch_findings, notes_of

    try:
        found, novel = fetch_check(url, check), fetch_findings(url, check)
    except NotAsked:
        return "", []
    why = f": {found['why']}" if found["why"] and found["state"] != "up" else ""
    notes = f" ({', '.join(notes_of(found))})" if notes_of(found) else ""
    return f"{found['state']} since {found['since'][:19].replace('T', ' ')} UTC{why}{notes}", novel


def show_known(console: Console, config: Config, check: Check) -> None:
    """What the running agent has to add to a look; nothing where none runs."""
    hide = config.redactor.text
    standing, novel = known(address_told(config.agent.state_dir), check.id)
    if standing:
        console.print(f"[dim]the running agent:[/] {escape(harmless(hide(standing)))}", soft_wrap=True)
    for words in novel:
        console.print(f"[dim]not as ever:[/] {escape(harmless(words))}", soft_wrap=True)


def _show_told(config: Config, check: Check, found: Mapping[str, Any], url: str) -> None:
    console, hide, probe = Console(highlight=False), config.redactor.text, check.probe
    console.print(f"[bold]{escape(check.name)}[/]  {probe.kind}  {escape(hide(probe.target))}")
    console.print(f"[dim]nothing to look at: it is handed what arrives. The agent at {url} knows:[/]", soft_wrap=True)
    why = f": {harmless(hide(found['why']))}" if found["why"] else ""
    console.print(pill(found["state"], f"{found['state']} since {found['since']}{why}"), soft_wrap=True)
    measured = (found["last"] or {}).get("measurements", {})
    rows = [(name, quantity(item["value"], Unit(item["unit"]))) for name, item in measured.items()]
    show_rows(console, "measurements", rows)
    if found["thresholds"]:
        console.print("[dim]thresholds[/]")
    for item in found["thresholds"]:
        said = "[red]breached[/]" if item["active"] else "[green]fine[/]"
        console.print(f"  {item['level']:9} {escape(item['condition'])}: {said}", soft_wrap=True)
    if isinstance(probe, Passive):
        console.print(f"[dim]send to it:[/] {url}/{probe.door}/TOKEN", soft_wrap=True)
