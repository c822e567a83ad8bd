"""What an event says to people, before a sink lays it out: headline, sentence, facts, details, links.

Every text is one harmless line of bounded length, and nothing is escaped: each sink does that where it puts the text,
as only it knows how.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from monitor.core.wording import cut, duration, seconds
from monitor.sinks._told import Class, Told, class_of
from monitor.urls import is_link

TEXT_LIMIT: Final = 600
"""Characters of the sentence: those of our own body are shorter."""
HEADLINE_LIMIT: Final = 140
FACT_LIMIT: Final = 300
LINE_LIMIT: Final = 300
MEMBERS_LIMIT: Final = 12
ITEMS_LIMIT: Final = 20
"""Of a digest: a person reads no more of it."""
FACTS_LIMIT: Final = 10
URL_LIMIT: Final = 2000
LATE: Final = timedelta(minutes=2)
"""What is told later than so after it was decided says so itself."""

SYMBOLS: Final = {
    Class.OUTAGE: "🔴",
    Class.DEGRADED: "🟡",
    Class.RECOVERED: "🟢",
    Class.UNKNOWN: "⚪",
    Class.MARK: "🔵",
}
_NEWS: Final = {
    Class.OUTAGE: "outage",
    Class.DEGRADED: "degraded",
    Class.RECOVERED: "back to normal",
    Class.UNKNOWN: "cannot be judged",
    Class.MARK: "deploy",
}
_HAPPENED: Final = {
    "escalated": "{news}, nobody has acknowledged it yet",
    "reminder": "{news}, still",
    "acknowledged": "{news}, acknowledged",
    "snoozed": "{news}, snoozed",
    "note": "{news}, a note",
    "action": "{news}, an action",
}
"""What an update that is no change of state is, by its kind."""
_DONE: Final = {"acknowledged": "Acknowledged", "snoozed": "Snoozed", "note": "Note", "action": "Action"}
"""Updates that tell what was done: what the last look saw is no part of them."""
_MEASURED: Final = "Measured (seconds, bytes, shares of 1, counts)"
_LINKS: Final = {"acknowledge": "Acknowledge", "page": "Open", "runbook": "Runbook", "deploy": "Deploy"}
_MARKS: Final = ("[DRILL] ", "[TEST] ")


@dataclass(frozen=True, slots=True)
class Message:
    """An event, ready to be laid out. What may be written by a target is in `sentence`, `facts` and `details`."""

    cls: Class
    """What it looks like: an incident that goes on as another has not recovered."""
    headline: str
    """``Web shop: outage``; with ``[DRILL]`` or ``[TEST]`` before it, where it is one."""
    sentence: str
    facts: tuple[tuple[str, str], ...]
    items: tuple[str, ...]
    """Of a digest: a line each, the worst first."""
    details: tuple[tuple[str, tuple[str, ...]], ...]
    """Evidence: lines, under a title each."""
    links: tuple[tuple[str, str, str], ...]
    """(name, label, URL); http and https only, as others make a chat refuse the whole message."""
    rings: bool
    """Whether people must notice it although they know of the trouble: it has got worse, or nobody sees to it."""
    acknowledged: bool
    """Whether somebody has it, for good: then nobody needs to be asked to."""

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.cls]

    def link(self, wanted: str) -> str | None:
        """The URL of that name: ``page``, ``runbook``, ``acknowledge``."""
        return next((url for name, _, url in self.links if name == wanted), None)


def compose(told: Told, now: datetime) -> Message:
    """`now` is when it is sent: late news says so."""
    update = told.part("update")
    state = told.part("state")
    worse = told.cls is Class.OUTAGE and state.get("old") in ("degradation", "degraded")
    merged = told.part("incident").get("merged_into")
    return Message(
        cls=told.cls if not merged else Class.UNKNOWN,
        headline=cut(_headline(told, str(update.get("kind"))), HEADLINE_LIMIT),
        sentence=cut(harmless(told.sentence) or told.type, TEXT_LIMIT),
        facts=tuple(_facts(told, now))[:FACTS_LIMIT],
        items=_items(told) if told.type == "digest" else (),
        details=() if update.get("kind") in _DONE else tuple(_details(told)),
        links=tuple(_links(told)),
        rings=worse or update.get("kind") in ("escalated", "reminder"),
        acknowledged=_is_acknowledged(told),
    )


def harmless(text: str) -> str:
    """One line without anything a terminal would obey: control characters and unprintable ones become spaces."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def plain(message: Message) -> str:
    """As text of several lines, for what knows no markup."""
    parts = [message.sentence]
    if message.items:
        parts.append("\n".join(message.items))
    if message.facts:
        parts.append("\n".join(f"{name}: {value}" for name, value in message.facts))
    parts += ["\n".join((f"{title}:", *(f"  {line}" for line in lines))) for title, lines in message.details]
    if message.links:
        parts.append("\n".join(f"{label}: {url}" for _, label, url in message.links))
    return "\n\n".join(parts)


