"""The `maintenance:` section: windows that are known beforehand, once or by a schedule."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError

from monitor.config.drafts import Draft, References
from monitor.config.faults import Entry, Faults
from monitor.config.fields import TEXT_JSON, Duration, FieldsModel, Labels, Leaf, Name, Names
from monitor.config.schema import parse_name
from monitor.config.secrets import Secrets
from monitor.config.suggest import Vocabulary, shorten
from monitor.config.units import format_duration
from monitor.core.maintenance import Schedule, Scope, Span, Window
from monitor.core.wording import TEXT_LIMIT
from probes._passive.schedule import cron, time_zone
from probes.contract import BadField

_RUNS_COMPARED = 60
"""Runs of a schedule whose distances are compared with how long a window lasts."""
_YEAR = 366 * 86400.0
_LATEST = 32_503_680_000.0
"""The year 3000: what lies beyond may have no name in another time zone."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?")
_EXAMPLE = "2026-12-01 22:00"


def parse_time(text: str) -> datetime:
    """``2026-12-01 22:00``, also with seconds, with ``T``, and with ``Z`` or an offset; aware only with those."""
    if _TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise ValueError(f'"{shorten(text)}" is not a time such as {_EXAMPLE}')


def _parse_why(text: str) -> str:
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"is {len(text)} characters long: shorten it to {TEXT_LIMIT}")
    return text


_Title = Annotated[str, Leaf(parse_name, "a name of 1 to 100 characters", TEXT_JSON)]
_Time = Annotated[datetime, Leaf(parse_time, f"a time such as {_EXAMPLE}", TEXT_JSON)]
_Why = Annotated[str, Leaf(_parse_why, "a text", TEXT_JSON, public=False)]


class MaintenanceKeys(FieldsModel):
    """A window; `from` and `until`, or `schedule` and `for`."""

    name: _Title = Field(description="What people call it; each window has its own")
    checks: Names = Field((), description="The checks that are in maintenance")
    services: Names = Field((), description="Services: all checks of each")
    labels: Labels | None = Field(None, description="Checks with all of these labels, or whose service has them")
    from_: _Time | None = Field(None, alias="from", description="When it begins, once")
    until: _Time | None = Field(None, description="When it ends")
    schedule: Name | None = Field(None, description='When it begins, as cron writes it: "0 3 * * sun"')
    for_: Duration | None = Field(None, alias="for", description="How long it lasts each time")
    timezone: Name = Field("UTC", description="Of `schedule`, and of times without an offset")
    why: _Why | None = Field(None, description="Shown with what is in maintenance; 500 characters at most")


@dataclass(frozen=True, slots=True)
class Coverable:
    """What windows may name. `labels`: of each check, those of its service included."""

    references: References
    services: Vocabulary
    labels: tuple[Mapping[str, str], ...]


def coverable(
    drafts: Iterable[Draft],
    references: References,
    services: Vocabulary,
    service_labels: Mapping[str, Mapping[str, str]],
    defaults: Mapping[str, str],
) -> Coverable:
    """`service_labels` by the services' names, `defaults` those of every check."""
    labels = [
        {**service_labels.get(draft.service or "", {}), **defaults, **((draft.keys and draft.keys.labels) or {})}
        for draft in drafts
    ]
    return Coverable(references, services, tuple(labels))


def read_maintenance(
    entries: Iterable[Entry], known: Coverable, secrets: Secrets, faults: Faults
) -> tuple[Window, ...]:
    """The windows in the order of the file."""
    found: dict[str, Window] = {}
    for entry in entries:
        try:
            keys = MaintenanceKeys.model_validate(entry.value, context=secrets)
        except ValidationError as error:
            faults.add_findings(entry.place, error, MaintenanceKeys)
            continue
        if keys.name in found:
            faults.add(entry.place, f'duplicate name "{keys.name}": give each window its own', "name")
        try:
            window = _timed(Window(keys.name, _scope(keys, entry, known, faults), why=keys.why or ""), keys)
        except BadField as error:
            faults.add(entry.place, str(error), *([error.field] if error.field else []))
        else:
            found[keys.name] = window
    return tuple(found.values())


def _scope(keys: MaintenanceKeys, entry: Entry, known: Coverable, faults: Faults) -> Scope:
    checks = []
    for index, name in enumerate(keys.checks):
        try:
            checks.append(known.references.resolve(name))
        except ValueError as error:
            faults.add(entry.place, str(error), "checks", index)
    for index, name in enumerate(keys.services):
        if name not in known.services:
            faults.add(entry.place, known.services.unknown(name), "services", index)
    labels = keys.labels or {}
    if labels and not any(all(own.get(name) == value for name, value in labels.items()) for own in known.labels):
        shown = ", ".join(f"{name}={value}" for name, value in labels.items())
        faults.add(entry.place, f"no check has {shorten(shown)}: see the labels under checks and services", "labels")
    if not (keys.checks or keys.services or labels):
        faults.add(entry.place, "covers nothing: name checks, services or labels")
    return Scope(tuple(checks), keys.services, labels)


def _timed(window: Window, keys: MaintenanceKeys) -> Window:
    """With its times. Raises `BadField`; that of no field is about the whole window."""
    once = keys.from_ is not None or keys.until is not None
    recurring = keys.schedule is not None or keys.for_ is not None
    if once is recurring:
        said = "has both" if once else "has neither"
        raise BadField("", f"{said}: write from and until for a window that comes once, else schedule and for")
    if once:
        return replace(window, once=_once(keys))
    if keys.schedule is None or keys.for_ is None:
        raise BadField("", f'"{"schedule" if keys.schedule is None else "for"}" is missing')
    now = time.time()
    schedule = cron(keys.schedule, keys.timezone, now)
    must_leave_gaps(schedule, keys.for_, now)
    return replace(window, schedule=schedule, lasts=keys.for_.total_seconds())


def _once(keys: MaintenanceKeys) -> Span:
    if keys.from_ is None or keys.until is None:
        raise BadField("", f'"{"from" if keys.from_ is None else "until"}" is missing')
    zone = time_zone(keys.timezone)
    # Of an hour that comes twice in autumn, the window has both.
    span = Span(_instant(keys.from_, zone, fold=0), _instant(keys.until, zone, fold=1))
    for field, at in (("from", span.begin), ("until", span.end)):
        if not 0 <= at < _LATEST:
            raise BadField(field, "is no time at which anybody watches: write one from 1970 to 2999")
    if span.end <= span.begin:
        raise BadField("until", "is not after from")
    return span


def _instant(at: datetime, zone: ZoneInfo, fold: int) -> float:
    return (at if at.tzinfo is not None else at.replace(tzinfo=zone, fold=fold)).timestamp()


def must_leave_gaps(schedule: Schedule, lasts: timedelta, near: float) -> None:
    """Raises `BadField` for what would be in maintenance for ever, judged by the runs after `near` (Unix time).

    What is right is right on every day of the year, or an agent that is restarted in March would not start: so the
    two longest distances between runs, which may be those in which clocks are changed, do not count. Neither do the
    short ones: the days of a week may follow one another.
    """
    if lasts <= timedelta(0):
        raise BadField("for", "must be longer than nothing")
    at = begun = schedule.after(near)
    distances: list[float] = []
    while len(distances) < _RUNS_COMPARED and at - begun <= _YEAR:
        following = schedule.after(at)
        distances.append(following - at)
        at = following
    longest = sorted(distances)[-min(len(distances), 3)]
    if longest <= lasts.total_seconds():
        gap = format_duration(timedelta(seconds=longest))
        raise BadField("for", f"is as long as from one time of the schedule to the next ({gap}), or longer")
