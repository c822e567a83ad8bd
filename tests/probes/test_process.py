"""The process probe against real processes: started, replaced, killed, leaking, left as zombies."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from monitor.config.kinds import default_conditions
from monitor.core.judge import Judge
from monitor.core.model import Look
from probes.contract import BadField, Context, Observation, Reason
from probes.process import Process
from tests.core.builders import check, moment
from tests.servers import end, wait_until

Start = Callable[..., subprocess.Popen[bytes]]
_NUMBERS = count()
BUSY = "while True: pass"
PARENT = """
import os, sys, time
children = []
for _ in range(3):
    children.append(os.fork())
    if children[-1] == 0:
        time.sleep(1000)
print(*children, flush=True)
time.sleep(1000)
"""
HOLDER = """
import os, sys, time
files = [os.open('/dev/null', 0) for _ in range(int(sys.argv[1]))]
print('ready', flush=True)
time.sleep(1000)
"""
GROUPS = next(
    (
        Path(path)
        for path in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
        if Path(path, "cgroup.procs").exists() and os.access(path, os.W_OK)
    ),
    None,
)


@pytest.fixture
def name() -> str:
    """Of a program that nobody else runs, nor the test before: one reading of /proc may serve both."""
    return f"br{os.getpid() % 100_000}x{next(_NUMBERS)}"


@pytest.fixture
def start(tmp_path: Path, name: str) -> Iterator[Start]:
    """Starts programs, a sleeper called `name` by default, and ends them."""
    program = tmp_path / name
    shutil.copy("/bin/sleep", program)
    started: list[subprocess.Popen[bytes]] = []

    def begin(*command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command or [str(program), "1000"], stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        if not command:  # it is called so from its exec on
            wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text().strip() == name, "it runs")
        return process

    yield begin
    for process in started:
        end(process, signal.SIGKILL)
        assert process.stdout is not None
        process.stdout.close()


async def _later() -> None:
    """Let so much time pass that another reading of /proc is made, and CPU can be told."""
    await asyncio.sleep(0.55)


def _line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


async def test_by_name(start: Start, name: str, context: Context) -> None:
    probe = Process(program=name)
    seen = await probe.look(context)
    assert (seen.reason, seen.detail) == (Reason.MISSING, f"no process runs with program {name}")
    assert seen.measurements == {"count": 0}
    first, _ = start(), start()
    await _later()
    seen = await probe.look(context)
    assert seen.ok, seen
    figures = dict(seen.measurements)
    assert figures.pop("count") == 2
    assert figures.pop("threads") == 2
    assert figures.pop("zombies") == 0
    assert 0 < figures.pop("open_fds") < 0.5
    assert 100_000 < figures.pop("rss") < 50_000_000
    assert 0 <= figures.pop("youngest") <= figures.pop("uptime") < 60
    assert not figures, "no rates yet"
    assert seen.evidence["main"] == f"{name}[{first.pid}]"


async def test_by_command_line(start: Start, name: str, context: Context) -> None:
    start(sys.executable, "-c", "import time; time.sleep(1000)", name, "--queue=mails")
    wait_until(
        lambda: subprocess.run(["pgrep", "-f", f"{name} "], check=False, stdout=subprocess.DEVNULL).returncode == 0,
        "x",
    )
    await _later()
    assert (await Process(matches=f"{name} --queue=(mails|news)$").look(context)).measurements["count"] == 1
    assert (await Process(matches=f"{name} --queue=x").look(context)).reason is Reason.MISSING
    assert (await Process(matches=name, program=name).look(context)).reason is Reason.MISSING, "both must be true"


async def test_by_pidfile(start: Start, name: str, context: Context, tmp_path: Path) -> None:
    pidfile = tmp_path / "x.pid"
    probe = Process(pidfile=str(pidfile))
    assert (await probe.look(context)).reason is Reason.MISSING
    parent = start(sys.executable, "-c", PARENT)
    children = _line(parent).split()
    pidfile.write_text(f"{parent.pid}\n")
    await _later()
    seen = await probe.look(context)
    assert seen.measurements["count"] == 4, "the process and all that descend from it"
    os.kill(int(children[0]), signal.SIGKILL)
    await _later()
    seen = await probe.look(context)
    assert (seen.measurements["count"], seen.measurements["zombies"]) == (3, 1), "nobody reaps it"
    seen = await replace(probe, program=name).look(context)
    assert seen.reason is Reason.MISSING
    assert "was left behind: its number is now that of python" in seen.detail
    pidfile.write_text("rubbish")
    assert (await probe.look(context)).reason is Reason.SOURCE
    pidfile.write_text("4194999")
    assert "there is no process 4194999" in (await probe.look(context)).detail
    pidfile.unlink()
    pidfile.mkdir()
    assert (await probe.look(context)).reason is Reason.DENIED


async def test_a_pidfile_on_a_disk_that_hangs(make_context: Callable[[float], Context], tmp_path: Path) -> None:
    """A FIFO: opening it waits for ever, as a dead file server does."""
    path = tmp_path / "x.pid"
    os.mkfifo(path)
    probe = Process(pidfile=str(path))
    assert [(await probe.look(make_context(0.2))).reason for _ in range(2)] == [Reason.HUNG] * 2
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # let go of the thread


async def test_by_cgroup(start: Start, name: str, context: Context) -> None:
    if GROUPS is None:
        pytest.skip("needs a control group to write to")
    name = f"brownout-test-{os.getpid()}.service"
    probe = Process(cgroup=name)
    assert (await probe.look(context)).detail == f"there is no control group {name}: nothing of it runs"
    group = GROUPS / name
    inner = group / "inner"
    inner.mkdir(parents=True)
    try:
        outside, inside = start(), [start(), start()]
        (group / "cgroup.procs").write_text(str(inside[0].pid))
        (inner / "cgroup.procs").write_text(str(inside[1].pid))
        seen = await probe.look(context)
        assert seen.measurements["count"] == 2
        assert outside.poll() is None
        for process in inside:
            process.kill()
            process.wait()
        wait_until(lambda: not (inner / "cgroup.procs").read_text(), "they are gone")
        assert (await probe.look(context)).reason is Reason.MISSING
    finally:
        wait_until(lambda: not _try(inner.rmdir, group.rmdir), "the groups are gone")


def _try(*calls: Callable[[], object]) -> bool:
    try:
        for call in calls:
            call()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


async def test_cpu_and_what_was_started(start: Start, name: str, context: Context) -> None:
    busy = start(sys.executable, "-c", BUSY, name)
    await _later()
    probe = Process(matches=f" -c {BUSY} {name}$")
    assert "cpu" not in (await probe.look(context)).measurements
    await _later()
    seen = await probe.look(context)
    assert 0.1 < seen.measurements["cpu"] < 1.3
    assert seen.measurements["started"] == 0
    start(sys.executable, "-c", BUSY, name)
    await _later()
    seen = await probe.look(replace(context, scheduled=False))
    assert (seen.measurements["count"], seen.measurements["started"]) == (2, 1)
    assert (await probe.look(context)).measurements["started"] == 1, "an extra look takes nothing from the next"
    assert seen.measurements["restarts"] == 0, "a worker more is no restart"
    busy.kill()
    busy.wait()
    await _later()
    assert (await probe.look(context)).measurements["restarts"] == 1, "the main one is another now"
    assert "cpu" not in (await Process(matches=name).look(context)).measurements, "nothing known of before"


async def test_descriptors(start: Start, name: str, context: Context) -> None:
    shell = ["sh", "-c", 'ulimit -Sn 100; exec "$@"', "sh", sys.executable, "-c", HOLDER]
    many, few = start(*shell, "90", name), start(*shell, "10", name)
    assert (_line(many), _line(few)) == ("ready", "ready")
    await _later()
    seen = await Process(matches=f" {name}$").look(context)
    assert seen.measurements["open_fds"] == pytest.approx(0.93)
    assert seen.evidence["open_fds"].endswith(f"[{many.pid}]: 93 of 100")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another user, and mounts")
@pytest.mark.parametrize(
    ("mount", "reason"), [("true", Reason.MISSING), ("mount -t proc -o hidepid=2 proc /proc", Reason.DENIED)]
)
def test_processes_of_others(start: Start, name: str, mount: str, reason: Reason) -> None:
    """As nobody, on a machine that hides processes of others and on one that does not."""
    script = f"""
