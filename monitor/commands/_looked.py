"""One look as a person reads it: the verdict, when what happened, where it went, and what each threshold says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitor.commands._overheard import FAILED, Overheard, Span
from monitor.commands._readable import Block
from monitor.core.condition import Condition
from monitor.core.measured import unended_by
from monitor.core.model import Check, Look
from monitor.core.threshold import figure, limit_of, most
from monitor.core.wording import duration, quantity, seconds

_WIDTH = 40
"""Characters of the waterfall's bars."""
_AT_ONCE = 0.0001
"""Seconds between two parts of one step."""
_REDIRECT = re.compile(r"[0-9]{3}: on to ")
_WAY = ("address", "tried", "resolved", "proxy", "connection", "redirects", "final_url", "downgrade", "login")
_CERTIFICATE = ("tls", "certificate", "chain", "ocsp")
_HEADERS = (
    "status", "server", "content-type", "location", "retry-after", "via", "age", "x-cache", "x-served-by",
    "x-request-id", "cf-ray",
)  # fmt: skip
"""Evidence is shown in these groups, where there is any; the rest of it by itself."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a condition says of one look. `breached` is None where that needs several looks, or was not measured."""

    condition: Condition
    breached: bool | None
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """A look with what was heard of it."""

    check: Check
    look: Look
    overheard: Overheard
    said: tuple[Said, ...]
    trace: Sequence[Block] = ()

    @property
    def finding(self) -> bool:
        return not self.look.observation.ok or any(item.breached for item in self.said)

    @property
    def took(self) -> float:
        return self.look.ended.tick - self.look.began.tick

    @property
    def answered(self) -> float | None:
        """Seconds until the answer, which are the target's; None where it gave none. `took` has our own work, too."""
        return self.look.observation.measurements.get("response_time")


def judged(check: Check, look: Look) -> tuple[Said, ...]:
    """What each condition says of this one look."""
    return tuple(_judged(condition, check, look) for condition in check.conditions)


def _judged(condition: Condition, check: Check, look: Look) -> Said:
    if condition.window is not None:
        return Said(condition, None)
    value = figure(condition, look.observation.measurements, {}, look.ended.tick, 1.0)
    limit = limit_of(condition.bound, look.observation.measurements)
    if value is None or limit is None:
        return Said(condition, None, value, limit)
    unended = condition.measurement in unended_by(look.observation.reason, check.probe.measured)
    longest = most(condition, value, {}, unended=unended)
    bad, worse = (condition.bound.operator.holds(item, limit) for item in (value, longest))
    return Said(condition, bad if bad is worse else None, value, limit)


def show(console: Console, hide: Callable[[str], str], looked: Looked) -> None:
    """`hide` takes secrets out."""
    check, observation = looked.check, looked.look.observation
    _show_head(console, hide, looked)
    _show_waterfall(console, hide, looked)
    units = {item.name: item.unit for item in check.probe.measured}
    rows = [(name, quantity(value, units[name])) for name, value in observation.measurements.items() if name in units]
    show_rows(console, "measurements", rows)
    _show_evidence(console, hide, observation.evidence)
    if looked.said:
        console.print("[dim]thresholds[/]")
    for said in looked.said:
        console.print(
            f"  {said.condition.level.value:9} {escape(said.condition.text)}: {_told(said)}", soft_wrap=True
        )
    _show_trace(console, looked.trace, looked.overheard)


def _show_head(console: Console, hide: Callable[[str], str], looked: Looked) -> None:
    check, observation = looked.check, looked.look.observation
    reason = observation.reason
    console.print(f"[bold]{escape(check.name)}[/]  {check.probe.kind}  {escape(hide(check.probe.target))}")
    if reason is None:
        crossed = sum(item.breached is True for item in looked.said)
        said = f"[yellow]● it answers, and crosses {crossed} of its thresholds[/]" if crossed else ""
        took = looked.took if looked.answered is None else looked.answered
        console.print(f"{said or '[green]● as expected[/]'}, in {seconds(took)}")
        return
    colour = "red" if reason.blame == "target" else "yellow"
    console.print(
        f"[{colour}]● {reason.value}[/] ({reason.blame}), after {seconds(looked.took)}: {reason.meaning}",
        soft_wrap=True,
    )
    console.print(f"  {escape(hide(observation.detail))}" if observation.detail else "", soft_wrap=True)
    console.print(f"  [dim]what to do:[/] {reason.advice}", soft_wrap=True)


def _told(said: Said) -> str:
    condition = said.condition
    if said.breached is None:
        several = condition.window is not None or condition.compares_with_usual
        return "[dim]needs several looks[/]" if several else "[dim]not measured by this look[/]"
    value = quantity(said.value, condition.unit) if said.value is not None else ""
    return f"[red]breached[/], at {value}" if said.breached else f"[green]fine[/], at {value}"


def waterfall(looked: Looked) -> list[Span]:
    """The phases with their true beginnings; of a probe that tells none, one after another."""
    spans, at = list[Span](), 0.0
    for span in sorted(looked.overheard.phases, key=lambda span: span.began):
        if spans and spans[-1].what == span.what and span.began - spans[-1].ended < _AT_ONCE:
            spans[-1] = replace(span, began=spans[-1].began)  # asked and answered: one step
        else:
            spans.append(span)
    if spans:
        return spans
    for name, spent in looked.look.observation.phases.items():
        spans.append(Span(name, at, at + spent))
        at += spent
    return spans


