"""A file that grows is rotated, truncated, copied away, deleted, replaced: each line of it is read once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes._logs.open_file import BACKLOG, LINE_MOST, why
from probes._logs.tail import LINGER, Tail
from probes.contract import Reason


class Reading:
    """A tail, driven by hand: `read` until there is no more."""

    def __init__(self, path: Path, *, at_end: bool = True) -> None:
        self.path = path
        self.lines: list[bytes] = []
        self.too_long = 0
        self.now = 1000.0
        self.tail = Tail(str(path), self._take)
        self.tail.start([], self.now, at_end=at_end)

    def _take(self, lines: bytes, too_long: int) -> None:
        assert not lines or lines.endswith(b"\n")
        self.lines += lines.split(b"\n")[:-1]
        self.too_long += too_long

    def read(self, *, after: float = 0.1, most: int = 4096) -> list[bytes]:
        """What is new."""
        self.now += after
        self.lines.clear()
        for _ in range(100_000):
            if not self.tail.turn(most, self.now):
                break
        return list(self.lines)

    def restart(self) -> None:
        positions = self.tail.positions
        self.tail.close()
        self.tail = Tail(str(self.path), self._take)
        self.tail.start(positions, self.now, at_end=True)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_bytes(b"old 1\nold 2\n")
    return path


@pytest.fixture
def reading(log: Path) -> Iterator[Reading]:
    reading = Reading(log)
    yield reading
    reading.tail.close()


def write(path: Path, *lines: str, end: str = "\n") -> None:
    with path.open("ab") as file:
        file.write("".join(f"{line}{end}" for line in lines).encode())


def test_only_what_comes_after_the_start_is_read(reading: Reading, log: Path) -> None:
    assert reading.read() == []
    write(log, "a", "b")
    assert reading.read() == [b"a", b"b"]
    assert reading.read() == []


def test_half_a_line_is_read_when_it_is_whole(log: Path) -> None:
    write(log, "half of a", end="")
    reading = Reading(log)
    assert reading.read() == []
    write(log, " line", "next")
    assert reading.read() == [b"half of a line", b"next"]
    reading.tail.close()


def test_a_rotated_file_is_read_to_its_end_while_the_new_one_is_read(reading: Reading, log: Path) -> None:
    write(log, "a")
    log.rename(log.with_name("access.log.1"))
    write(log.with_name("access.log.1"), "b")
    assert reading.read() == [b"a", b"b"], "there is no new file yet"
    write(log, "c")
    write(log.with_name("access.log.1"), "d")
    assert sorted(reading.read()) == [b"c", b"d"]
    write(log.with_name("access.log.1"), "e")
    write(log, "f")
    assert sorted(reading.read(after=LINGER - 1)) == [b"e", b"f"]


def test_a_rotated_file_is_let_go_when_nobody_writes_to_it(reading: Reading, log: Path) -> None:
    write(log, "a", "without an end", end="")
    log.rename(log.with_name("access.log.1"))
    log.touch()
    assert reading.read() == []
    assert len(reading.tail.positions) == 2
    assert reading.read(after=LINGER + 1) == [b"awithout an end"], "nothing will be added to that line"
    assert len(reading.tail.positions) == 1


def test_more_rotations_than_turns(reading: Reading, log: Path) -> None:
    for number in range(3):
        for old in (2, 1):
            if (before := log.with_name(f"access.log.{old}")).exists():
                before.rename(log.with_name(f"access.log.{old + 1}"))
        write(log, f"file {number}")
        log.rename(log.with_name("access.log.1"))
        at = time.time_ns() + number * 10**9  # apart, however coarse the disk's clock is
        os.utime(log.with_name("access.log.1"), ns=(at, at))
    write(log, "the last")
    write(log.with_name("access.log.api"), "of another log")
    assert sorted(reading.read()) == [b"file 0", b"file 1", b"file 2", b"the last"]


@pytest.mark.parametrize("regrown", [False, True], ids=["empty", "longer than before"])
def test_a_truncated_file_is_read_from_its_beginning(reading: Reading, log: Path, regrown: bool) -> None:
    write(log, "a")
    assert reading.read() == [b"a"]
    os.truncate(log, 0)
    lines = [f"new {number}" for number in range(100 if regrown else 1)]
    write(log, *lines)
    assert reading.read() == [line.encode() for line in lines]


def test_the_same_requests_as_before_the_file_was_truncated(reading: Reading, log: Path) -> None:
    line = '10.0.0.1 - - [22/Nov/2026:02:36:%02d +0000] "GET /healthz HTTP/1.1" 200 2 "-" "' + "x" * 200 + '"'
    os.truncate(log, 0)
    for second in range(3):
        write(log, line % second)
        assert reading.read() == [(line % second).encode()]
        os.truncate(log, 0)


def test_copytruncate_loses_nothing_that_was_copied(reading: Reading, log: Path) -> None:
    write(log, "a")
    assert reading.read() == [b"a"]
    write(log, "b")
    log.with_name("access.log.1").write_bytes(log.read_bytes())
    os.truncate(log, 0)
    write(log, "c")
    assert sorted(reading.read()) == [b"b", b"c"]


def test_a_writer_that_does_not_append_leaves_a_hole(reading: Reading, log: Path) -> None:
    with log.open("r+b", buffering=0) as writer:
        writer.seek(0, os.SEEK_END)
        writer.write(b"x" * 300_000 + b"\n")
        reading.read()
        os.truncate(log, 0)
        writer.write(b"after the hole\nnext\n")
    assert reading.read() == [b"after the hole", b"next"]


def test_zeros_and_garbage_and_lines_without_end(reading: Reading, log: Path) -> None:
    with log.open("ab") as file:
        file.write(b"\0" * 200_000 + b"a\n" + b"\xff\xfe\x80\n")
    assert reading.read() == [b"a", b"\xff\xfe\x80"]
    with log.open("ab") as file:
        file.write(b"x" * (LINE_MOST + 5))
    assert reading.read() == []
    write(log, "still the long one", "b")
    assert reading.read() == [b"b"]
    assert reading.too_long == 1
    write(log, "y" * LINE_MOST, "z" * (LINE_MOST + 1), "c")
    assert reading.read(most=65_536) == [b"y" * LINE_MOST, b"c"]
    assert reading.too_long == 2


def test_a_long_line_is_known_for_one_after_a_restart(reading: Reading, log: Path) -> None:
    write(log, "x" * 2 * LINE_MOST, end="")
    reading.read()
    reading.restart()
    write(log, "its end", "b")
    assert reading.read() == [b"b"]
    assert reading.too_long == 1


def test_a_file_that_is_missing_for_a_while(reading: Reading, log: Path) -> None:
    write(log, "a")
    log.rename(log.with_name("access.log.1"))
    assert reading.read() == [b"a"]
    reading.read(after=LINGER - 1)
    assert reading.tail.trouble is None
    reading.read(after=2)
    assert reading.tail.trouble is not None
    assert reading.tail.trouble.reason is Reason.SOURCE
    write(log, "b")
    assert reading.read() == [b"b"], "it is new, so it is read from its beginning"
    assert reading.tail.trouble is None


def test_a_deleted_file_is_read_as_long_as_somebody_writes_to_it(reading: Reading, log: Path) -> None:
    with log.open("ab", buffering=0) as writer:
        log.unlink()
        for number in range(5):
            writer.write(b"line %d\n" % number)
            assert reading.read(after=LINGER - 1) == [b"line %d" % number]
            assert reading.tail.trouble is None
    reading.read(after=LINGER + 1)
    assert reading.tail.trouble is not None


def test_replaced_by_a_symlink_and_that_by_another(reading: Reading, log: Path) -> None:
    write(log, "a")
    for number in (1, 2):
        write(log.with_name(f"real-{number}"), f"b{number}")
        log.with_name("link").symlink_to(f"real-{number}")
        log.with_name("link").rename(log)
        assert sorted(reading.read()) == ([b"a"] if number == 1 else []) + [b"b%d" % number]


def test_renamed_and_renamed_back(reading: Reading, log: Path) -> None:
    aside = log.with_name("aside")
    write(log, "a")
    log.rename(aside)
    write(log, "b")
    assert sorted(reading.read()) == [b"a", b"b"]
    aside.rename(log)
    write(log, "c")
    assert reading.read() == [b"c"]


def test_what_is_no_file_is_told_and_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, words in (("pipe", "a pipe"), ("folder", "a folder"), ("/dev/null", "a device"), ("none", "no file")):
        reading = Reading(tmp_path / name)
        assert reading.read() == []
        assert reading.tail.trouble is not None
        assert reading.tail.trouble.reason is Reason.SOURCE
        assert words in reading.tail.trouble.detail


@contextmanager
def another_user() -> Iterator[None]:
    """One who may not look into the test's folder, as far as the tests are run by root."""
    if os.getuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


