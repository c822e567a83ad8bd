"""The host probe: figures of this machine, and a mount that hangs blocks nobody."""

from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path

import pytest

from probes._system.mounts import Space, Watchers, local_mounts
from probes.contract import BadField, Context, Reason
from probes.host import Host

pytestmark = pytest.mark.both_loops

ROOMY = Space(total=1000, free=500, available=400, inodes=100, inodes_free=90)
FULL = Space(total=1000, free=100, available=0, inodes=0, inodes_free=0)


class FakeFileSystems:
    """Answers by path; an Event hangs until it is set, an error is raised."""

    def __init__(self, **answers: Space | Exception | threading.Event) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def space(self, path: str) -> Space:
        self.asked.append(path)
        answer = self._answers[path.strip("/")]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, threading.Event):
            answer.wait(10)
            return ROOMY
        return answer


async def test_this_machine(context: Context) -> None:
    seen = await Host(disks=("/",)).look(context)
    assert seen.ok, seen
    assert "cpu" not in seen.measurements
    names = {measurement.name: measurement.unit for measurement in Host.measurements}
    assert seen.measurements.keys() <= names.keys()
    for name, value in seen.measurements.items():
        assert value >= 0, name
        if names[name] == "ratio":
            assert value <= 1, name
    assert seen.evidence["disk_used"].startswith("/ (")


async def test_cpu_is_counted_since_the_last_look(context: Context) -> None:
    context.memory.update(cpu_total=0.0, cpu_idle=0.0)
    assert 0 <= (await Host(disks=("/",)).look(context)).measurements["cpu"] <= 1
    kept = dict(context.memory)
    # At once again: too little has passed to tell, and the counters go on from where they were.
    assert "cpu" not in (await Host(disks=("/",)).look(context)).measurements
    assert context.memory == kept
    # A machine that has booted begins again at zero.
    context.memory.update(cpu_total=1e15, cpu_idle=1e15)
    assert "cpu" not in (await Host(disks=("/",)).look(context)).measurements
    assert context.memory["cpu_total"] != 1e15


async def test_the_worst_disk_is_reported(context: Context) -> None:
    watchers = Watchers(FakeFileSystems(roomy=ROOMY, full=FULL))
    seen = await Host(disks=("/roomy", "/full"), _watchers=watchers).look(context)
    assert seen.measurements["disk_used"] == 1
    assert seen.measurements["disk_free"] == 0
    assert seen.measurements["inodes_used"] == pytest.approx(0.1)
    assert seen.evidence["disk_used"] == "/full (100.0%)"
    assert seen.evidence["inodes_used"] == "/roomy (10.0%)"


async def test_a_hung_mount_blocks_nobody(make_context: object, context: Context) -> None:
    assert callable(make_context)
    release = threading.Event()
    fake = FakeFileSystems(nfs=release, roomy=ROOMY)
    watchers = Watchers(fake)
    hung = Host(disks=("/nfs", "/roomy"), _watchers=watchers)
    looks = [asyncio.create_task(hung.look(make_context(0.2))) for _ in range(5)]
    # Meanwhile others are looked at as ever.
    assert (await Host(disks=("/roomy",), _watchers=watchers).look(context)).ok
    seen = await asyncio.gather(*looks)
    assert {(each.reason, each.detail) for each in seen} == {(Reason.HUNG, "the file system at /nfs does not answer")}
    assert seen[0].measurements["disk_used"] > 0, "the other disk is reported none the less"
    assert fake.asked.count("/nfs") == 1, "never a second thread on the same hung mount"
    assert (await hung.look(make_context(0.1))).reason is Reason.HUNG
    assert fake.asked.count("/nfs") == 1
    release.set()
    for thread in threading.enumerate():
        if thread.name == "statvfs /nfs":
            thread.join(5)
    assert (await hung.look(context)).ok, "a mount that came back is looked at again"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(errno.ENOENT, "no"), Reason.MISSING),
        (PermissionError(errno.EACCES, "no"), Reason.DENIED),
        (OSError(errno.ESTALE, "stale file handle"), Reason.MISSING),
    ],
)
async def test_trouble(context: Context, error: OSError, reason: Reason) -> None:
    watchers = Watchers(FakeFileSystems(x=error))
    seen = await Host(disks=("/x",), _watchers=watchers).look(context)
    assert seen.reason is reason
    assert "/x" in seen.detail
    assert "memory_used" in seen.measurements


def test_mounts_that_count(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "22 27 0:21 / /proc rw - proc proc rw\n"
        "27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
        "30 27 8:1 /x /var/lib/docker/bind rw - ext4 /dev/sda1 rw\n"
        "31 27 8:17 / /data\\040one rw master:2 - xfs /dev/sdb1 rw\n"
        "32 27 8:33 / /cd ro - ext4 /dev/sdc1 ro\n"
        "33 27 8:2 / /boot/efi rw - vfat /dev/sda2 rw\n"
        "34 27 0:40 / /nfs rw - nfs4 server:/x rw\n"
        "35 27 0:41 / /run rw - tmpfs tmpfs rw\n"
    )
    assert local_mounts(str(mounts)) == ("/", "/data one")


def test_mounts_as_a_sandbox_shows_them(tmp_path: Path) -> None:
    """Everything read-only for us is as writable as before; what is hidden behind another mount is not looked at."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "27 1 8:1 / / ro,relatime - ext4 /dev/sda1 rw\n"
        "31 27 8:17 / /srv ro - xfs /dev/sdb1 rw\n"
        "32 27 8:33 / /home ro - ext4 /dev/sdc1 rw\n"
        "33 32 8:49 / /home/data ro - ext4 /dev/sdd1 rw\n"
        "34 27 8:65 / /root/data ro - ext4 /dev/sde1 rw\n"
        "40 32 0:50 /systemd/inaccessible/dir /home ro - tmpfs tmpfs rw\n"
        "41 27 0:50 /systemd/inaccessible/dir /root ro - tmpfs tmpfs rw\n"
        "42 27 8:1 /tmp/private /tmp rw - ext4 /dev/sda1 rw\n"
    )
    assert local_mounts(str(mounts)) == ("/", "/srv")


async def test_what_a_sandbox_hides_has_no_figures(context: Context, tmp_path: Path) -> None:
    hidden = tmp_path / "home"
    hidden.mkdir(mode=0o000)
    seen = await Host(disks=(str(hidden),)).look(context)
    assert seen.reason is Reason.DENIED
    assert "disk_used" not in seen.measurements


async def test_a_disk_that_was_only_found_may_be_closed_to_us(context: Context) -> None:
    """Below somebody's private folder, say. The others are looked at none the less."""
    closed = PermissionError(errno.EACCES, "Permission denied")
    watchers = Watchers(FakeFileSystems(**{path.strip("/"): closed for path in local_mounts()}))
    seen = await Host(_watchers=watchers).look(context)
    assert seen.ok, seen
    assert "disk_used" not in seen.measurements
    assert "/: Permission denied" in seen.evidence["hidden"]


def test_bad_disks() -> None:
    with pytest.raises(BadField):
        Host(disks=("var",))
