"""Who is on call by an iCalendar: series, exceptions, whole days, names; and files that are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitor import almanac
from monitor.core.hours import Hours
from monitor.core.rota import Person

NOW = datetime(2026, 3, 25, 12, tzinfo=UTC)
AWAKE = Hours(480, 1320, "UTC")
PEOPLE = {
    "ann": Person("ann", AWAKE, {}, ("Ann Example", "ann@example.com")),
    "bob": Person("bob", AWAKE, {}),
}
NAMES = almanac.known_names(PEOPLE)


def calendar(*entries: str) -> bytes:
    bodies = "".join(
        f"BEGIN:VEVENT\nUID:{number}@example.com\nDTSTAMP:20260101T000000Z\n{entry.strip()}\nEND:VEVENT\n"
        for number, entry in enumerate(entries)
    )
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//test//EN\n{bodies}END:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


def shifts(text: bytes, zone: str = "Europe/Berlin") -> list[tuple[str, str, str]]:
    page = almanac.read(text, NAMES, zone, NOW)
    return [(item.who, item.begin.isoformat(), item.end.isoformat()) for item in page.shifts]


def test_a_series_goes_by_the_clock_of_its_zone_and_an_exception_is_one() -> None:
    text = calendar(
        "DTSTART;TZID=Europe/Berlin:20260319T090000\nDTEND;TZID=Europe/Berlin:20260326T090000\n"
        "RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3\nEXDATE;TZID=Europe/Berlin:20260416T090000\nSUMMARY:Ann Example on call"
    )
    assert shifts(text) == [
        ("ann", "2026-03-19T08:00:00+00:00", "2026-03-26T08:00:00+00:00"),
        ("ann", "2026-04-02T07:00:00+00:00", "2026-04-09T07:00:00+00:00"),
    ]


def test_whole_days_and_times_without_a_zone_go_by_the_rotas_clock() -> None:
    text = calendar(
        "DTSTART;VALUE=DATE:20260329\nDTEND;VALUE=DATE:20260330\nSUMMARY:bob",
        "DTSTART:20260401T020000\nDTEND:20260401T040000\nSUMMARY:On call: BOB",
    )
    assert shifts(text) == [
        ("bob", "2026-03-28T23:00:00+00:00", "2026-03-29T22:00:00+00:00"),
        ("bob", "2026-04-01T00:00:00+00:00", "2026-04-01T02:00:00+00:00"),
    ]


def test_people_are_found_by_their_names_and_as_attendees() -> None:
    when = "DTSTART:20260401T000000Z\nDTEND:20260402T000000Z\n"
    page = almanac.read(
        calendar(
            when + "SUMMARY:On call\nATTENDEE;CN=Bob;PARTSTAT=DECLINED:mailto:bob@x\nATTENDEE:MAILTO:ann@example.com",
            when + "SUMMARY:Bobsleigh\nLOCATION:bob",
            when + "SUMMARY:bob\nSTATUS:CANCELLED",
        ),
        NAMES, "UTC", NOW,
    )  # fmt: skip
    assert [item.who for item in page.shifts] == ["ann"]
    assert page.strange == 2


def test_only_some_months_are_looked_at() -> None:
    text = calendar(
        "DTSTART:20200101T000000Z\nDTEND:20200102T000000Z\nRRULE:FREQ=DAILY\nSUMMARY:ann",
        "DTSTART:20310101T000000Z\nDTEND:20310102T000000Z\nSUMMARY:ann",
    )
    found = almanac.read(text, NAMES, "UTC", NOW).shifts
    assert 139 <= len(found) <= 143
    assert found[-1].begin < NOW + almanac.AHEAD


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "no calendar"),
        (b"<html>Please log in</html>", "no calendar"),
        (b"\x00\xff" * 100, "no calendar"),
        (calendar("DTSTART:20260401T000000Z\nRRULE:FREQ=SECONDLY\nSUMMARY:ann"), "more often than daily"),
        (calendar("DTSTART:20260401T000000Z\nRRULE:FREQ=DAILY;BYMINUTE=1,2\nSUMMARY:ann"), "more often than daily"),
        (calendar("DTSTART:never\nSUMMARY:ann"), "no calendar"),
        (calendar(*["DTSTART:20260401T000000Z\nSUMMARY:ann"] * 5001), "more than 5,000 entries"),
        (b" " * (almanac.MOST_BYTES + 1), "larger than 5 MB"),
    ],
)
def test_what_is_no_calendar_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(almanac.Unreadable, match=why):
        almanac.read(text, NAMES, "UTC", NOW)


def test_an_entry_without_an_end_is_no_shift() -> None:
    assert shifts(calendar("DTSTART:20260401T000000Z\nSUMMARY:ann")) == []
    assert timedelta(0) < almanac.BEFORE


async def test_a_process_of_its_own_reads_what_the_agent_reads() -> None:
    text = calendar(
        "DTSTART;VALUE=DATE:20260329\nDTEND;VALUE=DATE:20260330\nRRULE:FREQ=WEEKLY\nSUMMARY:bob",
        "DTSTART:20260401T000000Z\nDTEND:20260402T000000Z\nSUMMARY:Zoë \U0001f4df",
    )
    assert await almanac.read_apart(text, NAMES, "Europe/Berlin", NOW) == almanac.read(
        text, NAMES, "Europe/Berlin", NOW
    )
    with pytest.raises(almanac.Unreadable, match="no calendar"):
        await almanac.read_apart(b"<html>Log in</html>", NAMES, "UTC", NOW)


async def test_what_takes_too_long_to_read_is_given_up() -> None:
    """A single entry that never happens is looked for until the year 9999: for 14 s, and there may be 200 of them."""
    never = "DTSTART:20200101T090000Z\nDTEND:20200101T100000Z\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30\nSUMMARY:ann"
    with pytest.raises(almanac.Laborious, match="longer than"):
        await almanac.read_apart(calendar(*[never] * 200), NAMES, "UTC", NOW, limit=1.0)
