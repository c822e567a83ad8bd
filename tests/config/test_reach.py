"""Hints about who is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config.hints import hints, missing_files
from monitor.config.load import load
from monitor.config.model import Config
from monitor.kinds import installed_kinds

WRITTEN = """
sinks:
  chat: {type: console}
  log: {type: console}
people:
  ann: {sms: {type: console}, call: {type: console}}
  bob: {sms: {type: console}}
groups:
  web: [ann]
oncall: {rotation: [ann, bob], from: 2026-11-23}
escalations:
  page: [{to: chat}, {after: 5m, to: oncall.sms}, {after: 9m, to: web}]
checks:
  - {name: home, probe: tcp, address: "127.0.0.1:1", labels: {tier: web}}
routes:
  - {when: "label.tier = web or not label.tier = db", escalate: page}
  - {to: log}
"""
UNTOLD = "no route leads there, so nobody is told by it: name it in to: of a route or of an escalation that one has"

LEFT_OUT = (
    "groups.everyone: bob is not in it: it takes the place of the group of that name that is there without being "
    "written, which is all people: add bob, or call yours otherwise"
)


def loaded(folder: Path, *replaced: tuple[str, str]) -> Config:
    text = WRITTEN
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    path = folder / "checks.yaml"
    path.write_text(text)
    return load(path, kinds=installed_kinds(), env={})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("log}\n", "log, remind: 1h}\n"),
        ("  log: {type: console}", "  log: {type: console, fallback: {to: bob.sms}}"),
        ("after: 9m, to: web", "after: 9m, to: web.sms"),
        ("after: 9m, to: web", "after: 9m, to: [web, everyone]"),
        ("web: [ann]", "web: [web, ann]"),
        ("web: [ann]", "web: [everyone]\n  everyone: [ann, bob.sms, chat]"),
    ],
)
def test_all_are_reached(tmp_path: Path, old: str, new: str) -> None:
    assert hints(loaded(tmp_path, (old, new))) == ()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("after: 9m, to: web", "after: 9m, to: ann", [f"groups.web: {UNTOLD}"]),
        ("web: [ann]", "web: [ann]\n  everyone: [web, chat]", [LEFT_OUT, f"groups.everyone: {UNTOLD}"]),
        (
            "after: 5m, to: oncall.sms",
            "after: 5m, to: ann.call",
            [f"oncall: {UNTOLD}", "people.bob: no route leads there, so bob is told nothing"],
        ),
        (
            "  page:",
            "  other: [{to: chat}, {after: 1h, to: chat}]\n  page:",
            ["escalations.other: no route has it, so nobody is called by it: write escalate: other at one"],
        ),
        (
            "web: [ann]",
            "web: [web]",
            ["routes[0].escalate, after 9m: nobody stands behind web, so nobody is told: give the group a member"],
        ),
        (
            "{to: log}",
            "{to: none}",
            ["routes[1].to: nobody stands behind none, so nobody is told: give the group a member"],
        ),
        (
            "or not label.tier",
            "or not label.teir",
            ['routes[0].when: unknown label "teir" (did you mean tier?): nothing that is watched has it'],
        ),
    ],
)
def test_who_is_not(tmp_path: Path, old: str, new: str, told: list[str]) -> None:
    nobody = ("groups:", "groups:\n  none: []") if "none" in new else ("groups:", "groups:")
    assert list(hints(loaded(tmp_path, (old, new), nobody))) == told


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    actions = (
        "\nactions:\n  a: {run: /nowhere/drain shop}\n  b: {run: [/nowhere/drain, shop]}\n  c: {run: [/bin/sh]}\n"
    )
    actions += "  d: {url: 'http://127.0.0.1/', when: label.tier = web}\nchecks:"
    assert missing_files(loaded(tmp_path, ("\nchecks:", actions))) == (
        (
            "actions.a.run: there is no program /nowhere/drain shop here: "
            "write its arguments apart, as in [program, argument]"
        ),
        "actions.b.run: there is no program /nowhere/drain here",
    )