def test_what_may_not_be_read_is_denied_and_is_no_news_when_it_may(log: Path) -> None:
    log.chmod(0)
    with another_user():
        reading = Reading(log)
        reading.read()
        assert reading.tail.trouble is not None
        assert reading.tail.trouble.reason is Reason.DENIED
    log.chmod(0o600)
    assert reading.read() == [], "the file is not new, only the right to read it"
    write(log, "a")
    assert reading.read() == [b"a"]


def test_too_much_is_passed_over(reading: Reading, log: Path) -> None:
    write(log, "the oldest")
    os.truncate(log, log.stat().st_size + BACKLOG)
    write(log, " in the line that is cut", *(f"line {number:04}" for number in range(10)))
    assert reading.read(most=1 << 20) == [b"line %04d" % number for number in range(10)]
    assert reading.tail.passed == pytest.approx(100, abs=100)


# --- over a restart of the agent -----------------------------------------------------------------------------------


def test_goes_on_after_a_restart(reading: Reading, log: Path) -> None:
    write(log, "a", "b", "half")
    assert reading.read() == [b"a", b"b", b"half"]
    write(log, "c", "ha", end="")
    write(log, "lf")
    reading.restart()
    assert reading.read() == [b"chalf"]


def test_rotated_while_the_agent_was_off(reading: Reading, log: Path) -> None:
    write(log, "a")
    assert reading.read() == [b"a"]
    write(log, "b")
    positions = reading.tail.positions
    log.rename(log.with_name("access.log.1"))
    write(log, "c")
    reading.restart()
    assert sorted(reading.read()) == [b"b", b"c"]
    assert positions


