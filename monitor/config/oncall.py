"""The section `oncall:`: who is on call: by turns, by a calendar, by what is written over both."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from importlib.util import find_spec
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationError

from monitor.config.faults import Entry, Faults
from monitor.config.fields import TEXT_JSON, Duration, FieldsModel, Leaf, Name, Names, SecretText, choice
from monitor.config.hours import DateText, HandoverText, ZoneText
from monitor.config.maintenance import parse_time
from monitor.config.model import Calendar, Oncall
from monitor.config.people import ONCALL
from monitor.config.secrets import Secrets
from monitor.config.suggest import Vocabulary
from monitor.core.hours import DAYS
from monitor.core.rota import Person, Rota, Rotation, Shift, instant
from monitor.urls import NO_URL, is_link
from probes.contract import Secret

WEEK, DAY = timedelta(days=7), timedelta(days=1)
LONGEST_TURN = timedelta(days=366)
HANDOVER = time(9)
REFRESH, SOONEST_REFRESH = timedelta(minutes=15), timedelta(minutes=1)
_EXAMPLE = "2026-12-24 18:00"

_Time = Annotated[datetime, Leaf(parse_time, f"a time such as {_EXAMPLE}", TEXT_JSON)]
_Preference = Annotated[bool, choice({"awake": True, "turn": False})]


def _check_url(url: Secret) -> Secret:
    if not is_link(url.reveal()):
        raise ValueError(f"{NO_URL} (a link that begins with webcal:// works so, too)")
    return url


def _check_every(every: timedelta) -> timedelta:
    if every % DAY or not DAY <= every <= LONGEST_TURN:
        raise ValueError("must be whole days, such as 1d, 7d or 2w: shorter turns belong in a calendar")
    return every


def _check_refresh(refresh: timedelta) -> timedelta:
    if refresh < SOONEST_REFRESH:
        raise ValueError("must be at least 1m")
    return refresh


class OverrideKeys(FieldsModel):
    """Somebody instead."""

    who: Name = Field(description="The person who is on call then")
    from_: _Time = Field(alias="from", description="When it begins")
    until: _Time = Field(description="When it ends")


class OncallKeys(FieldsModel):
    """Who is on call."""

    rotation: Names = Field((), description="People who take turns, in this order")
    from_: DateText | None = Field(None, alias="from", description="The day on which the first one's turn begins")
    every: Annotated[Duration, AfterValidator(_check_every)] | None = Field(
        None, description="How long a turn lasts: whole days"
    )
    handover: HandoverText | None = Field(None, description="When the next one takes over, by the clock there")
    timezone: ZoneText | None = Field(
        None, description="Of `handover`, of overrides, and of whole days of a calendar"
    )
    overrides: tuple[OverrideKeys, ...] = Field(
        (), description="Who is on call instead, for a while; of two at one time the later in the list counts"
    )
    calendar: Annotated[SecretText, AfterValidator(_check_url)] | None = Field(
        None, description="The URL of an iCalendar whose entries name people; before the rotation"
    )
    refresh: Annotated[Duration, AfterValidator(_check_refresh)] | None = Field(
        None, description="How often the calendar is fetched"
    )
    prefer: _Preference | None = Field(
        None, description="`awake`: somebody of the rota who is awake comes before one on call who sleeps"
    )


def read_oncall(entry: Entry | None, people: Mapping[str, Person], secrets: Secrets, faults: Faults) -> Oncall:
    if entry is None:
        return Oncall()
    try:
        keys = OncallKeys.model_validate(entry.value, context=secrets)
    except ValidationError as error:
        faults.add_findings(entry.place, error, OncallKeys)
        return Oncall({ONCALL: Rota(tuple(people))}, {})
    zone = keys.timezone or "UTC"
    known = Vocabulary("person", people)
    for index, name in enumerate(keys.rotation):
        if name not in known:
            faults.add(entry.place, known.unknown(name), "rotation", index)
    if not (keys.rotation or keys.calendar is not None):
        faults.add(entry.place, "nobody is ever on call: write rotation, with the names of people, or calendar")
    calendars = {}
    if keys.calendar is not None:
        if find_spec("recurring_ical_events") is None:
            faults.add(entry.place, "needs: pip install 'brownout[ical]'", "calendar")
        calendars[ONCALL] = Calendar(keys.calendar, keys.refresh or REFRESH, zone)
    elif keys.refresh is not None:
        faults.add(entry.place, "is for a calendar: write one, or remove it", "refresh")
    rota = Rota(
        people=tuple(people) if keys.calendar is not None else tuple(dict.fromkeys(keys.rotation)),
        rotation=_rotation(keys, zone, entry, faults),
        overrides=tuple(_override(keys, index, zone, known, entry, faults) for index in range(len(keys.overrides))),
        calendar=ONCALL if keys.calendar is not None else None,
        prefer_awake=bool(keys.prefer),
    )
    return Oncall({ONCALL: rota}, calendars)


def _rotation(keys: OncallKeys, zone: str, entry: Entry, faults: Faults) -> Rotation | None:
    if not keys.rotation:
        for key in ("from", "every", "handover"):
            if isinstance(entry.value, dict) and key in entry.value:
                faults.add(entry.place, "is for a rotation: write one, or remove it", key)
        return None
    weekday, at = keys.handover or (None, HANDOVER)
    if keys.from_ is None:
        faults.add(
            entry.place,
            f'"from" is missing: the day on which the turn of {keys.rotation[0]} begins, as in 2026-11-23; '
            "so it is known whose turn it is, also when somebody joins",
        )
    elif weekday is not None and keys.from_.weekday() != weekday:
        day = DAYS[keys.from_.weekday()]
        faults.add(entry.place, f"{keys.from_} is a {day}, and handover says {DAYS[weekday]}", "from")
    every = keys.every or WEEK
    if weekday is not None and every % WEEK:
        faults.add(
            entry.place, "with a day of the week, turns last whole weeks, such as 1w: leave the day out", "every"
        )
    return Rotation(keys.rotation, keys.from_ or date.min, every // DAY, at, zone)


def _override(keys: OncallKeys, index: int, zone: str, known: Vocabulary, entry: Entry, faults: Faults) -> Shift:
    item, there = keys.overrides[index], ZoneInfo(zone)
    if item.who not in known:
        faults.add(entry.place, known.unknown(item.who), "overrides", index, "who")
    begin = item.from_ if item.from_.tzinfo is not None else instant(item.from_, there)
    end = item.until if item.until.tzinfo is not None else instant(item.until, there, last=True)
    if end <= begin:
        faults.add(entry.place, "is not after from", "overrides", index, "until")
    return Shift(begin, end, item.who)
