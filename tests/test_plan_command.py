"""`brownout plan`: what a reload would make of a journal with open incidents, by the core's own hand."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from monitor.config.load import load
from monitor.core.lived import Definition
from monitor.core.model import Change, Look, Moment, State
from monitor.core.rows import Rows
from monitor.core.world import World
from monitor.kinds import installed_kinds
from monitor.parts import plan_of
from monitor.store.sqlite import SqliteStore
from probes.contract import Observation, Reason
from tests.core.builders import moment
from tests.store.made import NOBODY

HEAD = """\
agent: {{state_dir: {state}}}
sinks: {{chat: {{type: console}}}}
routes: [{{to: [chat]}}]
services:
  shop: {{title: Web shop, outage: any of home}}
checks:
"""
HOME = '  - {name: home, service: shop, probe: http, url: "http://127.0.0.1/"}\n'
MAIL = '  - {name: mail, probe: http, url: "http://127.0.0.1/mail"}\n'
DISK = '  - {name: disk, probe: http, url: "http://127.0.0.1/disk"}\n'


def written(folder: Path, name: str, *checks: str) -> Path:
    path = folder / name
    path.write_text(HEAD.format(state=folder / "state") + "".join(checks), encoding="utf-8")
    return path


async def fill(file: Path) -> None:
    """Home and mail are down."""
    config = load(file, kinds=installed_kinds(), env={})
    store = SqliteStore(config.agent.state_dir, vantage=config.agent.vantage.name)
    world = World(plan_of(config), await store.open(), moment(0))
    changes: list[Change] = []
    for name in ("home", "mail"):
        for at in range(12):
            moments: tuple[Moment, Moment] = (moment(at), moment(at))
            decision = world.observe(Look(name, Observation(reason=Reason.REFUSED), *moments))
            changes += [decision.change] if decision.change else []
    await store.commit(changes, NOBODY)
    await store.close()


@pytest.fixture
def current(tmp_path: Path) -> Path:
    path = written(tmp_path, "checks.yaml", HOME, MAIL, DISK)
    asyncio.run(fill(path))
    return path


def planned(capsys: pytest.CaptureFixture[str], current: Path, new: Path, code: int) -> Any:
    assert main(["plan", str(new), "--current", str(current), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_end_of_an_incident_whose_check_goes_is_foreseen(
    current: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = written(current.parent, "new.yaml", HOME, DISK.replace("/disk", "/else"))
    told = planned(capsys, current, new, 1)
    assert told["sentence"] == "1 check removed, 1 changed"
    assert told["open_incidents"] == 2
    [touched] = told["incidents"]
    assert (touched["root"], touched["what"]) == ("mail", "would end: no longer watched")
    assert told["begin_anew"] == ["disk"]
    assert [event["type"] for event in told["events"] if event["sinks"]] == ["incident.resolved"]
    assert main(["plan", str(new), "--current", str(current)]) == 1
    shown = capsys.readouterr().out
    for words in ("- check mail", "~ check disk changed", "2 open incidents, 1 touched", "would end", "→ chat",
                  "begin with nothing learnt: disk"):  # fmt: skip
        assert words in shown


def test_an_incident_goes_on_with_a_check_that_is_defined_anew_or_renamed(
    current: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slower = HOME.replace('"}', '", every: 1m}')
    renamed = MAIL.replace("name: mail", "name: post, was: mail")
    told = planned(capsys, current, written(current.parent, "new.yaml", slower, renamed, DISK), 1)
    assert told["diff"]["renamed"] == {"mail": "post"}
    what = {item["root"]: item["what"] for item in told["incidents"]}
    assert what["home"] == "would go on; home would be defined anew"
    assert what["mail"] == "would go on as one of post"
    assert [event for event in told["events"] if event["sinks"]] == []


def test_nothing_is_touched_by_a_file_that_says_the_same(current: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = written(current.parent, "new.yaml", HOME, MAIL, DISK)
    before = {path.name: path.read_bytes() for path in (current.parent / "state").iterdir()}
    told = planned(capsys, current, new, 0)
    assert (told["sentence"], told["incidents"], told["events"]) == ("nothing changed", [], [])
    assert {path.name: path.read_bytes() for path in (current.parent / "state").iterdir()} == before


def test_without_a_journal_only_the_files_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    current, new = written(tmp_path, "checks.yaml", HOME), written(tmp_path, "new.yaml", HOME, MAIL)
    assert planned(capsys, current, new, 0)["journal"] is None
    assert main(["plan", str(new), "--current", str(current)]) == 0
    assert "there is no journal" in capsys.readouterr().out


def test_what_is_wrong_is_told(current: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = written(current.parent, "bad.yaml", HOME, HOME)
    assert main(["plan", str(bad), "--current", str(current)]) == 2
    assert "a reload would refuse it" in capsys.readouterr().err
    assert main(["plan", str(current), "--current", str(current), "--state-dir", "/nowhere"]) == 2
    assert "there is no /nowhere/brownout.db" in capsys.readouterr().err
    (current.parent / "state" / "brownout.db").write_bytes(b"nonsense" * 1000)
    assert main(["plan", str(current), "--current", str(current)]) == 2
    assert "cannot read" in capsys.readouterr().err


async def measured(state: Path) -> None:
    """An hour of looks at the disk, the last of which were slow; and what was in force."""
    config = load(state.parent / "checks.yaml", kinds=installed_kinds(), env={})
    store = SqliteStore(state, vantage=config.agent.vantage.name)
    await store.open()
    await store.define(Definition(datetime.now(UTC) - timedelta(hours=1), plan_of(config)))
    rows, began = Rows[str](), datetime.now(UTC) - timedelta(hours=1)
    for second in range(0, 3570, 30):
        moments = [Moment(began + timedelta(seconds=at), 100.0 + at) for at in (second, second + 0.5)]
        figures = {"response_time": 0.5 if second > 3000 else 0.1}
        rows.add("disk", config.checks["disk"], Look("disk", Observation(figures), *moments), State.UP)
    await store.record(rows, datetime.now(UTC))
    await store.close()


def test_what_new_thresholds_would_call_bad_at_once_is_foreseen(
    current: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(measured(current.parent / "state"))
    strict = DISK.replace('disk"}', 'disk", degraded: "response_time > 400ms for 3 of 5, clear < 300ms"}')
    told = planned(capsys, current, written(current.parent, "new.yaml", HOME, MAIL, strict), 1)
    [bad] = told["would_be_bad"]
    assert (bad["check"], bad["state"]) == ("disk", "degraded")
    assert "beyond its limit of 400 ms" in bad["why"]
    assert told["current_in_force"] is True
    assert main(["plan", str(current.parent / "new.yaml"), "--current", str(current)]) == 1
    assert "disk degraded: " in capsys.readouterr().out
    mild = strict.replace("400ms", "900ms")
    told = planned(capsys, current, written(current.parent, "new.yaml", HOME, MAIL, mild), 0)
    assert (told["diff"]["checks"]["changed"], told["would_be_bad"]) == (["disk"], [])


def test_a_file_that_is_not_in_force_is_said_to_be_so(current: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(measured(current.parent / "state"))
    edited = written(current.parent, "edited.yaml", HOME, MAIL, DISK.replace("/disk", "/else"))
    new = written(current.parent, "new.yaml", HOME)
    assert planned(capsys, edited, new, 1)["current_in_force"] is False
    assert main(["plan", str(new), "--current", str(edited)]) == 1
    assert "edited.yaml is not what the agent has in force" in capsys.readouterr().out
    (current.parent / "state" / "history.db").write_bytes(b"nonsense" * 1000)
    assert planned(capsys, current, new, 1)["current_in_force"] is None
