"""What sinks have in common that page somebody: an alert for each incident and class, opened and closed by its key.

An outage has another key than a degradation: whoever has acknowledged the one has not heard of the other, and most
pagers keep still about what was acknowledged, however bad it gets. So when it gets worse the new alert is opened
first, and then the old one closed. When it gets better nobody is paged: every outage is a degradation for a while
before it is over, and the alert stays open until then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from monitor.core.wording import cut
from monitor.sinks._message import harmless, moment
from monitor.sinks._told import Class, Told
from monitor.sinks.contract import SinkContext
from monitor.store.contract import Delivery

CLASSES: Final = (Class.OUTAGE, Class.DEGRADED)
_TEXT_LIMIT: Final = 500
SEVERITIES: Final = {Class.OUTAGE: "critical", Class.DEGRADED: "warning"}
"""As most of them call the classes."""
EASED_FOR: Final = timedelta(minutes=5)
"""What was better for so long and is an outage again pages again, although its alert is open and perhaps
acknowledged: people have turned to something else."""
_EASED: Final = "eased"
"""In the memory: since when an open outage is only a degradation."""


class Act(StrEnum):
    """What is done to an alert."""

    OPEN = "open"
    CLOSE = "close"
    ACKNOWLEDGE = "acknowledge"
    NOTE = "note"
    """Something to add to an open one, for whom it concerns."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request at most."""

    act: Act
    cls: Class
    key: str
    """``brownout:INCIDENT/outage``: at most 72 characters."""


async def follow(
    told: Told, delivery: Delivery, context: SinkContext, take: Callable[[Step], Awaitable[object]]
) -> None:
    """Take every step that the event asks for, and remember what is open. One that was accepted is not taken again
    when a later one fails: a person may have closed that alert meanwhile."""
    opened = context.memory
    for step in steps(told, opened, delivery.event_id, holds=True):
        await take(step)
        if step.act is Act.OPEN:
            opened[step.cls.value] = delivery.event_id
        elif step.act is Act.CLOSE:
            opened.pop(step.cls.value, None)
    if told.cls is Class.DEGRADED and Class.OUTAGE in opened:
        opened.setdefault(_EASED, told.at)
    elif told.cls in (Class.OUTAGE, Class.RECOVERED):
        opened.pop(_EASED, None)


def steps(told: Told, opened: Mapping[str, Any], event_id: str, *, holds: bool) -> list[Step]:
    """`opened`: by class, the event that has last opened its alert. `holds`: an outage's alert stays open while it is
    only a degradation any more, and none is opened for that.

    What is well again closes both: the memory may be of an older backup, and to close what is not open does nothing.
    What cannot be judged opens and closes nothing.
    """
    key = told.key
    match told.cls:
        case Class.RECOVERED:
            found: list[tuple[Act, Class]] = [(Act.CLOSE, cls) for cls in CLASSES]
        case Class.OUTAGE | Class.DEGRADED:
            found = list(_steps_in_trouble(told, opened, event_id, holds=holds))
        case _:
            found = [(Act.NOTE, cls) for cls in CLASSES if cls in opened]
    return [Step(act, cls, f"{key}/{cls}") for act, cls in found]


def _steps_in_trouble(
    told: Told, opened: Mapping[str, Any], event_id: str, *, holds: bool
) -> Iterator[tuple[Act, Class]]:
    aside = Act.ACKNOWLEDGE if told.part("update").get("kind") == "acknowledged" else Act.NOTE
    if holds and told.cls is Class.DEGRADED and Class.OUTAGE in opened:
        yield aside, Class.OUTAGE
        return
    if not told.is_aside:
        if opened.get(told.cls) != event_id:
            if holds and told.cls is Class.OUTAGE and told.cls in opened and _eased(opened.get(_EASED), told.at):
                yield Act.CLOSE, told.cls
            yield Act.OPEN, told.cls
    elif told.cls in opened:
        yield aside, told.cls
    elif not told.part("incident").get("acknowledged"):
        yield Act.OPEN, told.cls  # what would have opened it was overtaken while the pager could not be reached
    yield from ((Act.CLOSE, cls) for cls in CLASSES if cls is not told.cls and cls in opened)


def _eased(since: object, at: str) -> bool:
    begun, now = moment(since), moment(at)
    return begun is not None and now is not None and now - begun >= EASED_FOR


def details(told: Told) -> dict[str, Any]:
    """Why, in figures and words, for whoever is woken: bounded texts, and nothing that is not known."""
    incident, evidence, threshold = told.part("incident"), told.part("evidence"), told.part("threshold")
    found = {
        "why": told.body.get("why"),
        "reason": told.body.get("reason"),
        "advice": told.body.get("advice"),
        "condition": threshold.get("condition"),
        "since": told.since,
        "target": told.part("check").get("target"),
        "cause": incident.get("root"),
        "affected": _list(incident.get("affected")),
        "checks": [f"{item.get('id')} is {item.get('state')}: {item.get('why')}" for item in _bad(evidence)],
        "measured": evidence.get("measurements"),
        "phases": evidence.get("phases"),
        "seen": evidence.get("facts"),
        "incident": incident.get("id"),
        "vantage": told.body.get("vantage"),
        "event": told.body.get("id"),
    }
    return {name: _bounded(value) for name, value in found.items() if value}


def source(told: Told) -> str:
    """What it is about: a target's address, else the service, else whoever tells."""
    found = told.part("check").get("target") or told.part("service").get("id") or told.body.get("vantage")
    return line(found or "brownout", 255)


def line(text: object, limit: int) -> str:
    """One line without control characters, at most `limit` characters."""
    return cut(harmless(str(text)), limit)


def _bad(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    checks = [item for item in _list(evidence.get("checks")) if isinstance(item, dict)]
    return [item for item in checks if item.get("state") in ("down", "degraded", "unknown")][:12]


def _list(value: object) -> list[Any]:
    return value[:20] if isinstance(value, list) else []


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return line(value, _TEXT_LIMIT)
    if isinstance(value, dict):
        return {line(key, 100): _bounded(item) for key, item in list(value.items())[:40]}
    return [_bounded(item) for item in value] if isinstance(value, list) else value
