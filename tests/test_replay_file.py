"""`brownout replay FILE`: files that are no files of looks, that are hostile, or whose reader or writer goes away."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from monitor.commands import _recorded
from monitor.commands._recorded import LONGEST_LINE, MOST_FIGURES, MOST_STRANGERS, from_lines
from tests.core.builders import check
from tests.diary import place
from tests.end_to_end.rig import BROWNOUT, environment

__all__ = ["place"]

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOME = {"home": check("home")}


def line(at: float, name: str = "home", **more: Any) -> str:
    return json.dumps({"check": name, "at": (BEGAN + timedelta(seconds=at)).isoformat(), **more})


def refused(place: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> str:
    """What is said of such a file."""
    (place / "looks.jsonl").write_bytes(content)
    assert main(["replay", "looks.jsonl"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err) < 400
    return said.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n\nnonsense", "looks.jsonl:3: is no JSON (Expecting value, column 1): one look is one line"),
        (b'[\n{"check": "home"}\n]', "looks.jsonl:1: is no JSON (Expecting value, column 2)"),
        (b"[" * 50_000, "looks.jsonl:1: is nested too deeply to be a look"),
        (b'{"check": "home", "at": "2026-01-01", "a": ' + b'{"a":' * 15_000, "looks.jsonl:1: is nested too deeply"),
        (b"x" * 300_000, "looks.jsonl:1: is longer than 100,000 characters: one look is one line"),
        (b'\n{"check": "h\xff"}', "looks.jsonl:2: is not UTF-8"),
        (b"\x1f\x8b\x08\x00", "looks.jsonl:1: is not UTF-8"),
        (b'{"check": ["home"], "at": "2026-01-01"}', "looks.jsonl:1: check must be a name"),
        (b'{"at": "2026-01-01"}', "looks.jsonl:1: 'check' is missing"),
        (b'{"check": "home", "at": "0001-01-01T00:00:00+23:59"}', "is no time at which anybody has looked"),
        (b'{"check": "home", "at": "9999-12-31T23:59:59-23:59"}', "is no time at which anybody has looked"),
        (b'{"check": "home", "at": 1767225600}', "'1767225600' is no time such as"),
        (b'{"check": "home", "at": "2026-01-01", "took_seconds": -1}', "took_seconds must not be less than nothing"),
        (b'{"check": "home", "at": "2026-01-01", "took_seconds": 1e9}', "took_seconds is too large"),
        (b'{"check": "home", "at": "2026-01-01", "took_seconds": Infinity}', "took_seconds must be a number"),
        (b'{"check": "home", "at": "2026-01-01", "tick": 1e15}', "tick is too large"),
        (b'{"check": "home", "at": "2026-01-01", "tick": 1' + b"0" * 5000 + b"}", "looks.jsonl:1: Exceeds the limit"),
        (b'{"check": "home", "at": "2026-01-01", "tick": 1' + b"0" * 400 + b"}", "looks.jsonl:1: "),
        (b'{"check": "home", "at": "2026-01-01", "reason": ["refused"]}', "unknown reason"),
        (b'{"check": "home", "at": "2026-01-01", "measurements": {"a": {"value": null}}}', "measurements.a must be"),
        (
            b'{"check": "home", "at": "2026-01-01", "measurements": {"' + b"a" * 999 + b'": true}}',
            "measurements.aaaa",
        ),
    ],
)
def test_a_line_that_is_none_is_told_by_its_number(
    content: bytes, said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(place, capsys, content)


def test_a_mark_of_the_byte_order_and_windows_line_ends_do_no_harm(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "looks.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([line(0), line(30)]).encode())
    assert main(["replay", "looks.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["looks"] == 2


def test_times_may_be_in_any_order_and_the_last_look_counts(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = [*range(0, 300, 30), *(300 + each / 2 for each in range(40))]
    lines = [line(at, reason="refused" if at >= 300 else None, tick=at + 5) for at in seconds]
    told = []
    for order in (lines, lines[::-1], [*lines[7:], *lines[:7], *lines[:7]]):
        (place / "looks.jsonl").write_text("\n".join(order), encoding="utf-8")
        assert main(["replay", "looks.jsonl", "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert [item["new"] for item in told[0]["transitions"] if item["kind"] == "check"] == ["up", "down"]
    assert [each["transitions"] for each in told] == [told[0]["transitions"]] * 3
    assert told[0]["looks"] == len(lines)
    assert told[0]["judged_by"] == "checks.yaml"


def test_what_is_in_a_file_is_bounded_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    strangers = "\n".join(line(0, f"stranger {number} {'x' * 200}") for number in range(MOST_STRANGERS + 50))
    found = from_lines(io.StringIO(strangers), HOME)
    assert len(found.strangers) == MOST_STRANGERS
    assert max(map(len, found.strangers)) <= 60
    many = "\n".join(line(at, measurements={f"figure{at}": 1.0}) for at in range(MOST_FIGURES + 1))
    with pytest.raises(ValueError, match="1001: more than 1,000 different measurements of home"):
        from_lines(io.StringIO(many), HOME)
    monkeypatch.setattr(_recorded, "MOST_LOOKS", 3)
    with pytest.raises(ValueError, match="4: more than 3 looks: cut the file by time, or name a --check"):
        from_lines(io.StringIO("\n".join(map(line, range(9)))), HOME)


def test_a_file_is_read_line_by_line_and_no_further_than_its_fault() -> None:
    """Also one of 10 GB: what has been read and is not asked for is gone."""

    class Endless(io.StringIO):
        asked = 0

        def readline(self, size: int = -1, /) -> str:
            assert 0 < size <= LONGEST_LINE + 1
            self.asked += 1
            return line(self.asked, "other") + "\n" if self.asked < 20_000 else "x" * size

    lines = Endless()
    with pytest.raises(ValueError, match=r"^20000: is longer than"):
        from_lines(lines, HOME)
    assert lines.asked == 20_000


def test_ctrl_c_tells_that_nothing_is_told(place: Path) -> None:
    """While it reads from a pipe that nobody closes."""
    heeded = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, a shell has it ignored
    with subprocess.Popen(
        [BROWNOUT, "replay", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as asked:
        signal.signal(signal.SIGINT, heeded)
        assert asked.stdin is not None
        blob = line(0) + "\n"
        written = 0
        while written < 300_000:  # more than a pipe holds: it is reading by then
            written += asked.stdin.write(blob)
        asked.stdin.flush()
        asked.send_signal(signal.SIGINT)
        out, err = asked.communicate(timeout=20)
    assert asked.returncode == 130
    assert (out, err.splitlines()) == (
        "", ["brownout: interrupted before there was anything to tell: --check NAME asks for less"]
    )  # fmt: skip


def test_a_reader_that_goes_away_is_no_error(place: Path) -> None:
    lines = [line(at, reason="refused" if at > 300 else None) for at in range(0, 600, 7)]  # little output, too
    (place / "looks.jsonl").write_text("\n".join(lines), encoding="utf-8")
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = subprocess.run(
            [str(BROWNOUT), "replay", "looks.jsonl", "--json"], stdout=theirs, stderr=subprocess.PIPE, text=True,
            env=environment(), check=False, timeout=30,
        )  # fmt: skip
    finally:
        os.close(theirs)
    assert (done.returncode, done.stderr) == (0, "")