def test_rotated_and_packed_while_the_agent_was_off(reading: Reading, log: Path) -> None:
    write(log, "a")
    reading.read()
    log.unlink()
    write(log.with_name("access.log.1.gz"), "packed")
    write(log, "b")
    reading.restart()
    assert reading.read() == [b"b"]
    assert reading.tail.lost == 1


def test_an_inode_that_was_given_to_a_new_file(reading: Reading, log: Path) -> None:
    write(log, "a")
    reading.read()
    inode = log.stat().st_ino
    # The same inode with other content is what a new file on a used inode looks like.
    log.write_bytes(b"".join(b"new %d\n" % number for number in range(50)))
    assert log.stat().st_ino == inode
    reading.restart()
    assert len(reading.read()) == 50


def test_truncated_and_copied_while_the_agent_was_off(reading: Reading, log: Path) -> None:
    write(log, "a")
    reading.read()
    write(log, "b")
    log.with_name("access.log.1").write_bytes(log.read_bytes())
    log.write_bytes(b"c\n")
    reading.restart()
    assert sorted(reading.read()) == [b"b", b"c"]


@pytest.mark.parametrize(
    ("path", "mends"), [("/home/app/log", "brownout install --with home"), ("/var/log/syslog", "the group adm")]
)
def test_what_opens_a_closed_log_is_told(path: str, mends: str) -> None:
    told = why(PermissionError(13, "Permission denied"), path)
    assert told.reason is Reason.DENIED
    assert mends in told.detail
