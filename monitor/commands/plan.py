"""`brownout plan NEW`: what a reload of another file would change, and which open incidents that touches.

It reads both files and the journal, and lets the core take the one over to the other: what is told here is what the
agent would do. Nothing is changed, and no agent is asked.
"""

from __future__ import annotations

import sqlite3
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from monitor.clock import SystemClock
from monitor.commands._common import FINDING, FINE, WRONG, fail, print_json
from monitor.commands._configuration import default_file, load_or_explain
from monitor.commands._foreseen import foreseen, is_in_force
from monitor.config.diff import Diff, Names, compare, in_force
from monitor.config.model import Config
from monitor.core.model import Change, Event, Incident, Journal, Verdict
from monitor.core.portions import former_ids
from monitor.core.succession import same_target, succeed
from monitor.core.world import World
from monitor.parts import plan_of
from monitor.sinks.console import harmless
from monitor.store.offline import HISTORY, JOURNAL, journal_of, reading

NAMES = 20
"""Names listed in a line for people."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What becomes of an open incident."""

    incident: Incident
    what: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What would come of it. `anew`: checks that go on as the same, and of whose target nothing is known yet."""

    diff: Diff
    anew: tuple[str, ...]
    open: int
    touched: tuple[Touched, ...]
    events: tuple[Event, ...]
    journal: Path | None
    """None where there is none: then nothing is known of open incidents."""
    in_force: bool | None
    """Whether the present file is what the agent has; None where that is not recorded."""
    bad: Mapping[str, Verdict]
    """The checks that would be bad by the looks of the last hours, and are not."""


def execute(options: Namespace) -> int:
    current = options.current or default_file()
    if options.current is None and _same(current, options.new):
        return fail(
            f"{options.new} is what it would be compared with: name a copy of what is in force with --current FILE"
        )
    before = load_or_explain(current, ending=f" in force ({current}); name another with --current")
    after = load_or_explain(options.new, ending=" to come: a reload would refuse it, and change nothing")
    if before is None or after is None:
        return WRONG
    path = (options.state_dir or before.agent.state_dir) / JOURNAL
    if options.state_dir is not None and not path.exists():
        return fail(f"there is no {path}: has an agent run with this state_dir?")
    try:
        planned = _planned(before, after, path)
    except (sqlite3.Error, ValueError, OSError) as error:
        return fail(f"cannot read {path}: {error}; run this as the agent's user, and see whether the file is whole")
    before.redactor.learn(after.redactor)
    if options.json:
        print_json(before.redactor.value(_as_json(planned)))
    else:
        _show(planned, before)
    return FINDING if planned.touched or planned.bad else FINE


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _planned(before: Config, after: Config, path: Path) -> Planned:
    journal, found = Journal("plan", 1), path.exists()
    if found:
        with reading(path) as db:
            journal = journal_of(db)
    kept, now = in_force(before, after), SystemClock().now()
    world = World(plan_of(before), journal, now)
    world.start(now)
    world.unseen.clear()  # the running agent has seen them
    opened = {item.incident.id: item.incident for item in world.services.values() if item.incident}
    diff = compare(before, replace(kept, agent=after.agent))
    taken_over, change = succeed(world, plan_of(kept), now)
    change = change or Change()
    anew, history = tuple(_anew(before, kept)), path.with_name(HISTORY)
    bad = foreseen(history, plan_of(kept), [name for name in diff.checks.changed if name not in anew])
    return Planned(
        diff,
        anew,
        len(opened),
        tuple(_touched(opened, taken_over, change, diff)),
        change.events,
        path if found else None,
        is_in_force(history, plan_of(before)),
        {name: verdict for name, verdict in bad.items() if not taken_over.judges[name].state.bad},
    )


def _anew(before: Config, after: Config) -> Iterator[str]:
    for name, was in former_ids(before.checks, after.checks).items():
        if not same_target(before.checks[was].probe, after.checks[name].probe):
            yield name


def _touched(opened: Mapping[str, Incident], world: World, change: Change, diff: Diff) -> Iterator[Touched]:
    told = {item.id: item for item in change.incidents}
    now = {item.incident.id: item.incident for item in world.services.values() if item.incident}
    names = {*diff.checks.changed, *diff.checks.removed, *(was for was, _ in diff.renamed)}
    services = {*diff.services.changed, *diff.services.removed}
    for incident in opened.values():
        after = now.get(incident.id) or told.get(incident.id, incident)
        if after.resolved is not None:
            yield Touched(incident, f"would end: {after.why}")
        elif after.services != incident.services:
            yield Touched(incident, f"would go on as one of {', '.join(after.services)}")
        elif after.updates != incident.updates:
            yield Touched(incident, "would change, and that would be told")
        elif concerned := sorted(names.intersection(incident.checks) | services.intersection(incident.services)):
            yield Touched(incident, f"would go on; {', '.join(concerned)} would be defined anew")


def _as_json(planned: Planned) -> dict[str, Any]:
    return {
        "sentence": planned.diff.sentence,
        "diff": planned.diff.as_json(),
        "begin_anew": list(planned.anew),
        "journal": str(planned.journal) if planned.journal else None,
        "current_in_force": planned.in_force,
        "would_be_bad": [
            {"check": name, "state": verdict.state.value, "why": verdict.why} for name, verdict in planned.bad.items()
        ],
        "open_incidents": planned.open,
        "incidents": [
            {"id": item.incident.id, "services": list(item.incident.services), "root": item.incident.root,
             "checks": list(item.incident.checks), "what": item.what}
            for item in planned.touched
        ],
        "events": [
            {"type": item.type.value, "sentence": item.body["sentence"], "sinks": list(item.sinks)}
            for item in planned.events
        ],
    }  # fmt: skip


def _show(planned: Planned, config: Config) -> None:
    console = Console(highlight=False, soft_wrap=True)
    clean = config.redactor.text

    def say(text: str) -> str:
        return escape(harmless(clean(text)))

    console.print(f"[bold]{say(planned.diff.sentence)}[/]")
    for line in _changes(planned.diff):
        console.print(f"  {say(line)}")
    if planned.in_force is False:
        edited = f"{config.path} is not what the agent has in force: it was edited since, or is another agent's"
        console.print(f"[yellow]{say(edited)}; a reload changes more than this tells[/]")
    if planned.anew:
        console.print("  " + say(f"look elsewhere, and begin with nothing learnt: {_listed(planned.anew)}"))
    if planned.bad:
        console.print("\n[bold]would be called bad, by the looks of the last 2 h[/]")
    for name, verdict in list(planned.bad.items())[:NAMES]:
        console.print(f"  [yellow]{say(name)} {verdict.state.value}[/]: {say(verdict.why)}")
    if planned.journal is None:
        console.print("[yellow]there is no journal to read, so nothing is known of open incidents[/]")
        return
    incidents = "1 open incident" if planned.open == 1 else f"{planned.open} open incidents"
    console.print(f"\n[bold]{incidents}[/], {len(planned.touched) or 'none'} touched")
    for item in planned.touched:
        console.print(f"  {say(', '.join(item.incident.services))}: {say(item.incident.why)}")
        console.print(f"    [yellow]{say(item.what)}[/]")
    sent = [event for event in planned.events if event.sinks]
    if sent:
        console.print("\n[bold]would be told[/]")
    for event in sent:
        console.print(f"  {event.type.value}  {say(event.body['sentence'])} [dim]→ {say(', '.join(event.sinks))}[/]")


def _changes(diff: Diff) -> Iterator[str]:
    kinds: tuple[tuple[str, Names], ...] = (("check", diff.checks), ("service", diff.services), ("sink", diff.sinks))
    for kind, names in kinds:
        for sign, word, found in (
            ("+", "", names.added), ("-", "", names.removed), ("~", " changed", names.changed),
        ):  # fmt: skip
            for name in found[:NAMES]:
                yield f"{sign} {kind} {name}{word}"
            if len(found) > NAMES:
                yield f"{sign} and {len(found) - NAMES} more: --json lists them all"
    for was, name in diff.renamed[:NAMES]:
        yield f"> check {was} renamed to {name}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMES]) + (f" and {len(names) - NAMES} more" if len(names) > NAMES else "")
