"""Signals that ask for a reload, or for nothing: they end no agent, however early they come."""

from __future__ import annotations

import signal
from pathlib import Path

from monitor.signals import MEANINGLESS
from tests.end_to_end.rig import agent, until

CHECKS = """\
agent: {listen: "127.0.0.1:0", state_dir: state}
checks: [{name: home, probe: tcp, address: "127.0.0.1:9"}]
"""


async def test_during_the_start_no_signal_is_the_end_and_a_hangup_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "checks.yaml"
    file.write_text(CHECKS)
    early = (signal.SIGHUP, *MEANINGLESS)
    with agent(tmp_path, "run", file) as running:
        caught = sum(1 << (number - 1) for number in early)
        await until(lambda: _caught(running.process.pid) & caught == caught, "the signals to be caught")
        for number in early:
            running.process.send_signal(number)
        assert not running.lines("started")
        await running.started()
        await until(lambda: bool(running.lines("reloaded")), "the file to be read again")
        for number in MEANINGLESS:
            running.process.send_signal(number)
        running.process.send_signal(signal.SIGHUP)
        await until(lambda: len(running.lines("reloaded")) == 2, "another reload")
        assert await running.stop() == 0


def _caught(pid: int) -> int:
    """The signals for which the process has handlers, as bits."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("SigCgt:")[2].split()[0], 16)
