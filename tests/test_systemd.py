"""sd_notify over a real datagram socket, and the unit file as systemd itself reads it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.systemd import Notifier, Watchdog, watchdog_period
from tests.web.made import StillClock

SYSTEMD = Path(__file__).parent.parent / "systemd"
UNIT = SYSTEMD / "brownout.service"
DROP_INS = sorted((SYSTEMD / "drop-ins").glob("*.conf"))
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


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
    assert notifier.stopping("1 service\nWATCHDOG=trigger")
    assert listening.recv(4096) == b"STOPPING=1\nSTATUS=1 service WATCHDOG=trigger"
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
        "ExecReload": "/bin/sh -c 'kill -HUP ${MAINPID}'",
        "DynamicUser": "yes",
        "LoadCredential": "secrets:/etc/brownout/secrets",
        "ConfigurationDirectory": "brownout/secrets",  # its absence would keep the agent from starting (243)
        "StateDirectory": "brownout",
        "ProtectSystem": "strict",
        "MemoryMax": "1G",
    }
    told = {key: values[-1] for (section, key), values in unit().items() if section == "Service"}
    assert expected.items() <= told.items()
    assert "RestartPreventExitStatus" not in told, "a port that was briefly taken must not keep the agent down"


def test_no_key_is_said_twice() -> None:
    twice = [key for (_, key), values in unit().items() if len(values) > 1]
    assert twice == ["SystemCallFilter"], "the second takes away from the first"


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def written(folder: Path, *drop_ins: Path) -> Path:
    """The unit with drop-ins, which are further [Service] sections. The program is elsewhere: it must exist."""
    program = folder / "brownout"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = folder / "brownout.service"
    text = UNIT.read_text().replace("/opt/brownout/bin/brownout", str(program))
    # It looks for the manual page, too.
    text = text.replace("Documentation=man:brownout(1)\n", "")
    copy.write_text(text + "".join(each.read_text() for each in drop_ins))
    return copy


@needs_systemd
@pytest.mark.parametrize("drop_ins", [[], *([each] for each in DROP_INS), DROP_INS], ids=lambda each: str(len(each)))
def test_systemd_finds_nothing_to_say_about_the_unit(drop_ins: list[Path], tmp_path: Path) -> None:
    done = analyze("verify", "--man=no", written(tmp_path, *drop_ins))
    # systemd 252 exits with 0 whatever it finds: any output is a failure.
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def exposure(unit: Path) -> str:
    """As systemd itself counts, from 0.0 (all closed) to 10.0."""
    told = analyze("security", "--offline=yes", unit).stdout
    found = re.search(r"exposure level for brownout.service: ([\d.]+)", told)
    assert found, told
    return found[1]


@needs_systemd
def test_the_exposure_of_the_unit(tmp_path: Path) -> None:
    assert float(exposure(written(tmp_path))) <= 1.5


@needs_systemd
@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda each: each.stem)
def test_each_drop_in_says_what_it_costs(drop_in: Path, tmp_path: Path) -> None:
    text = drop_in.read_text()
    told = re.fullmatch(r"# (\w+): .+?\n# Opens: .+?\n# Why: .+?\n# Exposure: (\S+) -> (\S+)\n\[Service\]\n.+",
                        text, re.DOTALL)  # fmt: skip
    assert told, text
    base, with_it = exposure(written(tmp_path)), exposure(written(tmp_path, drop_in))
    assert told.groups() == (drop_in.stem.title(), base, with_it)
    assert all(len(line) <= 120 for line in text.splitlines())
