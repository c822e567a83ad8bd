"""Who is on call: turns, handovers when clocks are set, overrides, calendars, and who is awake."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from monitor.core.hours import DAYS, Hours
from monitor.core.rota import Directory, Duty, Person, Rota, Rotation, Shift, instant

BERLIN = ZoneInfo("Europe/Berlin")
AWAKE = Hours(8 * 60, 22 * 60, "Europe/Berlin")
PEOPLE = {
    "ann": Person("ann", AWAKE, {"sms": "ann.sms", "call": "ann.call"}),
    "bob": Person("bob", AWAKE, {"mail": "bob.mail", "sms": "bob.sms"}),
    "cyd": Person("cyd", replace(AWAKE, zone="America/Los_Angeles"), {"sms": "cyd.sms"}),
    "dan": Person("dan", AWAKE),
}
WEEKLY = Rotation(("ann", "bob", "cyd"), date(2026, 1, 5), 7, time(9), "Europe/Berlin")
ROTA = Rota(("ann", "bob", "cyd"), WEEKLY)
SKIPPED, TWICE = datetime.fromisoformat("2026-03-29T02:30"), datetime.fromisoformat("2026-10-25T02:30")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def who(rota: Rota, moment: datetime, shifts: tuple[Shift, ...] = ()) -> tuple[str, ...]:
    return rota.duty(moment, shifts, PEOPLE).who


@pytest.mark.parametrize(
    ("moment", "found"),
    [
        ("2026-01-05T09:00:00", "ann"),
        ("2026-01-12T08:59:59", "ann"),
        ("2026-01-12T09:00:00", "bob"),
        ("2026-01-19T09:00:00", "cyd"),
        ("2026-01-26T09:00:00", "ann"),
        ("2026-01-05T08:59:59", "cyd"),  # before the first turn it went round, too
        ("2025-12-29T08:59:59", "bob"),
        ("2027-01-04T09:00:00", "bob"),  # 52 weeks later: 52 turns, by three
    ],
)
def test_people_take_turns(moment: str, found: str) -> None:
    assert who(ROTA, at(moment)) == (found,)


def test_every_moment_of_two_years_has_one_turn_and_turns_meet() -> None:
    """Handover at 02:30, also on the days on which that comes twice, or not at all."""
    daily = Rotation(("ann", "bob"), date(2026, 1, 1), 1, time(2, 30), "Europe/Berlin")
    moment, turns = at("2026-01-01T03:00:00"), []
    while moment < at("2028-01-01T03:00:00"):
        turn = daily.shift(moment)
        assert turn is not None
        assert turn.holds(moment)
        if turns and turn != turns[-1]:
            assert turn.begin == turns[-1].end
            assert turn.who != turns[-1].who
        if not turns or turn != turns[-1]:
            turns.append(turn)
        moment += timedelta(minutes=30)
    assert len(turns) == 731
    lengths = {turn.end - turn.begin for turn in turns}
    # In spring 02:30 is the end of the gap, 03:00: half an hour early by the sun, as 02:30 would have been.
    assert lengths == {timedelta(hours=24), timedelta(hours=23.5), timedelta(hours=25)}


def test_a_handover_that_is_skipped_is_at_the_end_of_the_gap_and_of_two_it_is_the_first() -> None:
    assert instant(SKIPPED, BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert instant(SKIPPED, BERLIN, last=True) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert instant(TWICE, BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert instant(TWICE, BERLIN, last=True) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_of_overrides_that_overlap_the_last_one_counts() -> None:
    rota = replace(
        ROTA,
        overrides=(
            Shift(at("2026-01-06T00:00:00"), at("2026-01-10T00:00:00"), "bob"),
            Shift(at("2026-01-08T00:00:00"), at("2026-01-09T00:00:00"), "cyd"),
        ),
    )
    assert [who(rota, at(f"2026-01-{day:02}T12:00:00"))[0] for day in range(5, 12)] == [
        "ann", "bob", "bob", "cyd", "bob", "ann", "ann",
    ]  # fmt: skip
    assert rota.duty(at("2026-01-08T12:00:00"), (), PEOPLE).by == "override"


def test_turns_to_come_end_where_an_override_begins() -> None:
    rota = replace(ROTA, overrides=(Shift(at("2026-01-06T00:00:00"), at("2026-01-10T00:00:00"), "bob"),))
    found = rota.turns(at("2026-01-05T12:00:00"), (), PEOPLE, 4)
    assert [(begin, duty.who[0], duty.by, duty.until) for begin, duty in found] == [
        (at("2026-01-05T12:00:00"), "ann", "rotation", at("2026-01-06T00:00:00")),
        (at("2026-01-06T00:00:00"), "bob", "override", at("2026-01-10T00:00:00")),
        (at("2026-01-10T00:00:00"), "ann", "rotation", at("2026-01-12T09:00:00")),
        (at("2026-01-12T09:00:00"), "bob", "rotation", at("2026-01-19T09:00:00")),
    ]
    soon = Shift(at("2026-01-06T00:00:00"), at("2026-01-07T00:00:00"), "bob")
    assert len(Rota(("ann",)).turns(at("2026-01-05T12:00:00"), (), PEOPLE, 4)) == 1
    assert Rota(("ann", "bob")).duty(at("2026-01-05T12:00:00"), (soon,), PEOPLE).until == soon.begin
    alone = replace(ROTA, rotation=replace(WEEKLY, people=("ann",), days=1))
    assert len(alone.turns(at("2026-01-05T12:00:00"), (), PEOPLE, 4)) == 2  # it never ends: a hundred days are shown


def test_a_calendar_counts_before_the_rotation_and_its_gaps_are_the_rotations() -> None:
    rota = replace(ROTA, calendar="oncall")
    shifts = (
        Shift(at("2026-01-06T00:00:00"), at("2026-01-20T00:00:00"), "bob"),
        Shift(at("2026-01-07T00:00:00"), at("2026-01-08T00:00:00"), "cyd"),
    )
    assert who(rota, at("2026-01-07T12:00:00"), shifts) == ("cyd",)
    assert who(rota, at("2026-01-08T12:00:00"), shifts) == ("bob",)
    assert rota.duty(at("2026-01-05T12:00:00"), shifts, PEOPLE).by == "rotation"


def test_nobody_on_call_is_everybody() -> None:
    empty = Rota(("ann", "cyd"))
    assert empty.duty(at("2026-01-05T12:00:00"), (), PEOPLE) == Duty(("ann", "cyd"), "nobody")
    assert who(replace(empty, prefer_awake=True), at("2026-01-05T03:00:00")) == ("cyd",)
    assert who(replace(empty, prefer_awake=True), at("2026-01-05T07:30:00")) == ("ann", "cyd")  # all asleep
    assert who(Rota((), replace(WEEKLY, people=())), at("2026-01-05T12:00:00")) == ()


def test_somebody_awake_comes_before_the_one_on_call_who_sleeps() -> None:
    rota = replace(ROTA, prefer_awake=True)
    night = at("2026-01-06T03:00:00")
    assert rota.duty(night, (), PEOPLE) == Duty(("cyd",), "awake", at("2026-01-12T09:00:00"), "ann")
    assert who(rota, at("2026-01-06T12:00:00")) == ("ann",)
    assert who(rota, at("2026-01-06T07:30:00")) == ("ann",)  # nobody is awake
    assert who(rota, at("2026-01-20T14:00:00")) == ("ann",)  # it is cyd's week, and night in Los Angeles
    stranger = Shift(at("2026-01-05T00:00:00"), at("2026-01-20T00:00:00"), "eve")
    assert who(replace(rota, calendar="oncall"), at("2026-01-06T12:00:00"), (stranger,)) == ("ann",)
    assert who(rota, at("2026-01-06T03:00:00"), (replace(stranger, who="dan"),)) == ("cyd",)


def test_names_are_resolved() -> None:
    directory = Directory(
        frozenset({"chat", *(sink for person in PEOPLE.values() for sink in person.ways.values())}),
        PEOPLE,
        {"everyone": ("ann", "bob", "dan", "chat"), "loop": ("loop", "ann")},
        {"oncall": ROTA, "web": replace(ROTA, calendar="web")},
        {"web": (Shift(at("2026-01-01T00:00:00"), at("2027-01-01T00:00:00"), "cyd"),)},
    )
    monday = at("2026-01-05T10:00:00")
    assert directory.sinks("chat", monday) == ("chat",)
    assert directory.sinks("ann.sms", monday) == ("ann.sms",)
    assert directory.sinks("ann", monday) == ("ann.sms",)
    assert directory.sinks("bob.call", monday) == ("bob.mail",)  # better by mail than not at all
    assert directory.sinks("oncall.call", monday) == ("ann.call",)
    assert directory.sinks("oncall.call", at("2026-01-12T10:00:00")) == ("bob.mail",)
    assert directory.sinks("web", monday) == ("cyd.sms",)
    assert directory.sinks("everyone.sms", monday) == ("ann.sms", "bob.sms", "chat")
    assert directory.sinks("loop", monday) == ("ann.sms",)
    assert directory.turns("oncall", monday, 1) == [(monday, directory.duty("oncall", monday))]
    assert directory.sinks("nobody", monday) == ()
    assert directory.sinks("nobody.sms.x", monday) == ()


@pytest.mark.parametrize(
    ("hours", "moment", "holds"),
    [
        (Hours(480, 1320, "Europe/Berlin", (0, 1, 2, 3, 4)), "2026-01-05T08:00:00", True),
        (Hours(480, 1320, "Europe/Berlin", (0, 1, 2, 3, 4)), "2026-01-05T22:00:00", False),
        (Hours(480, 1320, "Europe/Berlin", (0, 1, 2, 3, 4)), "2026-01-10T12:00:00", False),
        (Hours(1320, 360, "Europe/Berlin", (4,)), "2026-01-09T23:00:00", True),
        (Hours(1320, 360, "Europe/Berlin", (4,)), "2026-01-10T05:59:00", True),
        (Hours(1320, 360, "Europe/Berlin", (4,)), "2026-01-09T05:59:00", False),
        (Hours(1320, 360, "Europe/Berlin", (4,)), "2026-01-10T12:00:00", False),
        (Hours(0, 1440, "Europe/Berlin"), "2026-01-10T23:59:59", True),
        (Hours(480, 480, "Europe/Berlin", (0,)), "2026-01-06T07:59:00", True),
        (Hours(150, 180, "Europe/Berlin"), "2026-10-25T02:45:00", True),
    ],
)
def test_hours(hours: Hours, moment: str, holds: bool) -> None:
    assert hours.holds(at(moment)) is holds


def test_hours_as_people_write_them() -> None:
    assert Hours(480, 1320, "Europe/Berlin", (0, 1, 2, 3, 4)).text == "Mon-Fri 08:00-22:00 Europe/Berlin"
    assert Hours(1320, 360, "UTC").text == "22:00-06:00 UTC"
    assert Hours(0, 1440, "UTC", (0, 2)).text == "Mon,Wed 00:00-24:00 UTC"
    assert DAYS[6] == "Sun"
