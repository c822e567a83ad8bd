"""Files that cannot be read, or that would do harm when read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.config.document import MAX_BYTES, Unreadable, read_document
from monitor.config.load import load
from monitor.config.model import ConfigError
from tests.config.kinds import KINDS


def refusal(path: Path) -> str:
    with pytest.raises(Unreadable) as error:
        read_document(path, "checks.yaml")
    return str(error.value)


def test_no_such_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "checks.yaml") == "checks.yaml: no such file: name the file, or create it"


def test_a_directory(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "checks.yaml: is a directory: name the file in it, such as checks.yaml"


@pytest.mark.timeout(10)
def test_a_pipe_that_nobody_writes_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "checks.yaml")
    assert refusal(tmp_path / "checks.yaml") == (
        "checks.yaml: is not a regular file: write the configuration into a file"
    )
    assert "is not a regular file" in refusal(Path("/dev/zero"))


@pytest.mark.timeout(10)
def test_a_pipe_among_the_parts(tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text("checks:\n  - {name: a, probe: http, url: 'http://a/'}\n")
    (tmp_path / "checks.d").mkdir()
    os.mkfifo(tmp_path / "checks.d" / "more.yaml")
    with pytest.raises(ConfigError) as error:
        load(path, kinds=KINDS, env={})
    assert [fault.message for fault in error.value.faults] == [
        "is not a regular file: write the configuration into a file"
    ]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "checks.yaml: the file is empty: write at least one check under checks:"),
        (b"# nothing\n", "checks.yaml: the file is empty: write at least one check under checks:"),
        (b"a: b\nc: \xff\n", "checks.yaml:2:4: is not UTF-8: save the file in that encoding"),
        (b"a: b\nc: \x00\n", "checks.yaml:2:1: the file holds a control character: remove it"),
        (b"#" * (MAX_BYTES + 1), "checks.yaml: is larger than 16 MiB: split it into checks.d/"),
        (b"- " * 300_000, "checks.yaml:1:81: the file is nested deeper than 40 levels"),
        (b"a: " + b"[" * 300_000, "checks.yaml:1:43: the file is nested deeper than 40 levels"),
        (b"{" * 300_000, "checks.yaml:1:41: the file is nested deeper than 40 levels"),
        (b"a: &a [*a]\n", "checks.yaml:1:4: the file is nested deeper than 40 levels"),
    ],
    ids=["empty", "comments", "latin1", "nul", "large", "deep list", "deep flow", "deep mapping", "endless"],
)
def test_unusable(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "checks.yaml"
    path.write_bytes(raw)
    assert refusal(path) == message


def test_a_billion_laughs(tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path.write_text("\n".join(lines))
    assert "the file is too large once aliases are expanded" in refusal(path)


def test_brackets_in_texts_are_no_nesting(tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text("a:\n" + "  - '[{'\n" * 2000)
    assert read_document(path, "checks.yaml").root == {"a": ["[{"] * 2000}


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: b\r\nc: d\r\n")
    assert read_document(path, "checks.yaml").root == {"a": "b", "c": "d"}


def test_places(tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text("checks:\n  - name: a\n    down: [x, y]\n")
    document = read_document(path, "f")
    assert str(document.fault(("checks", 0, "down"), "m")) == "f:3:5: checks[0].down: m"
    assert str(document.fault(("checks", 0, "down", 1), "m")) == "f:3:15: checks[0].down[1]: m"
    assert str(document.fault(("checks", 0), "m", key="name")) == "f:2:5: checks[0]: m"
    assert str(document.fault(("checks", 0, "gone", 3), "m")) == "f:2:5: checks[0]: m"
