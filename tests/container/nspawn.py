"""A machine of its own to break: a tree of Debian, booted by systemd-nspawn, with its own network, gone when we are.

All that it writes goes into memory, above the tree. It is ended by its process; if the tests are killed, so is it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TREE = Path(os.environ.get("BROWNOUT_CONTAINER_TREE", "build/container/tree"))
BOOT, COMMAND, OFF = 60.0, 60.0, 20.0
"""Seconds that booting, one command, and switching off may take."""
_MEMORY_V1 = Path("/sys/fs/cgroup/memory")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> str | None:
    """Why no machine can be booted here; None where one can."""
    if os.geteuid() != 0:
        return "only root boots containers"
    programs = [name for name in ("systemd-nspawn", "nsenter", "setpriv", "dpkg-deb") if shutil.which(name) is None]
    if programs:
        return f"{', '.join(programs)} not installed here"
    return None if TREE.is_dir() else f"no tree at {TREE}: packaging/container-tree {TREE.parent} makes one"


class Machine:
    """A booted container, by the process of its systemd."""

    def __init__(self, init: int) -> None:
        self._init = init

    def try_to(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script of bash in it, as root."""
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        clean = ("env", "-i", f"PATH={_PATH}", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
        inside = ["nsenter", f"--target={self._init}", *spaces, *clean, "bash", "-c", script]
        return subprocess.run(
            inside, capture_output=True, text=True, timeout=COMMAND, check=False, stdin=subprocess.DEVNULL
        )

    def do(self, script: str) -> str:
        """What it prints; it must succeed."""
        done = self.try_to(script)
        assert done.returncode == 0, (
            f"{script}\n{done.stdout}{done.stderr}\n{self.try_to('journalctl -n 40 -o cat').stdout}"
        )
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        self.do(f"cat > {path} <<'END-OF-FILE'\n{text}\nEND-OF-FILE")

    def show(self, name: str) -> str:
        """A property of the agent's unit."""
        return self.do(f"systemctl show brownout.service --property={name} --value")

    def status(self) -> dict[str, Any]:
        """What the agent says of everything; empty while it does not answer. Bash asks: a Python a poll is dear."""
        asked = r"printf 'GET /api/v1/status HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3 && cat <&3"
        done = self.try_to(f"exec 3<>/dev/tcp/127.0.0.1/9788 && {asked}")
        _, _, body = done.stdout.partition("\n\n")
        return json.loads(body) if body else {}

    def check(self, name: str) -> dict[str, Any]:
        return next((check for check in self.status().get("checks", ()) if check["name"] == name), {})

    def divides_memory(self) -> bool:
        """Whether its systemd can limit memory, as it does on a real machine. It may have to be told first that it
        can: the groups of the kernel's older interface are read-only when it boots."""
        self.try_to("mount -o remount,bind,rw /sys/fs/cgroup/memory && systemctl daemon-reexec")
        self.do("systemctl restart brownout")
        return self.show("MemoryCurrent").isdecimal()

    def until(self, holds: Callable[[], bool], what: str, patience: float = 40.0) -> None:
        deadline = time.monotonic() + patience
        while not holds():
            if time.monotonic() > deadline:
                log = self.try_to(
                    "systemctl status brownout --no-pager -l; journalctl -u brownout -n 40 -o cat"
                ).stdout
                raise AssertionError(f"waited {patience:g} s in vain for {what}\n{log}")
            time.sleep(0.2)


@contextmanager
def booted(packages: Path, log: Path) -> Iterator[Machine]:
    """Boot the tree, with a folder of packages at /root/packages. `log` gets what the console says."""
    name = f"brownout-test-{os.getpid()}"
    with _memory_group(name) as entering, _boot(name, [*entering, *_nspawn(name, packages)], log) as machine:
        yield machine


def _nspawn(name: str, packages: Path) -> list[str]:
    return ["setpriv", "--pdeathsig=KILL", "systemd-nspawn", "--quiet", f"--directory={TREE.resolve()}",
               "--volatile=overlay", f"--machine={name}", "--register=no", "--keep-unit", "--private-network",
               "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe",
               f"--bind-ro={packages}:/root/packages", "--boot"]  # fmt: skip


@contextmanager
def _memory_group(name: str) -> Iterator[list[str]]:
    """A control group that counts memory, for the container's systemd to divide; what a command is started with to
    begin in it. Nothing, where there is none to be had."""
    group = (_MEMORY_V1 if _MEMORY_V1.is_dir() else _MEMORY_V1.parent) / name
    try:
        group.mkdir()
    except OSError:
        yield []
        return
    try:
        yield ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(group / "cgroup.procs")]
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    """Whoever was in it has ended; the kernel takes a moment to know that."""
    deadline = time.monotonic() + OFF
    while group.exists() and time.monotonic() < deadline:
        for folder in sorted((group, *filter(Path.is_dir, group.rglob("*"))), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        time.sleep(0.05)


@contextmanager
def _boot(name: str, command: list[str], log: Path) -> Iterator[Machine]:
    with log.open("w") as console:
        container = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
    try:
        machine = Machine(_init_of(container, log))
        machine.until(lambda: machine.try_to("systemctl is-system-running").stdout.strip() == "running", "boot", BOOT)
        yield machine
    finally:
        container.terminate()  # nspawn asks its systemd to switch off
        try:
            container.wait(OFF)
        except subprocess.TimeoutExpired:
            container.kill()  # and what is inside goes with it
            container.wait(OFF)
        with suppress(OSError):
            Path("/run/systemd/nspawn/propagate", name).rmdir()


def _init_of(container: subprocess.Popen[bytes], log: Path) -> int:
    """The number, out here, of the container's first process."""
    deadline = time.monotonic() + BOOT
    children = Path(f"/proc/{container.pid}/task/{container.pid}/children")
    while time.monotonic() < deadline and container.poll() is None:
        for child in map(int, children.read_text().split()):
            with suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return child
        time.sleep(0.1)
    raise AssertionError(f"the container did not boot:\n{log.read_text()[-3000:]}")
