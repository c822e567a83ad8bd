"""Logging never holds up the agent, and never takes it down."""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from monitor.logs import Lines
from tests.end_to_end.rig import BROWNOUT, PATIENCE, ROOT, Agent, environment, free_address, until

CHECKS = """\
agent: {{listen: "{listen}", state_dir: state, vantage: {{name: test}}}}
sinks: {{terminal: {{type: console}}}}
checks: [{{name: home, probe: tcp, address: "127.0.0.1:9", every: 200ms}}]
"""


class Slow(io.StringIO):
    """A terminal that takes nothing until `open` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.asked = threading.Event()

    def write(self, text: str) -> int:
        self.asked.set()
        assert self.open.wait(PATIENCE)
        return super().write(text)


class Full(io.StringIO):
    """A file on a full disk."""

    refused = 0

    def write(self, text: str) -> int:
        self.refused += 1
        raise OSError(28, "No space left on device")


def dropped(lines: int) -> str:
    return f"dropped {lines}"


def test_a_log_that_is_not_read_holds_nobody_up_and_says_once_what_was_dropped() -> None:
    out = Slow()
    lines = Lines(out, dropped, limit=10)
    lines.info("first")
    assert out.asked.wait(PATIENCE)
    for number in range(1000):
        lines.info(str(number))
    out.open.set()
    lines.close(PATIENCE)
    assert out.getvalue().splitlines() == ["first", *map(str, range(10)), "dropped 990"]


def test_the_journal_is_told_how_urgent_a_line_is(tmp_path: Path) -> None:
    """And only the journal: JOURNAL_STREAM names one file, and whoever redirects stderr has another."""
    script = """
import os, sys, structlog
from monitor.logs import configure_logs
found = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino + int(sys.argv[1])}"
configure_logs(lambda text: text)
structlog.get_logger().warning("careful")
structlog.get_logger().info("fine")
"""
    for offset, begins in (("0", ["<4>{", "<6>{"]), ("1", ["{", "{"])):
        done = subprocess.run([sys.executable, "-c", script, offset], capture_output=True, text=True, check=True)
        lines = done.stderr.splitlines()
        assert [line.partition("{")[0] + "{" for line in lines] == begins
        assert [json.loads(line[line.index("{") :])["event"] for line in lines] == ["careful", "fine"]


def test_why_it_does_not_start_is_an_error_in_the_journal(tmp_path: Path) -> None:
    (tmp_path / "checks.yaml").write_text("checks: [{name: x, probe: nothing}]\n")
    script = """
import os, sys
found = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
from monitor.cli import main
sys.exit(main(["run", sys.argv[1]]))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "checks.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    assert all(line.startswith("<3>") for line in done.stderr.splitlines())


def test_the_last_lines_get_a_limited_time() -> None:
    out = Slow()
    lines = Lines(out, dropped)
    lines.info("never written")
    lines.close(0.01)
    assert out.getvalue() == ""
    out.open.set()


def test_a_disk_that_is_full_costs_lines_and_not_the_writer() -> None:
    full = Full()
    lines = Lines(full, dropped)
    lines.error("lost")
    lines.error("lost, too")
    lines.close(PATIENCE)
    assert full.refused == 2  # the first failure did not end the writer


def test_last_lines_come_out_and_libraries_are_redacted_like_ourselves() -> None:
    script = (
        "import logging, structlog\n"
        "from monitor.logs import configure_logs\n"
        "configure_logs(lambda text: text.replace('hunter2', '[redacted]'))\n"
        "for n in range(500): structlog.get_logger().info('line', n=n)\n"
        "logging.getLogger('aiohttp.server').error('the password is %s', 'hunter2')\n"
        "logging.getLogger('httpx').info('https://user:hunter2@example.com/')\n"
        "raise SystemExit(3)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 3
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line.get("n") for line in told] == [*range(500), None]
    assert (told[-1]["event"], told[-1]["level"]) == ("the password is [redacted]", "error")
    assert not any(type(handler).__name__ == "_Libraries" for handler in logging.getLogger().handlers)


@contextmanager
def unread_pipe() -> Iterator[int]:
    """The end to write to of a pipe that is full."""
    reader, writer = os.pipe()
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"." * 4096)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b".")
    fcntl.fcntl(writer, fcntl.F_SETFL, flags)
    try:
        yield writer
    finally:
        os.close(writer)
        os.close(reader)


@contextmanager
def full_device() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def lost_reader() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


@contextmanager
def closed() -> Iterator[None]:
    yield None


def checks(folder: Path, listen: str) -> Path:
    file = folder / "checks.yaml"
    file.write_text(CHECKS.format(listen=listen))
    return file


@pytest.mark.timeout(120)
@pytest.mark.parametrize("stderr", [unread_pipe, full_device, lost_reader, closed], ids=lambda made: made.__name__)
async def test_the_agent_goes_on_whatever_becomes_of_its_log(tmp_path: Path, stderr: object) -> None:
    host, port = free_address()
    command = [str(BROWNOUT), "run", str(checks(tmp_path, f"{host}:{port}"))]
    with stderr() as descriptor:  # type: ignore[operator]
        process = subprocess.Popen(  # noqa: ASYNC220  (it takes a moment, and nothing else runs here)
            command if descriptor is not None else ["sh", "-c", 'exec "$@" 2>&-', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=descriptor,
            cwd=ROOT,
            env=environment(),
        )
        try:
            running = Agent(process, tmp_path / "no.log")
            await until(lambda: answers(f"http://{host}:{port}/readyz"), "an agent that is ready")
            assert answers(f"http://{host}:{port}/healthz")
            process.send_signal(signal.SIGTERM)
            assert await running.ended() == 0
        finally:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_an_agent_that_cannot_say_why_it_does_not_start_has_not_ended_well(tmp_path: Path) -> None:
    file = checks(tmp_path, "127.0.0.1:0")
    file.write_text("nonsense: true\n")
    with lost_reader() as descriptor:
        done = subprocess.run(
            [BROWNOUT, "run", file], stderr=descriptor, stdout=subprocess.DEVNULL, check=False, env=environment()
        )
    assert done.returncode != 0
