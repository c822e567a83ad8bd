"""The host probe: what the kernel counts, against what the machine itself says, and what a sandbox hides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from probes.contract import Context
from probes.host import Host

ROOT = Path(__file__).parents[2]
LOOK = """
import asyncio, json
from probes._names.system_resolver import SystemResolver
from probes._tls.contexts import SharedTls
from probes.contract import Context
from probes.host import Host
seen = asyncio.run(Host(disks=("/",)).look(Context(5, SystemResolver(), SharedTls(), {})))
print(json.dumps([seen.reason, sorted(seen.measurements), dict(seen.evidence)]))
"""


@contextmanager
def _sleepers(count: int) -> Iterator[None]:
    started = [subprocess.Popen(["sleep", "100"]) for _ in range(count)]
    yield
    for sleeper in started:
        sleeper.kill()
        sleeper.wait()


async def test_limits_and_clock(context: Context) -> None:
    figures = (await Host(disks=("/",)).look(context)).measurements
    for name in ("open_files", "tasks_used"):
        assert 0 <= figures[name] < 1, name
    assert ("conntrack_used" in figures) == Path("/proc/sys/net/netfilter/nf_conntrack_max").exists()  # noqa: ASYNC240
    assert figures["clock_unsynced"] in (0, 1)
    assert 0 <= figures["clock_offset"] < 1
    assert 0 <= figures["clock_error"] <= 16.1, "the kernel's own bound"


async def test_tasks_follow_the_machine(context: Context) -> None:
    before = (await Host(disks=("/",)).look(context)).measurements["tasks_used"]
    with _sleepers(300):
        after = (await Host(disks=("/",)).look(context)).measurements["tasks_used"]
    most = int(Path("/proc/sys/kernel/pid_max").read_text())  # noqa: ASYNC240
    assert after - before > 100 / most, "others come and go meanwhile"


async def test_disks_at_work(context: Context, tmp_path: Path) -> None:
    host = Host(disks=("/",))
    first = await host.look(context)
    assert "io_busy" not in first.measurements
    if not json.loads(str(context.memory["disks"])):
        pytest.skip("no disk that the kernel counts for")
    assert "io_busy" not in (await host.look(context)).measurements, "too soon to tell"
    context.memory["disks_at"] = float(context.memory["disks_at"]) - 10
    with (tmp_path / "file").open("wb") as file:
        for _ in range(20):
            file.write(os.urandom(1 << 20))
            os.fsync(file.fileno())
    figures = (await host.look(context)).measurements
    assert 0 <= figures["io_busy"] <= 1
    assert 0 < figures["io_latency"] < 5, "some of the 20 MB went to a disk"
    context.memory["disks"] = json.dumps({name: [10**15] * 3 for name in json.loads(str(context.memory["disks"]))})
    context.memory["disks_at"] = float(context.memory["disks_at"]) - 10
    assert "io_busy" not in (await host.look(context)).measurements, "counters that fell tell nothing"
    context.memory["disks_at"] = 1e12
    assert "io_busy" not in (await host.look(context)).measurements, "the machine has booted since"


def killed() -> int:
    """Processes that this machine has killed for want of memory."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    pytest.skip("this kernel does not count them")


async def test_kills_are_counted_since_the_last_look(context: Context) -> None:
    while True:
        context.memory.clear()
        before = killed()
        told = await looks_over_kills(context, float(before))
        if killed() == before:  # else another test had something killed meanwhile
            break
    assert told == [None, 0, 2, 2, before], "an extra look takes nothing from the next; lastly, it has booted since"


async def looks_over_kills(context: Context, count: float) -> list[float | None]:
    host = Host(disks=("/",))
    first = await host.look(context)
    second = await host.look(context)
    context.memory["oom_kills"] = count - 2
    extra = await host.look(replace(context, scheduled=False))
    third = await host.look(context)
    context.memory["oom_kills"] = count + 5
    last = await host.look(context)
    return [look.measurements.get("oom_kills") for look in (first, second, extra, third, last)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts")
def test_a_sandbox_that_hides_most_of_proc() -> None:
    """As with ProcSubset=pid: what is hidden is left out and named, and the disks are looked at none the less."""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", 'mount -t proc -o subset=pid proc /proc; exec "$@"', "sh", sys.executable,
         "-c", LOOK],
        capture_output=True, text=True, check=False, timeout=30,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    if "mount:" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr[-200:]}")
    reason, names, evidence = json.loads(done.stdout)
    assert reason is None, done
    assert "disk_used" in names
    assert not {"cpu", "open_files", "tasks_used", "oom_kills", "io_busy"} & set(names)
    assert "/proc/vmstat" in evidence["hidden"] or "/proc/sys" in evidence["hidden"]