import asyncio
from probes._names.system_resolver import SystemResolver
from probes._tls.contexts import SharedTls
from probes.contract import Context
from probes.process import Process
async def main():
    context = Context(5, SystemResolver(), SharedTls(), {{}})
    for name in ("{name}", "no-such"):
        seen = await Process(program=name).look(context)
        print(seen.reason and seen.reason.value, seen.measurements.get("count"), "open_fds" in seen.measurements)
asyncio.run(main())
"""
    start()
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", script]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{mount}; exec "$@"', "sh", *as_nobody],
        capture_output=True, text=True, check=False, timeout=30, env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"nobody can read this project, or no mounts: {done.stderr[-200:]}")
    first, second = done.stdout.splitlines()
    assert second == f"{reason.value} {'0.0' if reason is Reason.MISSING else 'None'} False"
    if reason is Reason.MISSING:
        assert first.startswith("None 1.0")
    else:
        assert first == second


async def test_two_thousand_processes(start: Start, name: str, context: Context) -> None:
    """One look reads all, and the loop turns on meanwhile."""
    each_is_what_it_is_to_be = "until [ $(pgrep -xc -P $$ sleep) -ge 2000 ]; do :; done"
    crowd = start(
        "bash", "-c", f"for i in $(seq 2000); do sleep 1000 & done; {each_is_what_it_is_to_be}; echo ready; wait"
    )
    assert _line(crowd) == "ready"
    running, lags = True, [0.0]

    async def watch() -> None:
        while running:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            lags.append(time.perf_counter() - before - 0.001)

    watching = asyncio.create_task(watch())
    probes = [Process(program="sleep"), Process(matches="^sleep 1000$"), Process(program="bash")]
    began = time.perf_counter()
    seen = await asyncio.gather(*(probe.look(context) for probe in probes))
    took = time.perf_counter() - began
    running = False
    await watching
    assert seen[0].measurements["count"] >= 2000
    assert seen[1].measurements["count"] >= 2000
    assert took < 3
    print(f"three looks at 2,000 processes: {took * 1000:.0f} ms; worst lag {max(lags) * 1000:.1f} ms")
    assert len(lags) > 20, "the loop had its turns meanwhile"


async def test_from_degraded_to_down_and_back(start: Start, name: str, context: Context) -> None:
    """The whole way, with the probe's own thresholds: a leak, a death, a crash loop, peace."""
    judge = Judge(check("web", *default_conditions(Process), every=timedelta(seconds=30)), None, moment(0))
    probe = Process(program=name)
    states: list[str] = []
    beat = 0

    async def see(seen: Observation) -> None:
        nonlocal beat
        judge.observe(Look("web", seen, moment(beat * 30), moment(beat * 30 + 0.1), limit=10, scheduled=True))
        beat += 1
        if not states or states[-1] != judge.state.value:
            states.append(judge.state.value)

    process = start()
    await asyncio.sleep(0.2)
    for _ in range(3):
        await see(await probe.look(context))
    for _ in range(3):  # three restarts within ten looks
        process.kill()
        process.wait()
        process = start()
        await asyncio.sleep(0.2)
        await see(await probe.look(context))
    process.kill()
    process.wait()
    await asyncio.sleep(0.2)
    for _ in range(4):
        await see(await probe.look(context))
    start()
    await asyncio.sleep(0.2)
    for _ in range(60):
        await see(await probe.look(context))
    assert states == ["up", "degraded", "down", "degraded", "up"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "program"),
        ({"matches": "("}, "matches"),
        ({"pidfile": "x.pid"}, "pidfile"),
        ({"cgroup": "../x"}, "cgroup"),
    ],
)
def test_bad_fields(fields: dict[str, str], field: str) -> None:
    with pytest.raises(BadField) as caught:
        Process(**fields)
    assert caught.value.field == field
