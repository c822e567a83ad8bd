"""sd_notify over a real datagram socket, and the unit file as systemd itself reads it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.systemd import Notifier, Watchdog, watchdog_period
from tests.web.made import StillClock

UNIT = Path(__file__).parent.parent / "systemd" / "brownout.service"


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """systemd's end of the socket, and what it would put into NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = f"@brownout-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
        listening.bind(name.replace("@", "\0", 1))
        listening.settimeout(5)
        yield listening, name


def test_states_arrive_as_systemd_expects_them(manager: tuple[socket.socket, str]) -> None:
    listening, address = manager
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": address})
    assert notifier.ready("watching 12 checks")
    assert listening.recv(4096) == b"READY=1\nSTATUS=watching 12 checks"
    assert notifier.status("1 service\nWATCHDOG=trigger")
    assert listening.recv(4096) == b"STATUS=1 service WATCHDOG=trigger"
    assert notifier.reloading(StillClock())
    assert listening.recv(4096) == b"RELOADING=1\nMONOTONIC_USEC=1000000000"
    assert notifier.stopping()
    assert listening.recv(4096) == b"STOPPING=1"
    notifier.close()
    notifier.close()
    assert not notifier.stopping()


def test_the_watchdog_is_fed_four_times_a_period(manager: tuple[socket.socket, str]) -> None:
    listening, address = manager
    clock = StillClock()
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier.from_environ(environ)
    watchdog = Watchdog.from_environ(environ, notifier, clock)
    assert watchdog.every == 7.5
    for tenths in range(300):
        clock.at = tenths / 10
        watchdog.feed()
    notifier.close()
    listening.setblocking(False)
    assert [listening.recv(4096) for _ in range(4)] == [b"WATCHDOG=1"] * 4
    with pytest.raises(BlockingIOError):
        listening.recv(4096)


def test_a_feed_that_was_not_heard_is_tried_again_at_the_next_pass(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    notifier, clock = Notifier(str(address)), StillClock()
    watchdog = Watchdog(notifier, clock, 30.0)
    watchdog.feed()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(address))
        clock.at = 0.1
        watchdog.feed()
        listening.setblocking(False)
        assert listening.recv(4096) == b"WATCHDOG=1"
    notifier.close()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_a_manager_nothing_happens(environ: dict[str, str]) -> None:
    notifier = Notifier.from_environ(environ)
    watchdog = Watchdog.from_environ({"WATCHDOG_USEC": "30000000"}, notifier, StillClock())
    watchdog.feed()
    assert watchdog.every is None
    assert not notifier.ready()
    assert not notifier.enabled


@pytest.mark.parametrize(
    ("environ", "period"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_period(environ: dict[str, str], period: float | None) -> None:
    assert watchdog_period(environ, 7) == period


def unit() -> dict[tuple[str, str], list[str]]:
    """(section, key) -> values. Not configparser: a unit file may say a key twice."""
    found: dict[tuple[str, str], list[str]] = {}
    section = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault((section, key), []).append(value)
    return found


def test_the_unit_says_what_the_agent_relies_on() -> None:
    expected = {
        "Type": "notify",
        "NotifyAccess": "main",
        "WatchdogSec": "30",
        "ExecStart": "/opt/brownout/bin/brownout run /etc/brownout/checks.yaml",
        "Restart": "always",
        "RestartSec": "5",
        "ProtectHome": "read-only",
        "DynamicUser": "yes",
        "StateDirectory": "brownout",
        "ProtectSystem": "strict",
        "MemoryMax": "1G",
    }
    told = {key: values[-1] for (section, key), values in unit().items() if section == "Service"}
    assert expected.items() <= told.items()
    assert "RestartPreventExitStatus" not in told, "a port that was briefly taken must not keep the agent down"
    assert "LoadCredential" not in told, "an example only: a missing file would keep the service from starting"


def test_no_key_is_said_twice() -> None:
    assert [key for key, values in unit().items() if len(values) > 1] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
def test_systemd_finds_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    # The one thing that may differ here is where the program is: verify wants it to exist.
    program = tmp_path / "brownout"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / "brownout.service"
    copy.write_text(UNIT.read_text().replace("/opt/brownout/bin/brownout", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=50, check=False
    )
    # systemd 252 exits with 0 whatever it finds: any output is a failure.
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
