"""The section `actions:`: what it says, and what is said of faults in it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from monitor.config.load import load
from monitor.config.model import Config, ConfigError
from monitor.core.routing import AllOf
from monitor.core.ruling import Trigger
from tests.config.kinds import KINDS

CHECKS = "services: {shop: {title: Shop}}\nchecks: [{name: home, service: shop, probe: http, url: 'https://shop.example.com/'}]\n"


def read(folder: Path, text: str) -> Config:
    file = folder / "checks.yaml"
    file.write_text(CHECKS + text, encoding="utf-8")
    return load(file, kinds=KINDS, env={"TOKEN": "hush-hush-hush"})


def fault(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return "\n".join(map(str, caught.value.faults))


def test_an_action_is_read(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        "agent: {actions: off}\n"
        "actions: {drain: {when: service = shop and impact = outage, run: [/bin/drain, shop], on: opened,"
        " dry_run: false, cool_down: 5m, at_most: 2 per 1h, timeout: 5s}}\n",
    )
    action = config.actions["drain"]
    rule = action.rule
    assert isinstance(rule.when, AllOf)
    assert (rule.on, rule.dry_run, rule.once) == (frozenset((Trigger.OPENED,)), False, True)
    assert (rule.cool_down, rule.at_most, rule.per) == (timedelta(minutes=5), 2, timedelta(hours=1))
    assert (action.deed.run, action.deed.timeout) == (("/bin/drain", "shop"), timedelta(seconds=5))
    assert not config.agent.actions


def test_by_default_it_is_a_dry_run_with_all_brakes(tmp_path: Path) -> None:
    config = read(tmp_path, "actions: {a: {url: 'https://x.example.com/${TOKEN}', headers: {a: '${TOKEN}'}}}\n")
    rule = config.actions["a"].rule
    assert (rule.dry_run, rule.once, rule.cool_down) == (True, True, timedelta(minutes=30))
    assert (rule.at_most, rule.per) == (3, timedelta(days=1))
    assert "hush" not in repr(config.actions)
    assert config.agent.actions


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{a: {}}", "must have either run: or url:"),
        ("{a: {run: [/bin/a], url: 'https://x.example.com'}}", "must have either run: or url:"),
        ("{a: {run: drain}}", "actions.a.run: must begin with the whole path"),
        ("{a: {run: [/bin/a], body: x}}", "actions.a.body: goes with url:"),
        ("{a: {run: [/bin/a], headers: {x: y}}}", "actions.a.headers: goes with url:"),
        ("{a: {url: 'ftp://x'}}", "actions.a.url: must be a URL"),
        ("{a: {url: 'http://[x'}}", "actions.a.url: must be a URL"),
        ("{a: {run: [/bin/a], on: []}}", "actions.a.on: names nothing"),
        ("{a: {run: [/bin/a], on: changed}}", "actions.a.on"),
        ("{a: {run: [/bin/a], timeout: 1h}}", "actions.a.timeout: must be from 1s to 10m"),
        ("{a: {run: [/bin/a], cool_down: 31d}}", "actions.a.cool_down: must be from 0s to 30d"),
        ("{a: {run: [/bin/a], at_most: 51 per 1d}}", "actions.a.at_most: must be from 1 to 50"),
        ("{a: {run: [/bin/a], when: service = shpo}}", 'actions.a.when: unknown service "shpo" (did you mean shop?)'),
        ("{a: {run: [/bin/a], when: event = x}}", "actions.a.when"),
        ("{a: {run: [/bin/a], when: event = incident.opened}}", "said by on:"),
        ("{a: {rum: [/bin/a]}}", "did you mean run?"),
        ("{a: [x]}", "must be a mapping"),
        ("{' ': {run: [/bin/a]}}", "the name of an action must not be empty"),
    ],
)
def test_faults_say_where_and_what(tmp_path: Path, text: str, said: str) -> None:
    assert said in fault(tmp_path, f"actions: {text}\n")
