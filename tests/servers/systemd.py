"""A systemd of the test's own: the real one, as PID 1 of a namespace, with the units that the test writes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import Absent, NotStarted, daemon, find

_SYSTEMD = ("/lib/systemd/systemd", "/usr/lib/systemd/systemd")
_BOOT = """\
read pid rest < /proc/self/stat && echo $pid > pid.new && mv pid.new pid
mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && cp units/* /run/systemd/system
mount -t cgroup2 cgroup2 /sys/fs/cgroup && mount -t proc proc /proc && mount -t tmpfs tmpfs /etc/systemd/system
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    "$0" --system --unit=test.target --log-target=console --show-status=no
"""
_TARGET = "[Unit]\nDescription=Nothing but what the test starts\nDefaultDependencies=no\n"


@dataclass(frozen=True)
class Systemd:
    """A system manager that runs. `systemctl` is the command line that reaches it."""

    systemctl: tuple[str, ...]

    def run(self, *arguments: str) -> str:
        """``systemctl ARGUMENTS``: its output. A unit that fails to start is no error here."""
        return subprocess.run(
            [*self.systemctl, *arguments], capture_output=True, text=True, timeout=20, check=False
        ).stdout


@contextmanager
def systemd(folder: Path, units: Mapping[str, str]) -> Iterator[Systemd]:
    """`units` are their files' texts by name; nothing of them is started. Needs root, and systemd's own program."""
    program = next((path for path in _SYSTEMD if Path(path).exists()), None)
    if program is None:
        raise Absent("needs systemd: apt-get install systemd")
    if os.geteuid() != 0:
        raise Absent("needs to run as root: a namespace with a systemd of its own")
    (folder / "units").mkdir()
    for name, text in {"test.target": _TARGET, **units}.items():
        (folder / "units" / name).write_text(text)
    namespaces = ("--pid", "--mount", "--uts", "--ipc", "--cgroup")
    command = [find("unshare", "util-linux"), *namespaces, "--fork", "--kill-child", "sh", "-ec", _BOOT, program]
    try:
        with daemon(command, folder, lambda: _answers(folder), stop=signal.SIGKILL):
            yield Systemd(_reach(folder))
    except NotStarted as error:
        raise Absent(f"needs the right to make namespaces and mounts: {error}") from error


def _reach(folder: Path) -> tuple[str, ...]:
    return ("nsenter", "--mount", "--pid", "--target", (folder / "pid").read_text().strip(), "systemctl")


def _answers(folder: Path) -> bool:
    if not (folder / "pid").exists():
        return False
    asked = [*_reach(folder), "is-active", "test.target"]
    return subprocess.run(asked, capture_output=True, timeout=10, check=False).stdout == b"active\n"
