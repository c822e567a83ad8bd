"""What a replay has found, for people and for machines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitor.core.model import Event, Transition
from monitor.core.wording import iso
from monitor.hindsight import Hindsight, Spells
from monitor.sinks.console import harmless

MESSAGES = 30
"""Messages shown to people, the last ones, unless all are asked for."""
NAMES = 8
"""Names listed in a remark."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was found, `then` by the journal and now by the replay, and how far it can be believed."""

    found: Hindsight
    then: Hindsight | None
    since: datetime
    until: datetime
    by: str
    """What looks were judged by, for people."""
    as_it_was: bool
    """Whether by what was in force when they were taken."""
    looks: int
    lived_through: int
    first: datetime | None
    reloads: Sequence[tuple[datetime, tuple[str, ...]]]
    """When another configuration came into force in that time, and the checks that it concerns."""
    differs: Mapping[str, datetime]
    """The checks and services of which the journal says something else, and from when on."""
    remarks: Sequence[str]
    """From when to when looks were judged by something else than was in force."""
    strangers: Sequence[str]
    silent: Sequence[str]
    missing: Mapping[str, Sequence[str]]
    """By check: measurements that its thresholds name, and that are not recorded."""

    def as_json(self) -> dict[str, Any]:
        return {
            "since": iso(self.since),
            "until": iso(self.until),
            "looks": self.looks,
            "lived_through": self.lived_through,
            "judged_by": self.by,
            "as_it_was": self.as_it_was,
            "reloads": [{"at": iso(at), "checks": list(names)} for at, names in self.reloads],
            "differs_from_journal": {name: iso(at) for name, at in self.differs.items()},
            "remarks": list(self.remarks),
            "first": iso(self.first) if self.first else None,
            "replayed": self.found.as_json(),
            "journal": self.then.as_json() if self.then else None,
            "events": [_event(item) for item in self.found.events],
            "transitions": [_transition(item) for item in self.found.transitions],
            "not_in_the_configuration": list(self.strangers),
            "nothing_recorded": list(self.silent),
            "measurements_not_recorded": {name: list(names) for name, names in self.missing.items()},
        }


def _event(event: Event) -> dict[str, Any]:
    return {
        "type": event.type.value,
        "at": iso(event.at),
        "sentence": event.body["sentence"],
        "sinks": list(event.sinks),
        "state": event.body.get("state"),
    }


def _transition(item: Transition) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "subject": item.subject,
        "at": iso(item.at),
        "since": iso(item.since),
        "old": item.old,
        "new": item.new,
        "reason": item.verdict.reason.value if item.verdict.reason else None,
        "why": item.verdict.why,
    }


def show(told: Told, checks: Iterable[str], hide: Callable[[str], str], *, every_message: bool) -> None:
    """Of `checks` (ids) first, in their order; `hide` takes secrets out of a text."""
    console = Console(highlight=False)
    span = f"{minute(told.since)} to {minute(told.until)} UTC"
    before = f", after {told.lived_through:,} from before that" if told.lived_through else ""
    console.print(f"[bold]{span}[/]  {told.looks:,} looks judged again by {escape(told.by)}{before}", soft_wrap=True)
    for remark in _remarks(told):
        console.print(f"[yellow]{escape(harmless(hide(remark)))}[/]", soft_wrap=True)
    console.print()
    _show_checks(console, told, checks)
    _show_messages(console, told, hide, every_message=every_message)
    sys.stdout.flush()


def minute(at: datetime) -> str:
    """For people, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def second(at: datetime) -> str:
    """For people, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _remarks(told: Told) -> Iterator[str]:
    """What keeps this from being the whole truth."""
    if not told.looks:
        yield "nothing is recorded of that time"
    elif told.first is not None and told.first > told.since:
        kept = f"looks are kept from {minute(told.first)} UTC on (agent.history.raw)"
        yield f"{kept}; what was learnt before is not known"
    yield from told.remarks
    if len(told.reloads) > NAMES:
        yield f"{len(told.reloads) - NAMES} other configurations came into force before these (--json lists them)"
    for at, names in told.reloads[-NAMES:]:
        concerned = f": {listed(names)}" if names else ", with the same checks"
        yield f"another configuration came into force {minute(at)} UTC{concerned}"
    for name, missing in list(told.missing.items())[:NAMES]:
        yield f"{name}: {', '.join(missing)} was not recorded, so thresholds on it say nothing here"
    if told.silent:
        yield f"nothing is recorded of {listed(told.silent)}"
    if told.strangers:
        yield f"recorded, and not in the configuration: {listed(told.strangers)}"
    if told.differs:
        in_order = sorted(told.differs.items(), key=lambda item: item[1])
        froms = [f"{name} (from {second(at)} on)" for name, at in in_order]
        yield (
            f"the journal says something else of {listed(froms)}: looks are missing, or what was learnt before the "
            "oldest one that is kept counted"
        )


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more


def _show_checks(console: Console, told: Told, checks: Iterable[str]) -> None:
    then = told.then.checks if told.then else {}
    names = dict.fromkeys((*checks, *told.found.checks, *then))
    bad = [name for name in names if _told_of(told.found.checks.get(name)) or _told_of(then.get(name))]
    if not bad:
        quiet = "by the journal neither" if told.then else "and there is no journal to compare with"
        console.print(f"No check would have been called bad, {quiet}." if told.looks else "")
        return
    changed = False
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("check")
    for title in ("down", "degraded", "pages", "told after (median / worst)", "false alarms", "flaps"):
        table.add_column(title, justify="right")
    for name in bad:
        now, was = told.found.checks.get(name, Spells()), (then.get(name, Spells()) if told.then else None)
        figures = [_beside(was, now, field) for field in ("down", "degraded", "false_alarms", "flaps")]
        changed = changed or any("→" in figure for figure in figures)
        delays = f"{median(now.delays):.1f} / {max(now.delays):.1f} s" if now.delays else "-"
        table.add_row(escape(harmless(name)), *figures[:2], str(now.pages), delays, *figures[2:])
    console.print(table)
    if changed:
        made = "judged again there is" if told.as_it_was else "this configuration would make"
        console.print(f"[dim]3 → 1: the journal has three of that time, and {made} one[/]")


def _told_of(spells: Spells | None) -> bool:
    return spells is not None and bool(spells.down or spells.degraded)


def _beside(was: Spells | None, now: Spells, field: str) -> str:
    value = getattr(now, field)
    before = value if was is None else getattr(was, field)
    return str(value) if before == value else f"{before} → {value}"


def _show_messages(console: Console, told: Told, hide: Callable[[str], str], *, every_message: bool) -> None:
    events = told.found.events
    if not told.looks:
        return
    sent = ", ".join(f"{sink} {count}" for sink, count in sorted(told.found.sent.items()))
    console.print(f"\n[bold]{len(events)} messages[/] would have been sent{f': {sent}' if sent else ''}")
    shown = events if every_message else events[-MESSAGES:]
    if len(shown) < len(events):
        console.print(f"[dim]... {len(events) - len(shown)} before these: --all shows them[/]")
    for event in shown:
        to = f"[dim]→ {escape(', '.join(event.sinks))}[/]"
        sentence = escape(harmless(hide(event.body["sentence"])))
        console.print(f"{second(event.at)}  {event.type.value}  {sentence} {to}", soft_wrap=True)
