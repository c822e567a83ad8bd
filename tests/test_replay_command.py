"""`brownout replay`: a state directory, or exported looks, judged again; and what is said where that cannot be."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from monitor.core.history import Sample
from monitor.core.lived import always
from monitor.core.model import Change, Look, Moment, State, Transition, Verdict
from monitor.core.rows import Rows
from monitor.hindsight import Spells
from monitor.replay import Replay, look_of
from monitor.store.sqlite import SqliteStore
from probes.contract import Observation, Reason
from tests.core.builders import START, check, moment
from tests.core.builders import look as look_at
from tests.core.builders import world as make_world
from tests.store.made import NOBODY

NOW = datetime.now(UTC).replace(microsecond=0)
BEGAN = NOW - timedelta(hours=2)
CHECKS = """\
agent: {{state_dir: {state}}}
sinks: {{chat: {{type: console}}}}
routes: [{{to: [chat]}}]
checks:
  - {{name: front page, id: home, probe: http, url: "http://127.0.0.1/"{more}}}
  - {{name: fresh, probe: http, url: "http://127.0.0.1/"}}
"""
SLOW = ', degraded: "response_time > 300ms for 2 of 3, clear < 200ms"'


def taken() -> Iterator[Look]:
    """A quarter of an hour that is well but for twelve quick failures, and five slow looks."""
    failing = [300 + offset for offset in (0, 0.2, 0.5, 0.9, 1.4, 2.0, 2.7, 3.4, 4.2, 5.0)]
    beats = [30.0 * number for number in range(30) if number != 10]
    for at in sorted([*failing, *beats, *(float(at) for at in range(331, 390) if at % 30)]):
        reason = Reason.REFUSED if at in failing else None
        measured = {} if reason else {"response_time": 0.5 if 600 <= at < 750 else 0.1}
        moments = [Moment(BEGAN + timedelta(seconds=seconds), 77.0 + seconds) for seconds in (at, at + 0.1)]
        scheduled = at % 30 == 0
        yield Look(
            "home", Observation(measured, reason), *moments, limit=10.0 if scheduled else 2.0, scheduled=scheduled
        )


async def fill(folder: Path) -> None:
    store = SqliteStore(folder)
    await store.open()
    rows = Rows[str]()
    for item in taken():
        rows.add("home", check("home"), item, State.UP)
    rows.add("stranger", check("stranger"), Look("stranger", Observation(), *[moment_of(9)] * 2), State.UP)
    await store.record(rows, NOW)
    at = BEGAN + timedelta(seconds=20)
    told = Transition("check", "home", 1, at, at, "up", "down", Verdict(State.DOWN, Reason.REFUSED))
    await store.commit([Change(transitions=(told,))], NOBODY)
    while await store.tend(NOW):
        pass
    await store.close()


def moment_of(seconds: float) -> Moment:
    return Moment(BEGAN + timedelta(seconds=seconds), 77.0 + seconds)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    asyncio.run(fill(tmp_path / "state"))
    return written(tmp_path)


def written(folder: Path, more: str = "", name: str = "checks.yaml") -> Path:
    path = folder / name
    path.write_text(CHECKS.format(state=folder / "state", more=more), encoding="utf-8")
    return path


def replayed(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main(["replay", "--json", *map(str, words)]) == 0
    return json.loads(capsys.readouterr().out)


def test_recorded_looks_are_judged_again_beside_what_the_journal_has(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in (file.parent / "state").iterdir())
    told = replayed(capsys, "--config", file, "--since", "1d")
    home = told["replayed"]["checks"]["home"]
    assert (home["down"], home["degraded"], home["pages"], home["flaps"]) == (1, 0, 1, 0)
    assert home["detected_after_seconds"]["worst"] == pytest.approx(5.1, abs=0.2)
    assert told["journal"]["checks"]["home"]["down"] == 1
    assert told["looks"] == len(list(taken()))
    assert told["not_in_the_configuration"] == ["stranger"]
    assert told["nothing_recorded"] == ["fresh"]
    assert told["events"][0]["type"] == "incident.opened"
    assert told["events"][-1]["type"] == "incident.resolved"
    assert [item["new"] for item in told["transitions"] if item["kind"] == "check"] == [
        "up",
        "down",
        "degraded",
        "up",
    ]
    assert sorted(path.name for path in (file.parent / "state").iterdir()) == before, "nothing is left behind"


def test_another_configuration_would_have_told_something_else(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = written(file.parent, SLOW, "new.yaml")
    assert replayed(capsys, "--config", new, "--since", "1d")["replayed"]["checks"]["home"]["degraded"] == 1
    assert main(["replay", "--config", str(new), "--since", "1d"]) == 0
    shown = capsys.readouterr().out
    assert "0 → 1" in shown
    assert "front page is degraded" in shown
    assert "nothing is recorded of fresh" in shown
    assert "would have been sent: chat" in shown


def test_what_came_before_is_lived_through_and_not_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    since = BEGAN + timedelta(seconds=500)
    told = replayed(capsys, "--config", file, "--since", since.isoformat())
    assert told["lived_through"] > told["looks"] > 5
    assert told["events"] == []
    assert told["replayed"]["checks"] == {}


def test_an_export_is_judged_as_the_history_is(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["export", str(file), "--check", "home", "--since", "1d"]) == 0
    lines = capsys.readouterr().out
    looks = tmp_path / "looks.jsonl"
    looks.write_text(lines, encoding="utf-8")
    expected = replayed(capsys, "--config", file, "--since", "1d")
    told = replayed(capsys, "--config", file, looks)
    assert told["transitions"] == expected["transitions"]
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert replayed(capsys, "--config", file, "-")["transitions"] == expected["transitions"]
    assert replayed(capsys, "--config", file, looks, "--check", "fresh")["looks"] == 0


def test_the_least_that_a_line_must_say(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    looks = tmp_path / "looks.jsonl"
    lines = (
        {"check": "front page", "at": (START + timedelta(seconds=at)).isoformat(), **more}
        for at, more in ((60, {"reason": "refused"}), (0, {}), (30, {"measurements": {"response_time": 0.1}}))
    )
    looks.write_text("\n".join(map(json.dumps, lines)) + "\n\n", encoding="utf-8")
    told = replayed(capsys, "--config", file, looks)
    assert told["looks"] == 3
    assert [item["new"] for item in told["transitions"]] == ["up", "operational"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", ":1: is no JSON (Expecting value, column 1)"),
        ("[]", ":1: each line must be an object"),
        ('{"check": "home"}', ":1: 'at' is missing"),
        ('{"check": "home", "at": "soon"}', "'soon' is no time such as"),
        (
            '{"check": "home", "at": "2026-01-01", "reason": "refusd"}',
            'unknown reason "refusd" (did you mean refused?)',
        ),
        ('{"check": "home", "at": "2026-01-01", "took_seconds": "1"}', "took_seconds must be a number"),
        ('{"check": "home", "at": "2026-01-01", "tick": 1e300}', "tick is too large"),
        ('{"check": "home", "at": "2026-01-01", "measurements": 1}', "measurements must be an object"),
        ('{"check": "home", "at": "2026-01-01", "measurements": {"a": NaN}}', "measurements.a must be a number"),
    ],
)
def test_a_line_that_is_none_is_told_by_its_number(
    line: str, said: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = tmp_path / "looks.jsonl"
    looks.write_text(line, encoding="utf-8")
    assert main(["replay", "--config", str(file), str(looks)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--check", "hom"), 'unknown check "hom" (did you mean home?)'),
        (("--since", "1h", "--until", "2h"), "--since must be before --until"),
        (("--state-dir", "/nowhere"), "there is no /nowhere/history.db"),
        (("nowhere.jsonl",), "nowhere.jsonl cannot be read"),
    ],
)
def test_what_cannot_be_done_is_told(
    words: tuple[str, ...], said: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "--config", str(file), *words]) == 2
    assert said in capsys.readouterr().err


def test_an_agent_that_was_started_again_goes_on_where_the_one_before_was() -> None:
    """Ticks begin anew with a boot; what was confirmed is kept, and nothing is told twice."""
    plan = make_world(check()).plan
    failing = [look_at(at, fails=Reason.REFUSED) for at in (0, 1, 2, 3)]
    ended = failing[-1].ended.at + timedelta(seconds=1)
    boot = [
        look_of(
            check(), Sample(START + timedelta(seconds=600 + at), 5.0 + at, 0.0, State.DOWN, reason=Reason.REFUSED)
        )
        for at in range(3)
    ]
    again = Replay(always(plan), [ended])
    first = [item for look in failing for item in again.take(look)]
    later = [item for look in boot for item in again.take(look)]
    assert [item.new for happened in first for item in happened.change.transitions] == ["down", "outage"]
    assert [item for happened in later for item in happened.change.transitions] == []
    assert [item for happened in again.finish(NOW) for item in happened.change.events] == []
    assert again.world is not None
    assert again.world.judges["home"].last is not None
    assert again.world.judges["home"].last.began == moment(602)


def test_spells_that_end_at_once_are_false_alarms_and_those_that_come_again_are_flaps() -> None:
    def changed(at: float, old: str, new: str) -> Transition:
        when = moment(at).at
        return Transition("check", "home", 1, when, when - timedelta(seconds=5), old, new, Verdict(State(new)))

    spells, story = Spells(), [
        changed(100, "up", "down"), changed(130, "down", "degraded"), changed(140, "degraded", "up"),
        changed(300, "up", "degraded"), changed(900, "degraded", "up"), changed(9000, "up", "unknown"),
    ]  # fmt: skip
    for item in story:
        spells.take(item)
    assert (spells.down, spells.degraded, spells.false_alarms, spells.flaps) == (1, 1, 1, 1)
    assert spells.delays == [5.0, 5.0]
