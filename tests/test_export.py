"""`brownout export`: a state directory that an agent has left, read without touching it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from monitor.core.model import Change, Look, Moment, State, Transition
from monitor.core.rows import Rows
from monitor.store.sqlite import SqliteStore
from probes.contract import Observation
from tests.core.builders import check
from tests.store.made import NOBODY, transition, whole_change

NOW = datetime.now(UTC).replace(microsecond=0)
SECRET_ADDRESS = 'probe: http, url: "http://user:192.0.2.1@127.0.0.1/"'
CHECKS = """\
agent: {{state_dir: {state}}}
checks:
  - {{name: "=home page", id: home, probe: http, url: "http://127.0.0.1/"}}
  - {{name: fresh, probe: http, url: "http://127.0.0.1/"}}
"""


async def fill(folder: Path) -> None:
    store = SqliteStore(folder)
    await store.open()
    rows = Rows[str]()
    for number in range(60):
        at = NOW - timedelta(hours=20) + timedelta(minutes=5 * number)
        moment = Moment(at, 300.0 * number)
        measured = {"response_time": 0.25, "body_size": -5.0}
        rows.add("home", check(), Look("home", Observation(measured), moment, moment), State.UP)
    await store.record(rows, NOW)
    change = whole_change()
    await store.commit([Change(change.checks, change.services, change.transitions, change.incidents)], NOBODY)
    await store.commit([change], NOBODY)
    while await store.tend(NOW):
        pass
    await store.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    asyncio.run(fill(tmp_path / "state"))
    path = tmp_path / "checks.yaml"
    path.write_text(CHECKS.format(state=tmp_path / "state"), encoding="utf-8")
    return path


def exported(capsys: pytest.CaptureFixture[str], *words: object) -> list[Any]:
    assert main(["export", *map(str, words)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def cells(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, str]]:
    assert main(["export", "--format", "csv", *map(str, words)]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_looks_with_their_units(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in (file.parent / "state").iterdir())
    found = exported(capsys, file, "--check", "=home page")
    assert len(found) == 60
    assert found[0]["check"] == "home"
    assert found[0]["measurements"]["response_time"] == {"value": 0.25, "unit": "seconds"}
    since, until = (NOW - timedelta(hours=hours) for hours in (20, 18))
    assert len(exported(capsys, file, "--since", since.isoformat(), "--until", until.isoformat())) == 24
    assert sorted(path.name for path in (file.parent / "state").iterdir()) == before, "nothing is left behind"


def test_csv_has_a_row_for_each_measurement(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = cells(capsys, "--state-dir", file.parent / "state")
    assert len(found) == 120
    assert {row["measurement"]: (row["value"], row["unit"]) for row in found} == {
        "response_time": ("0.25", ""), "body_size": ("-5.0", ""),
    }  # fmt: skip


@pytest.mark.parametrize(("step", "span"), [("5m", 300), ("1h", 3600), ("1d", 86400)])
def test_rollups_lose_no_look(file: Path, capsys: pytest.CaptureFixture[str], step: str, span: int) -> None:
    found = exported(capsys, file, "--what", "rollups", "--step", step, "--since", "2d")
    assert sum(period["looks"] for period in found) == 60
    assert {period["span_seconds"] for period in found} == {span}
    assert len({period["at"] for period in found}) == len(found)
    rows = cells(capsys, file, "--what", "rollups", "--step", step, "--since", "2d")
    assert len(rows) == sum(max(1, len(period["measurements"])) for period in found), "two figures, or none"


def test_transitions_events_and_incidents(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ever = ("--since", "2020-01-01")
    [transition] = exported(capsys, file, "--what", "transitions", *ever)
    assert (transition["subject"], transition["why"]) == ("a", "refused")
    assert exported(capsys, file, "--what", "transitions", "--check", "home", *ever) == []
    [event] = exported(capsys, file, "--what", "events", *ever)
    assert event["id"] == "e1"
    [incident] = exported(capsys, file, "--what", "incidents", *ever)
    assert (incident["checks"], incident["worst"]) == (["a", "b"], "outage")
    assert cells(capsys, file, "--what", "incidents", *ever)[0]["checks"] == "a b"
    assert json.loads(cells(capsys, file, "--what", "events", *ever)[0]["body"])["id"] == "e1"
    assert cells(capsys, file, "--what", "transitions", *ever)[0]["old"] == "up"


def test_what_has_become_a_secret_since_is_taken_out(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = file.read_text("utf-8")
    file.write_text(text.replace("127.0.0.1", "user:refused@127.0.0.1") + f"  - {{name: x, {SECRET_ADDRESS}}}\n")
    ever = ("--since", "2020-01-01")
    [transition] = exported(capsys, file, "--what", "transitions", *ever)
    assert (transition["why"], transition["evidence"]) == ("***", {"address": "***"})
    assert transition["old"] == "up"
    [incident] = exported(capsys, file, "--what", "incidents", *ever)
    assert incident["why"] == "the database is down"
    [transition] = exported(capsys, "--state-dir", file.parent / "state", "--what", "transitions", *ever)
    assert transition["why"] == "refused", "without the configuration nobody knows"


def test_a_renamed_check_brings_what_it_did_under_its_former_id(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tie = replace(transition("home", 9), old="down", was="a")
    asyncio.run(rename(file.parent / "state", tie))
    own = exported(capsys, file, "--what", "transitions", "--check", "home", "--since", "2020-01-01")
    assert [(item["subject"], item["was"]) for item in own] == [("a", None), ("home", "a")]


async def rename(folder: Path, tie: Transition) -> None:
    store = SqliteStore(folder)
    await store.open()
    await store.commit([Change(transitions=(tie,))], NOBODY)
    await store.close()


def test_a_formula_of_a_target_is_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    from monitor.commands._records import written

    record = {
        "kind": "check",
        "subject": "home",
        "why": "=cmd|' /C calc'!A0",
        "old": "@x",
        "new": "\tx",
        "value": -1.5,
    }
    [line] = written(record, "transitions", "csv")
    found = dict(
        zip(
            ("kind", "why", "old", "new", "value"),
            [next(csv.reader([line]))[i] for i in (0, 8, 5, 6, 10)],
            strict=True,
        )
    )
    assert found == {"kind": "check", "why": "'=cmd|' /C calc'!A0", "old": "'@x", "new": "'\tx", "value": "-1.5"}


def test_nothing_is_said_to_be_kept(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(file), "--since", "2h", "--until", "1h"]) == 0
    assert "nothing of that is kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--check", "hme page"), "did you mean"),
        (("--check", "fresh"), "nothing is kept yet"),
        (("--since", "yesterday"), "neither a duration"),
        (("--since", "1h", "--until", "2h"), "--since must be before"),
        (("--what", "rollups", "--step", "1m"), "at least 5m"),
        (("--what", "rollups", "--step", "one"), "--step"),
        (("--what", "events", "--check", "home"), "--check goes with"),
        (("--state-dir", "/nowhere"), "there is no"),
        (("--since", "5x"), "--since"),
    ],
)
def test_what_is_wrong_is_told(
    file: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert main(["export", str(file), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_damaged_file_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file.parent / "state" / "history.db").write_bytes(b"no database" * 999)
    assert main(["export", str(file)]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_without_a_configuration_that_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path / "none.yaml")]) == 2
    assert "--state-dir" in capsys.readouterr().err