def _headline(told: Told, update: str) -> str:
    mark = "".join(mark for mark, on in zip(_MARKS, (told.drill, told.test), strict=True) if on)
    news = _HAPPENED.get(update, "{news}").format(news=_NEWS[told.cls])
    if told.type == "digest":
        count = len(_list(told.body.get("items"))) + _count(told.body.get("more"))
        if quiet := told.part("quiet"):
            still = _count(quiet.get("open"))
            news = f"{still} still open" if still else "all over"
            return f"{mark}{count} {'incidents' if count > 1 else 'incident'} in quiet hours, {news}"
        return f"{mark}{count} {'are back to normal' if told.cls is Class.RECOVERED else 'more alerts'}"
    if told.type.startswith("deploy."):
        return f"{mark}{_without_mark(harmless(told.sentence)).removesuffix('.')}"
    if told.type.startswith("agent."):
        well = told.cls is Class.RECOVERED
        return f"{mark}Monitoring at {harmless(told.title)}: {'well again' if well else 'impaired'}"
    if told.type == "check.changed" and told.part("state").get("new") == "down":
        news = "down"
    if told.part("incident").get("merged_into"):
        news = "part of another incident"
    others = len(_list(told.part("incident").get("affected"))) - 1
    more = f" and {others} more" if others > 0 else ""
    return f"{mark}{cut(harmless(told.title), 90)}{more}: {news}"


def _without_mark(sentence: str) -> str:
    for mark in _MARKS:
        sentence = sentence.removeprefix(mark)
    return sentence


def _facts(told: Told, now: datetime) -> Iterator[tuple[str, str]]:
    """The first are the ones to keep where there is room for a few only."""
    for name, value in _raw_facts(told, now):
        text = cut(harmless(str(value)), FACT_LIMIT) if value else ""
        if text:
            yield name, text


def _raw_facts(told: Told, now: datetime) -> Iterator[tuple[str, Any]]:
    incident, check = told.part("incident"), told.part("check")
    yield from _handled(told)
    if told.type not in ("digest",) and told.cls is not Class.MARK:
        yield "Since", stamp(incident.get("since") or told.since)
    if incident.get("resolved"):
        yield "Until", stamp(incident["resolved"])
    if incident.get("resolved") and isinstance(lasted := incident.get("duration_seconds"), int | float):
        yield "Lasted", seconds(lasted)
    if (at := moment(told.at)) is not None and now - at > LATE:
        yield "Late", f"decided at {stamp(told.at)}, {duration(now - at)} before this was sent"
    yield "Condition", told.part("threshold").get("condition")
    yield "Cause", incident.get("root")
    deploy = told.part("deploy")
    if told.cls is not Class.MARK and isinstance(after := deploy.get("seconds"), int | float):
        yield "Deployed", f"{deploy.get('version')}, {seconds(after)} before it began"
    yield "Affected", ", ".join(str(item) for item in _list(incident.get("affected"))[:MEMBERS_LIMIT])
    yield "Target", check.get("target")
    if not told.part("threshold"):  # else it only says that there is one
        yield "Advice", told.body.get("advice")
    yield "Owner", told.part("service").get("owner") or check.get("owner")
    if (runbook := told.part("links").get("runbook")) and not _is_web(runbook):
        yield "Runbook", runbook
    yield "Seen from", told.body.get("vantage")
    yield "Incident", incident.get("id")