def attempts(looked: Looked) -> list[Span]:
    """The addresses that were tried, where there were several."""
    return looked.overheard.attempts if any(item.told != "connected" for item in looked.overheard.attempts) else []


def _show_waterfall(console: Console, hide: Callable[[str], str], looked: Looked) -> None:
    """Each phase, each address that was tried, and each redirect, where they lie in the whole."""
    phases = waterfall(looked)
    tried = attempts(looked)
    total = max((span.ended for span in (*phases, *tried)), default=0.0)
    if not total:
        return
    redirects = [note for note in looked.overheard.notes if _REDIRECT.match(note.what)]
    rows = sorted((*phases, *tried, *redirects), key=lambda span: (span.began, -span.ended))
    console.print(f"[dim]  {'':12}{'from':>9}{'takes':>10}[/]")
    for span in rows:
        if span in redirects:
            console.print(f"  [dim]↳ {escape(hide(span.what))}[/]", soft_wrap=True)
            continue
        start = min(round(span.began / total * _WIDTH), _WIDTH - 1)
        bar = max(round((span.ended - span.began) / total * _WIDTH), 1)
        name, colour, told = _labelled(looked, span)
        line = f"  {name:12}{seconds(span.began):>9}{seconds(span.ended - span.began):>10}  "
        console.print(f"{line}{' ' * start}[{colour}]{'━' * min(bar, _WIDTH - start)}[/]{told}", soft_wrap=True)
    took = f"  {'in all':12}{'':9}{seconds(looked.took):>10}"
    console.print(f"[dim]{took}  with the agent's own work, between the bars[/]", soft_wrap=True)


def _labelled(looked: Looked, span: Span) -> tuple[str, str, str]:
    """What stands before a bar, its colour, and what stands behind it."""
    reason = looked.look.observation.reason
    if reason is not None and (span.told == FAILED or (reason.timed_out and span is waterfall(looked)[-1])):
        return span.what, "red", f"  [red]✖ {reason.value}[/]"
    if not span.told:
        return span.what, "cyan", ""
    told = f"  [dim]{escape(span.what)} {span.told}[/]"
    return "try", "green" if span.told == "connected" else "yellow", told


def _show_evidence(console: Console, hide: Callable[[str], str], evidence: Mapping[str, str]) -> None:
    shown: set[str] = set()
    for title, names in (("way", _WAY), ("certificate", _CERTIFICATE), ("answer", _HEADERS)):
        present = [name for name in names if name in evidence]
        shown.update(present)
        show_rows(console, title, [(name, hide(evidence[name])) for name in present])
    show_rows(console, "evidence", [(name, hide(text)) for name, text in evidence.items() if name not in shown])


def show_rows(console: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    rows = list(rows)
    if not rows:
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for name, text in rows:
        table.add_row(escape(name), escape(text))
    console.print(f"[dim]{title}[/]")
    console.print(table)


def _show_trace(console: Console, trace: Sequence[Block], overheard: Overheard) -> None:
    if trace:
        console.print("[dim]the wire, without secrets[/]")
    for block in trace:
        at = f"  {seconds(max(block.at, 0.0)):>9}  "
        if not block.peer:
            console.print(f"{at}[dim]{escape(' '.join(block.lines))}[/]", soft_wrap=True)
            continue
        arrow = "[green]→[/]" if block.sent else "[cyan]←[/]"
        console.print(f"{at}{arrow} {escape(block.peer)}  [dim]{block.size:,} bytes[/]", soft_wrap=True)
        for line in block.lines:
            console.print(f"{'':13}{escape(line)}", soft_wrap=True)
    if trace and overheard.unheard:
        console.print(f"[dim]  and {overheard.unheard:,} bytes for which there was no room[/]")


def as_json(looked: Looked) -> dict[str, Any]:
    observation = looked.look.observation
    reason = observation.reason
    document = {
        "check": looked.check.id,
        "target": looked.check.probe.target,
        "ok": observation.ok,
        "reason": reason.value if reason else None,
        "blame": reason.blame.value if reason else None,
        "detail": observation.detail,
        "advice": reason.advice if reason else None,
        "seconds": round(looked.took, 6),
        "phases": dict(observation.phases),
        "waterfall": [
            {**_span(span, "phase"), **({"failed": True} if span.told else {})} for span in waterfall(looked)
        ],
        "attempts": [{**_span(span, "address"), "result": span.told} for span in looked.overheard.attempts],
        "measurements": dict(observation.measurements),
        "evidence": dict(observation.evidence),
        "thresholds": [_threshold(said) for said in looked.said],
    }
    if looked.trace:
        document["trace"] = [_block(block) for block in looked.trace]
    return document


def _span(span: Span, name: str) -> dict[str, Any]:
    return {name: span.what, "at": round(span.began, 6), "seconds": round(span.ended - span.began, 6)}


def _threshold(said: Said) -> dict[str, Any]:
    condition = said.condition
    return {
        "condition": condition.text,
        "level": condition.level.value,
        "breached": said.breached,
        "value": said.value,
        "limit": said.limit,
    }


def _block(block: Block) -> dict[str, Any]:
    at, text = round(block.at, 6), "\n".join(block.lines)
    if not block.peer:
        return {"at": at, "noted": text}
    return {"at": at, "sent" if block.sent else "received": text, "peer": block.peer, "bytes": block.size}


def closing(check: Check) -> str:
    return f"[dim]looked at every {duration(check.every)}, limit {duration(check.timeout)}[/]"
