"""The sections people, groups and oncall: what they come to, and what is wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.config.hours import parse_hours
from monitor.config.load import load
from monitor.config.model import Config, ConfigError
from monitor.core.rota import Duty
from monitor.kinds import installed_kinds
from monitor.parts import plan_of

CHECKS = """
checks:
  - {name: home, probe: tcp, address: "127.0.0.1:1"}
"""
PEOPLE = """
sinks: {chat: {type: console}}
people:
  ann: {timezone: Europe/Berlin, sms: {type: console}, call: {type: console}}
  bob: {timezone: America/New_York, awake: "07:00-23:00", sms: {type: console}, call: {type: console}}
groups:
  leads: [ann, chat]
"""
TURNS = """
oncall:
  rotation: [ann, bob]
  from: 2026-11-23
  handover: Mon 09:00
  timezone: Europe/Berlin
  overrides: [{who: bob, from: "2026-11-25 02:30", until: "2026-11-25T12:00Z"}]
"""
ROUTE = """
routes: [{to: [chat], escalate: [{after: 5m, to: oncall.sms}, {after: 30m, to: everyone}]}]
"""
MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)


def read(text: str, folder: Path) -> Config:
    path = folder / "checks.yaml"
    path.write_text(text + CHECKS, encoding="utf-8")
    return load(
        path, kinds=installed_kinds(), env={"SECRET_CALENDAR": "https://calendar.example.com/private-4711.ics"}
    )


def test_ways_are_sinks_and_names_are_resolved(tmp_path: Path) -> None:
    config = read(PEOPLE + TURNS + ROUTE, tmp_path)
    assert list(config.sinks) == ["chat", "ann.sms", "ann.call", "bob.sms", "bob.call"]
    roster = plan_of(config).roster
    assert roster.sinks("oncall.sms", MONDAY) == ("ann.sms",)
    assert roster.sinks("oncall.call", MONDAY + timedelta(days=7)) == ("bob.call",)
    assert roster.sinks("leads", MONDAY) == ("ann.sms", "chat")
    assert roster.sinks("everyone", MONDAY) == ("ann.sms", "bob.sms")
    assert roster.sinks("everyone.call", MONDAY) == ("ann.call", "bob.call")
    rota = config.oncall.rotas["oncall"]
    override = datetime(2026, 11, 25, 1, 30, tzinfo=UTC)
    until = datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert rota.duty(override, (), config.people) == Duty(("bob",), "override", until)


def test_without_routes_peoples_ways_are_told_nothing_where_there_are_sinks(tmp_path: Path) -> None:
    assert read(PEOPLE, tmp_path).routes[0].to == ("chat",)
    assert read("people: {ann: {sms: {type: console}}}", tmp_path).routes[0].to == ("everyone",)


def test_a_calendars_address_is_a_secret(tmp_path: Path) -> None:
    config = read(PEOPLE + 'oncall: {calendar: "${SECRET_CALENDAR}", refresh: 5m}', tmp_path)
    calendar = config.oncall.calendars["oncall"]
    assert "4711" not in repr(calendar)
    assert "4711" not in config.redactor.text(calendar.url.reveal())
    assert config.oncall.rotas["oncall"].people == ("ann", "bob")
    assert calendar.refresh == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("people: {ann: {}}", "people.ann: cannot be reached: write a way, as in sms: {type: ...}"),
        ("people: {ann: 3}", "people.ann: must be a mapping of ways, as in sms: {type: ...}"),
        ("people: {a.b: {sms: {type: console}}}", "the name of a person holds a dot"),
        ("people: {ann: {a.b: {type: console}}}", "the name of a way holds no dot"),
        ("people: {ann: {sms: {}}}", 'people.ann.sms: "type" is missing'),
        ("people: {ann: {sms: {type: console}, timezon: UTC}}", 'unknown key "timezon" (did you mean timezone?)'),
        ("people: {ann: {sms: {type: console}, timezone: Nowhere}}", "'Nowhere' is not known here"),
        ("people: {ann: {sms: {type: console}, awake: 8-22}}", '"8-22" are no hours such as 08:00-22:00'),
        (PEOPLE + "  chat: [ann]", '"chat" is the name of something else already'),
        (PEOPLE + "  all: [eve]", 'groups.all[0]: unknown sink, person or group "eve"'),
        (PEOPLE + "  all: [ann.fax]", 'groups.all[0]: ann has no way "fax": write one under people'),
        (PEOPLE + "  all: {ann: 1}", "must be a list of people"),
        (PEOPLE + "routes: [{to: oncall}]", 'unknown sink, person or group "oncall"'),
        (PEOPLE + "routes: [{to: leads.fax}]", 'ann has no way "fax"'),
        (PEOPLE + "routes: [{to: leads.}]", "unknown sink"),
        (PEOPLE + "oncall: {}", "nobody is ever on call: write rotation"),
        (PEOPLE + "oncall: {rotation: [eve], from: 2026-11-23}", 'oncall.rotation[0]: unknown person "eve"'),
        (PEOPLE + "oncall: {rotation: [ann]}", '"from" is missing: the day on which the turn of ann begins'),
        (PEOPLE + "oncall: {rotation: [ann], from: 23.11.2026}", '"23.11.2026" is no date such as 2026-11-23'),
        (PEOPLE + "oncall: {rotation: [ann], from: 2026-11-24, handover: Mon 09:00}", "is a Tue, and handover"),
        (PEOPLE + "oncall: {rotation: [ann], from: 2026-11-23, handover: 24:00}", "24:00 is 00:00 of the next day"),
        (PEOPLE + "oncall: {rotation: [ann], from: 2026-11-23, handover: 9}", '"9" is no time such as 09:00'),
        (PEOPLE + "oncall: {rotation: [ann], from: 2026-11-23, every: 36h}", "must be whole days"),
        (PEOPLE + "oncall: {rotation: [ann], from: 2026-11-23, every: 3d, handover: mon 9:00}", "turns last whole"),
        (PEOPLE + "oncall: {rotation: [ann], from: 2026-11-23, refresh: 5m}", "oncall.refresh: is for a calendar"),
        (PEOPLE + "oncall: {calendar: 'https://x/', handover: 09:00}", "oncall.handover: is for a rotation"),
        (PEOPLE + "oncall: {calendar: 'webcal://x/'}", "oncall.calendar: must be a URL such as https://"),
        (PEOPLE + "oncall: {calendar: 'https://x/', refresh: 5s}", "oncall.refresh: must be at least 1m"),
        (PEOPLE + TURNS.replace("25T12", "24T12"), "overrides[0].until: is not after from"),
        (PEOPLE + TURNS.replace("who: bob", "who: eve"), 'overrides[0].who: unknown person "eve"'),
        ("sinks: {ann.sms: {type: console}}\npeople: {ann: {sms: {type: console}}}", "people have a way of"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read(text + "\n", tmp_path)
    assert any(fault in str(item) for item in error.value.faults), [str(item) for item in error.value.faults]


def test_a_group_may_name_itself(tmp_path: Path) -> None:
    config = read(PEOPLE + "  all: [all, leads, bob]\nroutes: [{to: all.sms}]\n", tmp_path)
    assert plan_of(config).roster.sinks("all.sms", MONDAY) == ("ann.sms", "chat", "bob.sms")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Mon-Fri 08:00-22:00 Europe/Berlin", "Mon-Fri 08:00-22:00 Europe/Berlin"),
        ("Sat-Mon,wed 8:00 - 9:30", "Mon,Wed,Sat,Sun 08:00-09:30 UTC"),
        ("22:00-06:00", "22:00-06:00 UTC"),
        ("06:00-00:00", "06:00-24:00 UTC"),
    ],
)
def test_hours_are_read(text: str, shown: str) -> None:
    assert parse_hours(text).text == shown


@pytest.mark.parametrize("text", ["", "always", "Foo 08:00-09:00", "08:00-25:00", "08:60-09:00", "8:00-9:00 Nowhere"])
def test_hours_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"hours such as|no day|no time|not known"):
        parse_hours(text)