def _handled(told: Told) -> Iterator[tuple[str, Any]]:
    """What was done about it now, and else who has it."""
    update, given = told.part("update"), told.part("incident").get("acknowledged")
    if (label := _DONE.get(str(update.get("kind")))) is not None:
        by = None if update.get("kind") == "action" else update.get("by")  # its text names the action
        yield label, " by ".join(str(item) for item in (update.get("text"), by) if item)
    elif isinstance(given, dict) and told.cls is not Class.RECOVERED:
        until = given.get("until")
        label, when = ("Put off until", stamp(until)) if until else ("Acknowledged", stamp(given.get("at")))
        yield label, f"{when}, by {given.get('by')}"


def _is_acknowledged(told: Told) -> bool:
    given = told.part("incident").get("acknowledged")
    return isinstance(given, dict) and not given.get("until")


def _items(told: Told) -> tuple[str, ...]:
    items = [item for item in _list(told.body.get("items")) if isinstance(item, dict)]
    more = _count(told.body.get("more")) + len(items[ITEMS_LIMIT:])
    lines = [_item(item) for item in items[:ITEMS_LIMIT]]
    return (*lines, f"and {more} more") if more else tuple(lines)


def _item(item: Mapping[str, Any]) -> str:
    symbol = SYMBOLS[class_of(str(item.get("state")))]
    return cut(harmless(f"{symbol} {clock(item.get('at'))} {item.get('sentence')}"), LINE_LIMIT)


def _details(told: Told) -> Iterator[tuple[str, tuple[str, ...]]]:
    evidence = told.part("evidence")
    checks = [item for item in _list(evidence.get("checks")) if isinstance(item, dict)]
    lines = [_line(f"{item.get('id')} is {item.get('state')}", item.get("why")) for item in checks[:MEMBERS_LIMIT]]
    if len(checks) > MEMBERS_LIMIT:
        lines.append(f"and {len(checks) - MEMBERS_LIMIT} more")
    measured = [_line(name.replace("_", " "), f"{value:.6g}") for name, value in _figures(evidence, "measurements")]
    phases = ", ".join(f"{harmless(name)} {seconds(value)}" for name, value in _figures(evidence, "phases"))
    seen = evidence.get("facts")
    facts = [_line(name, value) for name, value in (seen.items() if isinstance(seen, dict) else ())]
    groups = {"Checks": lines, _MEASURED: measured, "Phases": [cut(phases, LINE_LIMIT)], "Seen": facts}
    for title, found in groups.items():
        if kept := tuple(line for line in found if line):
            yield title, kept


def _line(name: str, value: object) -> str:
    return cut(harmless(f"{name}: {value}" if value else name), LINE_LIMIT)


def _figures(evidence: Mapping[str, Any], name: str) -> list[tuple[str, float]]:
    found = evidence.get(name)
    figures = found.items() if isinstance(found, dict) else ()
    return [(str(key), value) for key, value in figures if isinstance(value, int | float)]


def _links(told: Told) -> Iterator[tuple[str, str, str]]:
    links = told.part("links")
    for name, label in _LINKS.items():
        if name == "acknowledge" and (_is_acknowledged(told) or not told.cls.bad):
            continue
        if _is_web(url := links.get(name)):
            yield name, label, str(url)


def _is_web(url: object) -> bool:
    if not isinstance(url, str) or len(url) > URL_LIMIT or not url.isprintable() or " " in url:
        return False
    return is_link(url)


def moment(text: object) -> datetime | None:
    """An instant of RFC 3339; None where it is none."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else None


def stamp(text: object) -> str:
    """``2026-03-02 14:02:15 UTC``: with its day, as a message may be read or come late."""
    found = moment(text)
    return f"{found:%Y-%m-%d %H:%M:%S} UTC" if found is not None else harmless(str(text))


def clock(text: object) -> str:
    """``14:02:15 UTC``"""
    found = moment(text)
    return f"{found:%H:%M:%S} UTC" if found is not None else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
