"""Files that cannot be read, or that would do harm when read."""

from __future__ import annotations

import os
import sys
import tracemalloc
from pathlib import Path

import pytest

from monitor.config import document, foreach
from monitor.config.document import MAX_BYTES, MAX_FAULTS, Unreadable, read_document
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


def write(folder: Path, text: str) -> Path:
    path = folder / "checks.yaml"
    path.write_text(text)
    return path


def refusals(path: Path, env: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        load(path, kinds=KINDS, env=env or {})
    return error.value


@pytest.mark.parametrize("item", ["a", "[]", "{a: b}"])
def test_what_is_too_much_is_refused_before_it_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, item: str
) -> None:
    monkeypatch.setattr(document, "MAX_NODES", 1000)
    monkeypatch.setattr(document, "MAX_BYTES", 1_000_000)
    path = write(tmp_path, f"checks: [{','.join([item] * 100_000)}]\n")
    tracemalloc.start()
    try:
        assert "the files hold more than" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000, "the nodes of it would be 30 MB"
    finally:
        tracemalloc.stop()


def test_what_is_too_much_may_be_in_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_NODES", 1000)
    path = write(tmp_path, "checks:\n  - {name: a, probe: http, url: 'http://a/'}\n")
    (tmp_path / "checks.d").mkdir()
    for number in range(4):
        write(tmp_path / "checks.d", f"checks: [{','.join(['a'] * 300)}]\n").rename(
            tmp_path / f"checks.d/{number}.yaml"
        )
    files = [fault.file for fault in refusals(path).faults if "the files hold more than" in fault.message]
    assert files == [str(tmp_path / "checks.d/3.yaml")]


@pytest.mark.parametrize("begin", ["[", "{", "{a: ["])
def test_what_is_too_deep_is_refused_at_the_first_that_is(tmp_path: Path, begin: str) -> None:
    """15 MB of brackets held the reload for 44 s."""
    path, calls = write(tmp_path, begin * 100_000), 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        told = refusal(path)
    finally:
        sys.setprofile(None)
    assert told.endswith("the file is nested deeper than 40 levels")
    assert calls < 50_000, "not even one a bracket"


@pytest.mark.parametrize("named", ["x", "{}", "x" * 5000], ids=["text", "mapping", "long text"])
def test_what_an_alias_names_counts_as_often_as_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setattr(document, "MAX_NODES", 1000)
    times = 20 if len(named) > 10 else 1000
    path = write(tmp_path, f"a: &a {named}\nb: [{','.join(['*a'] * times)}]\n")
    assert "the file is too large once aliases are expanded" in refusal(path)
    path = write(tmp_path, f"a: &a {named}\nb: [{','.join(['*a'] * (times // 2 - 2))}]\n")
    read_document(path, "checks.yaml")


CHECK = "{name: a, probe: http, url: 'http://a/'"


def test_a_file_with_a_million_faults_keeps_the_first_and_counts_the_others(tmp_path: Path) -> None:
    listed = refusals(write(tmp_path, "checks:\n" + "  - a\n" * 3000))
    assert (len(listed.faults), listed.more) == (MAX_FAULTS, 3000 - MAX_FAULTS)
    assert str(listed) == "3000 faults in the configuration"
    twice = "defaults:\n" + "  every: 5s\n" * 3001 + f"checks: [{CHECK}}}]"
    listed = refusals(write(tmp_path, twice))
    assert (len(listed.faults), listed.more) == (MAX_FAULTS, 3000 - MAX_FAULTS)


def test_a_fault_quotes_no_megabytes(tmp_path: Path) -> None:
    faults = refusals(write(tmp_path, f"checks: [{CHECK}, every: {'1' * 1_000_000}}}]")).faults
    assert len(faults) == 1
    assert len(faults[0].message) < 1000


def test_what_for_each_makes_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand checks from one entry, each with a thousand labels."""
    monkeypatch.setattr(foreach, "MOST_MADE", 10_000)

    def several(labels: str, *values: str) -> Path:
        made = f"name: 'a{{{{ each }}}}', probe: http, url: 'http://a/', labels: {labels}"
        return write(tmp_path, f"checks: [{{{made}, for_each: [{','.join(values)}]}}]")

    labels = "{" + ", ".join(f"l{number}: x" for number in range(100)) + "}"
    load(several(labels, *map(str, range(50))), kinds=KINDS, env={})
    faults = refusals(several(labels, *map(str, range(200)))).faults
    assert "makes too much" in faults[0].message
    faults = refusals(several("{a: '" + "{{ each }}" * 1000 + "'}", "x" * 1000)).faults
    assert "makes a text of more than 100,000 characters" in faults[0].message


def test_what_variables_make_is_bounded(tmp_path: Path) -> None:
    path = write(tmp_path, f"checks: [{CHECK}, owner: '{'${LONG}' * 100}'}}]")
    assert "longer than 1 MiB" in refusals(path, {"LONG": "x" * 50_000}).faults[0].message


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
