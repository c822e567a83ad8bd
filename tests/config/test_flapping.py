"""The key `flapping`: what may be written, where, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.config.diff import compare
from monitor.config.load import ConfigError, load
from monitor.config.model import Config
from monitor.core.model import Flapping
from tests.config.kinds import KINDS

Read = Callable[..., Config]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(*, defaults: str = "", check: str = "", service: str = "") -> Config:
        path = tmp_path / "checks.yaml"
        path.write_text(
            f"defaults: {{{flapping(defaults)}}}\n"
            f"services: {{shop: {{title: Web shop{flapping(service, ', ')}}}}}\n"
            f"checks:\n  - {{name: home, service: shop, probe: http, url: 'https://a/'{flapping(check, ', ')}}}\n"
            f"  - {{name: lone, probe: http, url: 'https://b/'}}\n"
        )
        return load(path, kinds=KINDS, env={"HOME": "/home/ops", "FLAPPING": "off"})

    return read


def flapping(written: str, before: str = "") -> str:
    return f"{before}flapping: {written}" if written else ""


def test_without_a_word_it_is_three_within_an_hour(read: Read) -> None:
    config = read()
    assert config.checks["home"].flapping == config.services["shop"].flapping == Flapping(3, HOUR, HOUR / 2)
    assert read(defaults="on") == config or read(defaults="on").checks == config.checks


@pytest.mark.parametrize(
    ("defaults", "own", "found"),
    [
        ("off", "", None),
        ("", "off", None),
        ("{bouts: 5}", "off", None),
        ("off", "on", Flapping()),
        ("off", "{bouts: 4}", Flapping(bouts=4)),
        ("", '"${FLAPPING}"', None),
        ("{bouts: 5, within: 2h}", "", Flapping(5, 2 * HOUR, HOUR)),
        ("{bouts: 5, within: 2h}", "on", Flapping(5, 2 * HOUR, HOUR)),
        ("{bouts: 5, within: 2h}", "{within: 10m}", Flapping(5, 10 * MINUTE, 5 * MINUTE)),
        ("{quiet: 20m}", "{within: 2h}", Flapping(3, 2 * HOUR, 20 * MINUTE)),
        ("", "{bouts: 2, within: 1m, quiet: 7d}", Flapping(2, MINUTE, timedelta(days=7))),
        ("", "{}", Flapping()),
    ],
)
def test_what_is_nearest_counts_key_by_key(read: Read, defaults: str, own: str, found: Flapping | None) -> None:
    config = read(defaults=defaults, check=own)
    assert config.checks["home"].flapping == found
    config = read(defaults=defaults, service=own)
    assert config.services["shop"].flapping == found
    assert config.services["lone"].flapping == config.checks["lone"].flapping


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("of", 'flapping: unknown value "of" (did you mean off?); figures of your own are a mapping such as {bouts:'),
        ("3", 'flapping: unknown value "3": known are on, off; figures of your own are a mapping such as'),
        ("[3, 1h]", "flapping: must be a single text, not a list; figures of your own are a mapping such as"),
        ("{bouts: 1}", "flapping.bouts: must be at least 2: the first change for the worse is always told"),
        ("{bouts: 1000}", "flapping.bouts: must be at most 100; off tells every change"),
        ("{bouts: many}", "flapping.bouts: "),
        ("{within: 30s}", "flapping.within: must be 1m to 7d"),
        ("{within: 30}", 'flapping.within: "30" has no unit: write 30s'),
        ("{quiet: 8d}", "flapping.quiet: must be 1m to 7d"),
        ("{bout: 4}", 'flapping: unknown key "bout" (did you mean bouts?)'),
    ],
)
@pytest.mark.parametrize("where", ["defaults", "check", "service"])
def test_faults(read: Read, where: str, written: str, fault: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(**{where: written})
    [said] = {str(item).partition(": ")[2] for item in error.value.faults}
    assert fault in said


def test_all_faults_of_it_are_told_at_once(read: Read) -> None:
    with pytest.raises(ConfigError) as error:
        read(check="{bouts: 1, within: 1s, quit: 3m}")
    assert len(error.value.faults) == 3


def test_a_reload_tells_that_it_has_changed(read: Read) -> None:
    before = read()
    assert compare(before, read(check="{bouts: 4}")).sentence == "1 check changed"
    assert compare(before, read(service="off")).sentence == "1 service changed"
    assert compare(before, read(service="on")).sentence == "nothing changed"
