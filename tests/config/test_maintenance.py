"""The `maintenance:` section: windows, what they cover, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitor.config.diff import compare
from monitor.config.load import ConfigError, load
from monitor.config.model import Config
from monitor.core.maintenance import Span
from tests.config.kinds import KINDS

CHECKS = """
services: {shop: {title: Web shop, labels: {team: web}}}
checks:
  - {name: home, probe: http, url: "https://a.example.com/", service: shop}
  - {name: db, id: database, probe: http, url: "https://b.example.com/", labels: {tier: data}}
maintenance:
"""
BERLIN = ZoneInfo("Europe/Berlin")
Read = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(*windows: str, more: str = "") -> Config:
        path = tmp_path / "checks.yaml"
        path.write_text(more + CHECKS + "".join(f"  - {window}\n" for window in windows))
        return load(path, kinds=KINDS, env={"HOME": "/home/ops"})

    return read


def unix(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def test_a_window_that_comes_once(read: Read) -> None:
    [window] = read(
        "{name: move, checks: [home, db], services: shop, labels: {tier: data}, from: 2026-12-01 22:00, "
        "until: 2026-12-02T02:00:30, timezone: Europe/Berlin, why: the database moves}"
    ).maintenance
    assert window.once == Span(unix("2026-12-01 22:00"), unix("2026-12-02 02:00:30"))
    assert (window.id, window.why, window.by) == ("move", "the database moves", "")
    assert (window.scope.checks, window.scope.services) == (("home", "database"), ("shop",))
    assert window.scope.labels == {"tier": "data"}
    [there] = read("{name: w, checks: home, from: 2026-12-01T22:00Z, until: '2026-12-02 00:00+01:00'}").maintenance
    assert there.once == Span(unix("2026-12-01 22:00", ZoneInfo("UTC")), unix("2026-12-02 00:00"))


def test_windows_around_the_change_of_clocks(read: Read) -> None:
    autumn, spring = read(
        "{name: a, checks: home, from: 2026-10-25 02:30, until: 2026-10-25 02:45, timezone: Europe/Berlin}",
        "{name: b, checks: home, from: 2027-03-28 02:30, until: 2027-03-28 04:00, timezone: Europe/Berlin}",
    ).maintenance
    assert autumn.once is not None
    assert autumn.once.end - autumn.once.begin == 75 * 60, "the hour that comes twice is in it as a whole"
    assert spring.once is not None
    assert spring.once.end - spring.once.begin == 30 * 60


def test_a_window_that_recurs(read: Read) -> None:
    [window] = read(
        "{name: w, services: shop, schedule: '0 3 * * sun', for: 2h, timezone: Europe/Berlin}"
    ).maintenance
    for day, begin in (("2026-10-25", "2026-10-25 03:00"), ("2027-03-28", "2027-03-28 03:00")):
        span = window.span(unix(f"{day} 00:30"))
        assert span == Span(unix(begin), unix(begin) + 7200), "two hours, whatever the clocks do"
        assert window.span(unix(begin)) == span
        assert window.span(unix(begin) + 7199) == span
        assert window.span(unix(begin) + 7200) != span


def test_labels_of_a_service_and_of_defaults_count(read: Read) -> None:
    windows = read(
        "{name: a, labels: {team: web}, from: 2026-12-01 22:00, until: 2026-12-02 22:00}",
        "{name: b, labels: {site: x}, from: 2026-12-01 22:00, until: 2026-12-02 22:00}",
        more="defaults: {labels: {site: x}}",
    ).maintenance
    assert [window.scope.text for window in windows] == ["team=web", "site=x"]


FROM = "from: 2026-12-01 22:00, until: 2026-12-02 22:00"


@pytest.mark.parametrize(
    ("window", "fault"),
    [
        (
            "{name: w, checks: hme, " + FROM + "}",
            'maintenance[0].checks: unknown check "hme" (did you mean home?)',
        ),
        ("{name: w, services: [shp], " + FROM + "}", 'services[0]: unknown service "shp" (did you mean shop?)'),
        ("{name: w, labels: {tier: date}, " + FROM + "}", "labels: no check has tier=date: see the labels under"),
        ("{name: w, " + FROM + "}", "covers nothing: name checks, services or labels"),
        ("{checks: home, " + FROM + "}", '"name" is missing'),
        ("{name: w, checks: home}", "has neither: write from and until for a window that comes once, else schedule"),
        ("{name: w, checks: home, for: 2h, " + FROM + "}", "has both: write from and until"),
        ("{name: w, checks: home, from: 2026-12-01 22:00}", '"until" is missing'),
        ("{name: w, checks: home, until: 2026-12-01 22:00}", '"from" is missing'),
        ("{name: w, checks: home, schedule: 0 3 * * *}", '"for" is missing'),
        ("{name: w, checks: home, for: 2h}", '"schedule" is missing'),
        ("{name: w, checks: home, from: tomorrow, until: 2026-12-01}", "is not a time such as 2026-12-01 22:00"),
        ("{name: w, checks: home, from: 2026-02-30 22:00, until: 2026-12-01 00:00}", '"2026-02-30 22:00" is not a'),
        ("{name: w, checks: home, from: 2026-12-01 22:00, until: 2026-12-01 21:00}", "until: is not after from"),
        ("{name: w, checks: home, timezone: Europe/Berln, " + FROM + "}", "timezone: 'Europe/Berln' is not known"),
        ("{name: w, checks: home, schedule: 0 3 * *, for: 2h}", "schedule: '0 3 * *' has 4 fields, not five"),
        ("{name: w, checks: home, schedule: '0 3 * * *', for: 24h}", "for: is as long as from one time of the"),
        ("{name: w, checks: home, schedule: '0 3 * * *', for: 0s}", "for: must be longer than nothing"),
        ("{name: w, checks: home, schedule: '0 3 * * *', for: 2}", 'for: "2" has no unit: write 2s'),
        ("{name: w, checks: home, unti: x, " + FROM + "}", 'unknown key "unti" (did you mean until?)'),
        ("home", "must be a mapping of keys to values"),
    ],
)
def test_faults(read: Read, window: str, fault: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(window)
    assert any(fault in str(item) for item in error.value.faults), [str(item) for item in error.value.faults]


def test_names_are_unique_and_all_faults_are_told_at_once(read: Read) -> None:
    with pytest.raises(ConfigError) as error:
        read("{name: w, checks: home, " + FROM + "}", "{name: w, checks: [x, y], " + FROM + "}", "{name: v}")
    assert len(error.value.faults) == 5


def test_a_changed_window_is_told(read: Read) -> None:
    before = read("{name: w, checks: home, " + FROM + "}")
    assert not compare(before, read("{name: w, checks: home, " + FROM + "}")).maintenance
    recurring = "{name: w, checks: home, schedule: '0 3 * * *', for: 2h}"
    again = compare(read(recurring), read(recurring))
    assert again.sentence == "nothing changed"
    assert compare(before, replace(before, maintenance=())).sentence == "maintenance changed"


def test_flapping_is_on_unless_turned_off(read: Read) -> None:
    config = read()
    assert all(item.flapping is not None for item in (*config.checks.values(), *config.services.values()))
    config = read(more="defaults: {flapping: off}")
    assert not any(item.flapping for item in (*config.checks.values(), *config.services.values()))
