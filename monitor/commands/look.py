"""`brownout look [FILE] NAME`: one look now: its phases, its measurements, and what each threshold says.

A passive probe looks at nothing, and what arrived is known to the running agent alone: that one is asked.
"""

from __future__ import annotations

import difflib
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitor.clock import SystemClock
from monitor.commands._address import address_of, address_told
from monitor.commands._common import FINDING, FINE, WRONG, fail, print_json
from monitor.commands._configuration import load_or_explain
from monitor.config.model import Config
from monitor.core.condition import Condition
from monitor.core.measured import unended_by
from monitor.core.model import Check, Look
from monitor.core.threshold import figure, limit_of, most
from monitor.core.wording import duration, quantity, seconds
from monitor.logs import configure_logs
from monitor.pills import pill
from monitor.runner import Order, new_runner
from monitor.sinks.console import harmless
from probes.contract import Passive, Unit


def execute(options: Namespace) -> int:
    config = load_or_explain(options.file)
    if config is None:
        return WRONG
    configure_logs(config.redactor.text, quiet=True)
    check = _find(config, options.name)
    if check is None:
        close = difflib.get_close_matches(options.name, list(config.checks), n=1)
        hint = f' (did you mean "{close[0]}"?)' if close else f"; it has: {', '.join(list(config.checks)[:20])}"
        return fail(f'{config.path} has no enabled check "{options.name}"{hint}')
    if isinstance(check.probe, Passive):
        return _ask(config, check, as_json=options.json)
    look = uvloop.run(_look(config, check))
    breaches = _breaches(check, look)
    if options.json:
        print_json(config.redactor.value(_as_json(check, look, breaches)))
    else:
        _show(config, check, look, breaches)
    return FINE if look.observation.ok and not any(breaches.values()) else FINDING


def _ask(config: Config, check: Check, *, as_json: bool) -> int:
    """What the running agent knows of a check that is handed what arrives."""
    from monitor.commands.status import NoAnswer, fetch  # an HTTP client, which no other look needs

    url = address_told(config.agent.state_dir) or address_of(config.agent)
    try:
        found = next((item for item in fetch(url)["checks"] if item.get("id") == check.id), None)
    except NoAnswer:
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
    from monitor.commands.status import NoAnswer, fetch_check, fetch_findings, notes_of

    try:
        found, novel = fetch_check(url, check), fetch_findings(url, check)
    except NoAnswer:
        return "", []
    why = f": {found['why']}" if found["why"] and found["state"] != "up" else ""
    notes = f" ({', '.join(notes_of(found))})" if notes_of(found) else ""
    return f"{found['state']} since {found['since'][:19].replace('T', ' ')} UTC{why}{notes}", novel


def _show_told(config: Config, check: Check, found: Mapping[str, Any], url: str) -> None:
    console, hide, probe = Console(highlight=False), config.redactor.text, check.probe
    console.print(f"[bold]{escape(check.name)}[/]  {probe.kind}  {escape(hide(probe.target))}")
    console.print(f"[dim]nothing to look at: it is handed what arrives. The agent at {url} knows:[/]", soft_wrap=True)
    why = f": {harmless(hide(found['why']))}" if found["why"] else ""
    console.print(pill(found["state"], f"{found['state']} since {found['since']}{why}"), soft_wrap=True)
    measured = (found["last"] or {}).get("measurements", {})
    rows = [(name, quantity(item["value"], Unit(item["unit"]))) for name, item in measured.items()]
    _show_rows(console, "measurements", rows)
    if found["thresholds"]:
        console.print("[dim]thresholds[/]")
    for item in found["thresholds"]:
        said = "[red]breached[/]" if item["active"] else "[green]fine[/]"
        console.print(f"  {item['level']:9} {escape(item['condition'])}: {said}", soft_wrap=True)
    if isinstance(probe, Passive):
        console.print(f"[dim]send to it:[/] {url}/{probe.door}/TOKEN", soft_wrap=True)


def _find(config: Config, name: str) -> Check | None:
    return config.checks.get(name) or next((check for check in config.checks.values() if check.name == name), None)


async def _look(config: Config, check: Check) -> Look:
    clock = SystemClock()
    order = Order(check, clock.now().tick, check.timeout.total_seconds(), scheduled=True)
    with new_runner(clock, config.redactor.text) as runner:
        look = await runner.look(order, {})
    await check.probe.close()
    return look


