"""Commands as people and scripts meet them.

`brownout` is a process, where that is what is tested: its start, descriptors, signals, permissions, and one of each
command. `called` is the same command in this process, for what it says of each of many wrong things.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.signals import MEANINGLESS
from tests.end_to_end.rig import BROWNOUT, POWERLESS, ROOT, environment

PASSWORD = "hunter2-hunter2-hunter2"
PATIENCE = 50


def brownout(
    *arguments: str | Path, powerless: bool = False, cwd: Path = ROOT, **env: str
) -> subprocess.CompletedProcess[str]:
    """`powerless`: as a user for whom the permissions of files count, even if root runs the tests."""
    done = subprocess.run(
        [*(POWERLESS if powerless else ()), str(BROWNOUT), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd=cwd,
        env=environment({"SHOP_PASSWORD": PASSWORD, **env}),
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert PASSWORD not in done.stderr + done.stdout
    return done


def called(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """As `brownout`, without a process."""
    said, complained = io.StringIO(), io.StringIO()
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, *MEANINGLESS)}
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
        for name in os.environ.keys() - environment().keys():
            patch.delenv(name)
        for name, value in environment({"SHOP_PASSWORD": PASSWORD, **env}).items():
            patch.setenv(name, value)
        try:
            code = main([*map(str, arguments)])
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
        finally:
            for number, handler in before.items():
                if signal.getsignal(number) is not handler:  # which only the main thread can have changed
                    signal.signal(number, handler)
    assert PASSWORD not in said.getvalue() + complained.getvalue()
    return subprocess.CompletedProcess(arguments, code, said.getvalue(), complained.getvalue())


def checks(folder: Path, text: str = "", *, listen: str = "127.0.0.1:0", url: str = "http://127.0.0.1:9/") -> Path:
    file = folder / "checks.yaml"
    file.write_text(
        f"""\
agent: {{listen: "{listen}", state_dir: state, vantage: {{name: test}}}}
sinks:
  terminal: {{type: console}}
services:
  shop: {{title: Web shop, outage: any of home}}
checks:
  - name: home
    service: shop
    probe: http
    url: {url}
    every: 1s
    headers: {{authorization: "Bearer ${{SHOP_PASSWORD}}"}}
{text}
"""
    )
    return file


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """A state directory, as by an agent that runs."""
    with (directory / "agent.lock").open("w") as lock:
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def in_thread(*arguments: str | Path, columns: str = "100") -> subprocess.CompletedProcess[str]:
    """While this loop serves what the command asks. A look sets up the log of its process, so it gets one."""
    command = brownout if arguments[0] == "look" else called
    return await asyncio.to_thread(lambda: command(*arguments, COLUMNS=columns))
