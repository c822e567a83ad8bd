"""Hints: what is right as it is written, and hardly what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config.hints import hints, missing_files
from monitor.config.load import load
from monitor.config.model import Config, ConfigError
from monitor.kinds import installed_kinds
from probes.http import Http
from tests.config.kinds import KINDS

CHECKS = """
sinks:
  chat: {type: webhook, url: "https://chat.example.com/"}
  pager: {type: webhook, url: "https://pager.example.com/"}
checks:
  - {name: home, probe: http, url: "https://a.example.com/"}
"""
NOBODY = (
    "routes: nobody is told when the agent itself cannot see (agent.impaired), as that is no outage: "
    'add {when: "event = agent.*", to: [chat]}'
)


def hinted(tmp_path: Path, *routes: str, text: str = CHECKS) -> tuple[str, ...]:
    path = tmp_path / "checks.yaml"
    path.write_text(text + ("routes:\n" if routes else "") + "".join(f"  - {route}\n" for route in routes))
    return hints(load(path, kinds=KINDS, env={"HOME": "/home/ops"}))


@pytest.mark.parametrize(
    "routes",
    [
        (),
        ("{to: chat}",),
        ("{when: impact = outage, to: pager}", "{when: impact = degradation, to: chat}"),
        ("{when: check = home, to: pager}",),
        ("{when: impact = outage, to: pager}", "{when: event = agent.*, to: chat}"),
        ("{when: event = check.changed, to: chat}", "{to: chat}"),
        ("{when: 'event in (check.changed, service.changed) and state != unknown', to: chat}", "{to: chat}"),
    ],
)
def test_routes_that_tell_all_there_is_to_tell(tmp_path: Path, routes: tuple[str, ...]) -> None:
    assert hinted(tmp_path, *routes) == ()


@pytest.mark.parametrize(
    "routes",
    [
        ("{when: impact = outage, to: pager}",),
        ("{when: event = incident.*, to: pager}",),
        ("{when: event = check.changed, to: pager}",),
    ],
)
def test_nobody_would_be_told_of_the_agent(tmp_path: Path, routes: tuple[str, ...]) -> None:
    assert hinted(tmp_path, *routes) == (NOBODY,)


def test_without_sinks_there_is_nothing_to_hint_at(tmp_path: Path) -> None:
    assert hinted(tmp_path, text="checks: [{name: home, probe: http, url: 'https://a/'}]\n") == ()


def test_an_end_has_no_impact(tmp_path: Path) -> None:
    [hint] = hinted(tmp_path, "{to: chat}", "{when: event = check.changed and impact = outage, to: pager}")
    assert hint == (
        "routes[1].when: tells that something gets bad and never that it ends, as check.changed has no impact then: "
        "leave impact out, or tell of incident.* instead, which ends for whoever was told"
    )
    [hint] = hinted(tmp_path, "{to: chat}", "{when: 'event = *.changed and impact = *', to: pager}")
    assert "as check.changed and service.changed has no impact" in hint


def test_paths_are_relative_to_the_file_and_those_of_nothing_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_text("")
    path = tmp_path / "checks.yaml"
    path.write_text("""
checks:
  - {name: home, probe: http, url: "https://a.example.com/", ca_file: ca.pem, body_file: order.json}
  - {name: mail, probe: tls, address: "a.example.com:465", certificate: "/nowhere/agent.pem"}
  - {name: page, probe: http, url: "https://a.example.com/"}
""")
    monkeypatch.chdir("/")
    config = load(path, kinds=installed_kinds(), env={})
    assert vars_of(config, "home") == (f"{tmp_path}/ca.pem", f"{tmp_path}/order.json")
    assert missing_files(config) == (
        f'"home".body_file: there is no file {tmp_path}/order.json here: without it no look can be taken',
        '"mail".certificate: there is no file /nowhere/agent.pem here: without it no look can be taken',
    )


@pytest.mark.parametrize("written", ["{file: ca.pem}", '""'])
def test_a_path_is_no_text_from_a_file_and_not_empty(tmp_path: Path, written: str) -> None:
    (tmp_path / "ca.pem").write_text("text")
    path = tmp_path / "checks.yaml"
    path.write_text(f'checks:\n  - {{name: a, probe: tls, address: "a:1", ca_file: {written}}}\n')
    with pytest.raises(ConfigError) as refused:
        load(path, kinds=installed_kinds(), env={})
    (fault,) = refused.value.faults
    assert fault.path == "checks[0].ca_file"
    assert fault.message.startswith(("must be the path of the file itself", "is empty"))


def vars_of(config: Config, check: str) -> tuple[str | None, ...]:
    probe = config.checks[check].probe
    assert isinstance(probe, Http)
    return probe.ca_file, probe.body_file