def _breaches(check: Check, look: Look) -> Mapping[str, bool | None]:
    """What each condition says of this one look; None: nothing, as it needs several looks or was not measured."""
    told: dict[str, bool | None] = {}
    unended = unended_by(look.observation.reason, check.probe.measured)
    for condition in check.conditions:
        single = condition.window is None
        value = figure(condition, look.observation.measurements, {}, look.ended.tick, 1.0) if single else None
        limit = limit_of(condition.bound, look.observation.measurements)
        if value is None or limit is None:
            told[condition.text] = None
        else:
            longest = most(condition, value, {}, unended=condition.measurement in unended)
            bad, worse = (condition.bound.operator.holds(item, limit) for item in (value, longest))
            told[condition.text] = bad if bad is worse else None
    return told


def _said(condition: Condition, breached: bool | None) -> str:  # noqa: FBT001  (one value of a table)
    if breached is None:
        several = condition.window is not None or condition.compares_with_usual
        return "[dim]needs several looks[/]" if several else "[dim]not measured by this look[/]"
    return "[red]breached[/]" if breached else "[green]fine[/]"


def _as_json(check: Check, look: Look, breaches: Mapping[str, bool | None]) -> dict[str, Any]:
    observation = look.observation
    reason = observation.reason
    return {
        "check": check.id,
        "target": check.probe.target,
        "ok": observation.ok,
        "reason": reason.value if reason else None,
        "blame": reason.blame.value if reason else None,
        "detail": observation.detail,
        "advice": reason.advice if reason else None,
        "seconds": round(look.ended.tick - look.began.tick, 6),
        "phases": dict(observation.phases),
        "measurements": dict(observation.measurements),
        "evidence": dict(observation.evidence),
        "thresholds": [{"condition": text, "breached": breached} for text, breached in breaches.items()],
    }


def _show(config: Config, check: Check, look: Look, breaches: Mapping[str, bool | None]) -> None:
    console, hide = Console(highlight=False), config.redactor.text
    observation, reason = look.observation, look.observation.reason
    took = seconds(look.ended.tick - look.began.tick)
    console.print(f"[bold]{escape(check.name)}[/]  {check.probe.kind}  {escape(hide(check.probe.target))}")
    if reason is None:
        crossed = sum(breached is True for breached in breaches.values())
        said = f"[yellow]● it answers, and crosses {crossed} of its thresholds[/]" if crossed else ""
        console.print(f"{said or '[green]● as expected[/]'}, in {took}")
    else:
        colour = "red" if reason.blame == "target" else "yellow"
        console.print(f"[{colour}]● {reason.value}[/] ({reason.blame}), after {took}: {reason.meaning}")
        console.print(f"  {escape(hide(observation.detail))}" if observation.detail else "", soft_wrap=True)
        console.print(f"  [dim]what to do:[/] {reason.advice}", soft_wrap=True)
    _show_phases(console, observation.phases)
    units = {item.name: item.unit for item in check.probe.measured}
    rows = [(name, quantity(value, units[name])) for name, value in observation.measurements.items() if name in units]
    _show_rows(console, "measurements", rows)
    _show_rows(console, "evidence", [(name, hide(text)) for name, text in observation.evidence.items()])
    if check.conditions:
        console.print("[dim]thresholds[/]")
    for condition in check.conditions:
        said = _said(condition, breaches[condition.text])
        console.print(f"  {condition.level.value:9} {escape(condition.text)}: {said}", soft_wrap=True)
    standing, novel = known(address_told(config.agent.state_dir), check.id)
    if standing:
        console.print(f"[dim]the running agent:[/] {escape(harmless(hide(standing)))}", soft_wrap=True)
    for words in novel:
        console.print(f"[dim]not as ever:[/] {escape(harmless(words))}", soft_wrap=True)
    console.print(f"[dim]looked at every {duration(check.every)}, limit {duration(check.timeout)}[/]")


def _show_phases(console: Console, phases: Mapping[str, float]) -> None:
    """A waterfall: each phase where it lies in the whole."""
    total = sum(phases.values())
    if not total:
        return
    width, before = 40, 0.0
    for name, spent in phases.items():
        start = round(before / total * width)
        bar = max(round(spent / total * width), 1)
        before += spent
        console.print(f"  {name:12}{seconds(spent):>9}  {' ' * start}[cyan]{'━' * bar}[/]")


def _show_rows(console: Console, title: str, rows: list[tuple[str, str]]) -> None:
    if not rows:
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for name, text in rows:
        table.add_row(name, escape(text))
    console.print(f"[dim]{title}[/]")
    console.print(table)
