"""What is told of two configurations, and what is the same object afterwards."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from monitor.config.diff import compare, in_force
from monitor.config.load import find_agent, load
from monitor.config.model import Config, ConfigError
from monitor.kinds import installed_kinds

BEFORE = """\
agent: {listen: "127.0.0.1:1", state_dir: state, vantage: {name: here}, limits: {looks: 10}}
sinks:
  chat: {type: console}
  hook: {type: webhook, url: "https://hooks.example.com/a"}
services:
  shop: {title: Web shop}
  api: {title: API}
checks:
  - {name: home, service: shop, probe: tcp, address: "192.0.2.1:80"}
  - {name: cart, service: shop, probe: tcp, address: "192.0.2.2:80"}
  - {name: rest, service: api, probe: tcp, address: "192.0.2.3:80"}
  - {name: alone, probe: tcp, address: "192.0.2.4:80"}
routes:
  - {to: [chat]}
"""
AFTER = """\
agent:
  listen: "127.0.0.1:2"
  state_dir: state
  vantage: {name: here}
  limits: {looks: 20}
sinks:
  chat: {type: console}
  hook: {type: webhook, url: "https://hooks.example.com/b"}
  other: {type: console}
services:
  shop: {title: The shop}
checks:
  - {name: home, service: shop, probe: tcp, address: "192.0.2.1:80", degraded: connect_time > 1s}
  - {name: cart, service: shop, probe: tcp, address: "192.0.2.2:80"}
  - {name: single, probe: tcp, address: "192.0.2.4:80", was: [alone]}
  - {name: new, probe: tcp, address: "192.0.2.5:80"}
  - {name: off, probe: tcp, address: "192.0.2.6:80", enabled: false}
routes:
  - {to: [chat, hook]}
"""


def read(folder: Path, text: str) -> Config:
    file = folder / "checks.yaml"
    file.write_text(text)
    return load(file, kinds=installed_kinds(), env={"HOME": "/nonexistent"})


def test_everything_that_is_different_is_told(tmp_path: Path) -> None:
    diff = compare(read(tmp_path, BEFORE), read(tmp_path, AFTER))
    assert (diff.checks.added, diff.checks.removed, diff.checks.changed) == (("new",), ("rest",), ("home",))
    assert diff.renamed == (("alone", "single"),)
    assert diff.unchanged == 1
    assert (diff.services.added, diff.services.removed, diff.services.changed) == ((), ("api",), ("shop",))
    assert (diff.sinks.added, diff.sinks.changed) == (("other",), ("hook",))
    assert diff.sentence == (
        "1 check added, 1 removed, 1 changed, 1 renamed; 1 service removed, 1 changed; 1 sink added, 1 changed; "
        "routes changed; agent.limits changed; restart needed for agent.listen"
    )
    assert diff.as_json()["restart"] == ["agent.listen"]
    assert diff.as_json()["renamed"] == {"alone": "single"}


def test_nothing_is_told_of_the_same_file(tmp_path: Path) -> None:
    diff = compare(read(tmp_path, BEFORE), read(tmp_path, BEFORE))
    assert diff.sentence == "nothing changed"
    assert not diff.checks
    assert diff.unchanged == 4


def test_what_is_equal_stays_the_same_object(tmp_path: Path) -> None:
    before, after = read(tmp_path, BEFORE), read(tmp_path, AFTER)
    kept = in_force(before, after)
    assert kept.checks["cart"] is before.checks["cart"]
    assert kept.checks["home"].probe is before.checks["home"].probe
    assert kept.checks["home"].conditions == after.checks["home"].conditions
    assert kept.checks["single"].probe is before.checks["alone"].probe
    assert kept.sinks["chat"] is before.sinks["chat"]
    assert kept.sinks["hook"] is after.sinks["hook"]
    assert kept.services["shop"] == after.services["shop"]
    assert kept.redactor is before.redactor
    assert in_force(before, read(tmp_path, BEFORE)).routes is before.routes


def test_what_needs_a_restart_keeps_its_value_until_then(tmp_path: Path) -> None:
    before, after = read(tmp_path, BEFORE), read(tmp_path, AFTER)
    kept = in_force(before, after)
    assert kept.agent.listen == before.agent.listen
    assert kept.agent.limits == after.agent.limits
    # Until the restart it is told by every reload.
    assert compare(kept, after).restart == ("agent.listen",)


@pytest.mark.parametrize(("limits", "told"), [("{looks: 10}", ()), ("{looks: 11}", ("agent.limits",))])
def test_live_settings_are_told_apart(tmp_path: Path, limits: str, told: tuple[str, ...]) -> None:
    after = read(tmp_path, BEFORE.replace("{looks: 10}", limits))
    diff = compare(read(tmp_path, BEFORE), after)
    assert (diff.agent, diff.restart) == (told, ())


def test_a_renamed_check_that_changed_is_both(tmp_path: Path) -> None:
    text = BEFORE.replace("name: alone, probe: tcp", "name: single, was: [alone], every: 1m, probe: tcp")
    diff = compare(read(tmp_path, BEFORE), read(tmp_path, text))
    assert diff.sentence == "1 check changed, 1 renamed"
    assert diff.unchanged == 3


def test_the_redactor_knows_old_and_new_secrets(tmp_path: Path) -> None:
    file = tmp_path / "hook.secret"
    old, new = (
        f"whsec_{b64encode(text).decode()}" for text in (b"the old key of the hook!", b"the new key of the hook!")
    )
    text = BEFORE.replace('/a"}', '/a", secret: {file: hook.secret}}')
    file.write_text(old)
    before = read(tmp_path, text)
    file.write_text(new)
    after = read(tmp_path, text)
    assert compare(before, after).sinks.changed == ("hook",)
    held = before.redactor.text
    assert before.redactor.learn(after.redactor)
    assert not before.redactor.learn(after.redactor), "there is nothing new"
    assert held(f"{old} {new}") == "*** ***"


def test_the_agent_of_a_file_is_found_whatever_else_is_wrong_with_it(tmp_path: Path) -> None:
    file = tmp_path / "checks.yaml"
    file.write_text(
        'agent: {listen: "127.0.0.1:7", state_dir: here, tokens: {a: {token: "${NOT_SET_HERE}", scopes: [admin]}}}\n'
        "bad: section\nchecks: [{name: x, probe: nonsense}]\n"
    )
    agent = find_agent(file, env={"HOME": "/nonexistent"})
    assert (agent.listen.port, agent.state_dir) == (7, tmp_path / "here")
    file.write_text("agent: {listen: nonsense}\n")
    with pytest.raises(ConfigError):
        find_agent(file, env={})
    file.write_text("agent: [\n")
    with pytest.raises(ConfigError):
        find_agent(file, env={})
    file.write_text("checks: []\n")
    assert find_agent(file, env={"HOME": "/nonexistent"}).listen.port == 9788
