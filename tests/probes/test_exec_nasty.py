"""Plug-ins that misbehave: nothing of them stays behind, nobody else waits, and no secret gets out."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from probes._system import spawn
from probes._system.spawn import clean_environment, run
from probes.contract import Context, Observation, Reason, Secret, Unit
from probes.exec import Exec
from tests.servers import wait_until


def _shell(text: str, **fields: object) -> Exec:
    return Exec(command=(text,), shell=True, **fields)  # type: ignore[arg-type]  # any of the fields


def _script(folder: Path, text: str, mode: int = 0o755) -> str:
    path = folder / "plugin"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def _none_left(mark: str) -> None:
    """Wait until no process has `mark` among its arguments, as killed ones need a moment to go."""

    def left() -> list[str]:
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            words = process.info["cmdline"] or []
            if mark in words and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(" ".join(words))
        return found

    wait_until(lambda: not left(), f"processes with {mark} are gone", 10)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  (what is waited for is another process)
            await asyncio.sleep(0.01)


def _children(name: str) -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if each.name() == name]


@pytest.fixture(autouse=True)
def _nothing_stays_behind() -> object:
    before = _descriptors()
    yield
    children = [child for child in psutil.Process().children() if child.name() in ("sh", "sleep", "plugin", "yes")]
    assert not children, "no zombie, no child"
    assert _descriptors() <= before + 4, "no descriptor but those of a loop's own"


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("echo hm; exit 3", Reason.PLUGIN_UNKNOWN, "it says that it cannot tell: hm"),
        ("exit 4", Reason.PLUGIN_UNKNOWN, "it ended with 4, which is no state of a plug-in (0 to 3): (nothing)"),
        ("no-such-program", Reason.PLUGIN_UNKNOWN, "it ended with 127"),
        ("exit 255", Reason.PLUGIN_UNKNOWN, "it ended with 255"),
        ("kill -KILL $$", Reason.PLUGIN_UNKNOWN, "it was killed by SIGKILL"),
        ("kill -SEGV $$", Reason.PLUGIN_UNKNOWN, "it was killed by SIGSEGV"),
        ("exec yes", Reason.PLUGIN_UNKNOWN, "it wrote more than 8 MiB and was stopped"),
        ("exec yes >&2", Reason.PLUGIN_UNKNOWN, "it wrote more than 8 MiB and was stopped"),
    ],
)
async def test_what_says_nothing(context: Context, text: str, reason: Reason, detail: str) -> None:
    seen = await _shell(text).look(context)
    assert (seen.reason, seen.detail[: len(detail)]) == (reason, detail)
    assert "plugin_state" not in seen.measurements


@pytest.mark.parametrize("code", [0, 1, 2])
async def test_no_output_is_none_but_the_state_counts(context: Context, code: int) -> None:
    seen = await _shell(f"exit {code}").look(context)
    assert seen.ok
    assert seen.measurements["plugin_state"] == code
    assert seen.evidence["output"] == "(nothing)"


async def test_what_cannot_be_run(context: Context, tmp_path: Path) -> None:
    async def why(command: str, folder: str = "/") -> str:
        seen = await Exec(command=(command,), folder=folder).look(context)
        assert seen.reason is Reason.PLUGIN_UNKNOWN
        return seen.detail

    assert await why("/no/such/plugin") == "there is no program /no/such/plugin"
    assert (await why("no-such-plugin")).startswith("there is no program no-such-plugin in /usr/local/sbin:")
    assert await why(str(tmp_path)) == f"{tmp_path} is a folder"
    assert (await why(_script(tmp_path, "", 0o644))).endswith("may not be run by the agent's user")
    assert (await why(_script(tmp_path, "#!/no/such/interpreter\n"))).endswith("see its first line")
    assert "begins with #!" in await why(_script(tmp_path, "exit 0\n"))
    assert await why("true", "/no/such") == "the folder /no/such cannot be entered: No such file or directory"


async def test_sleepers_that_hold_the_output_are_ended_with_it(context: Context) -> None:
    began = time.monotonic()
    seen = await _shell("for i in 1 2 3 4 5; do sleep 1000.25 & done; echo fine").look(context)
    assert time.monotonic() - began < 3
    assert seen.measurements["plugin_state"] == 0
    assert seen.evidence["left_behind"] == "processes that held its output were ended"
    _none_left("1000.25")


@pytest.mark.parametrize(
    "text",
    [
        "sleep 1000.5 & sleep 1000.5",
        "trap '' TERM HUP INT; sleep 1000.5; sleep 1000.5",
        "timeout 900 sleep 1000.5 & timeout 900 sleep 1000.5",  # timeout(1) leads a group of its own
        "exec >&- 2>&-; sleep 1000.5",
        "while :; do sleep 1000.5 & sleep 0.05; done",
        "kill -STOP $$; sleep 1000.5",
    ],
)
async def test_the_time_limit_ends_all_of_it(make_context: Callable[[float], Context], text: str) -> None:
    began = time.monotonic()
    seen = await _shell(text).look(make_context(0.8))
    assert time.monotonic() - began < 2.5
    assert seen.reason is Reason.PLUGIN_TIMEOUT
    assert seen.measurements == {"run_time": pytest.approx(0.8, abs=1)}
    _none_left("1000.5")


async def test_it_is_asked_to_end_before_it_is_made_to(
    make_context: Callable[[float], Context], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    seen = await _shell(f"trap 'echo bye > {told}; exit 0' TERM; sleep 1000.75 & wait").look(make_context(0.8))
    assert seen.reason is Reason.PLUGIN_TIMEOUT
    assert told.read_text() == "bye\n"
    _none_left("1000.75")


async def test_a_look_that_is_stopped_takes_its_plugin_along(context: Context) -> None:
    task = asyncio.create_task(Exec(command=("sleep", "1000.875")).look(context))
    await _until(lambda: _children("sleep"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    _none_left("1000.875")


async def test_binary_and_huge_output(context: Context) -> None:
    seen = await _shell("head -c 3000000 /dev/urandom; exit 1").look(context)
    assert seen.measurements["plugin_state"] == 1
    assert all(min(text) >= " " and len(text) <= 300 for text in seen.evidence.values())
    seen = await _shell("echo 'a first line | a=1'; yes | head -c 3000000; exit 1", perfdata={"a": Unit.COUNT}).look(
        context
    )
    assert (seen.evidence["output"], seen.measurements["a"]) == ("a first line", 1), "it is there whatever follows"
    ended = await run(["sh", "-c", "head -c 3000000 /dev/zero"], timeout=5)
    assert (len(ended.output), ended.cut) == (65536, True)


async def test_secrets_stay_inside(context: Context, tmp_path: Path) -> None:
    script = _script(tmp_path, '#!/bin/sh\necho "$* $DB_PASSWORD" | tee /dev/stderr; exit 2\n')
    probe = Exec(
        command=(script, "--password", "hunter-two", "--token=hunter-three"),
        env={"DB_PASSWORD": Secret("hunter-four")},
    )
    seen = await probe.look(context)
    assert seen.evidence["output"] == "--password *** --token=*** ***"
    assert "hunter" not in repr(seen) + repr(probe) + probe.target
    assert probe.target == "plugin"
    assert "hunter" not in repr(Exec(command=(script, "--key", "hunter-two", "\0x"[1:])))


async def test_a_variable_of_the_shell_is_neither_the_target_nor_shown(context: Context, tmp_path: Path) -> None:
    script = _script(tmp_path, '#!/bin/sh\necho "with $PGPASSWORD"\n')
    probe = Exec(command=(f"PGPASSWORD='hunter-two' LANG=C {script} -x",), shell=True)
    assert probe.target == "plugin"
    assert (await probe.look(context)).evidence["output"] == "with ***"
    assert Exec(command=("TOKEN=hunter-two",), shell=True).target == "sh"


async def test_the_agents_environment_stays_inside(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_SECRET", "hunter-two")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    ended = await run(["env"], timeout=5, environment=clean_environment(MORE="1"))
    names = {line.partition("=")[0] for line in ended.output.decode().splitlines()}
    assert names <= {"PATH", "LC_ALL", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "MORE"}
    assert {"PATH", "LC_ALL", "MORE"} <= names
    seen = await _shell("cat; ls -l /proc/self/fd | wc -l; id -u >/dev/null; nice", nice=5).look(context)
    assert seen.ok, "nothing comes in on its stdin"


async def test_a_hundred_at_once(context: Context) -> None:
    """A bounded number runs at a time, the loop turns all the while, and all come to their end."""
    most, running = 0, True

    async def watch() -> float:
        nonlocal most
        worst, last = 0.0, time.perf_counter()
        while running:
            await asyncio.sleep(0.002)
            now = time.perf_counter()
            worst, last = max(worst, now - last), now
            most = max(most, len(_children("sleep")))
        return worst

    watching = asyncio.create_task(watch())
    probes = [Exec(command=("sleep", "0.1")) for _ in range(100)]
    seen = await asyncio.gather(*(probe.look(context) for probe in probes))
    running = False
    await watching
    assert [each.measurements.get("plugin_state") for each in seen] == [0.0] * 100
    assert 1 < most <= spawn.MOST_RUNNING


async def test_waiting_for_others_is_not_its_own_fault(make_context: Callable[[float], Context]) -> None:
    hogs = [asyncio.create_task(run(["sleep", "1000.125"], timeout=20)) for _ in range(spawn.MOST_RUNNING)]
    await _until(lambda: len(_children("sleep")) == len(hogs))
    seen = await Exec(command=("true",)).look(make_context(0.4))
    assert (seen.reason, seen.measurements) == (Reason.LATE, {})
    for hog in hogs:
        hog.cancel()
    await asyncio.gather(*hogs, return_exceptions=True)
    assert (await Exec(command=("true",)).look(make_context(5))).ok


async def test_a_plugin_that_cannot_be_ended_is_not_started_again(make_context: Callable[[float], Context]) -> None:
    """What a cgroup has frozen can be killed as little as what sleeps in the kernel."""
    probe = _shell("exec sleep 1000.375")
    seen: list[Observation] = []
    frozen = Path("/sys/fs/cgroup/freezer")
    if not os.access(frozen, os.W_OK) or not (frozen / "tasks").exists():
        pytest.skip("needs a cgroup v1 freezer")
    group = frozen / f"brownout-test-{os.getpid()}"
    group.mkdir()
    try:
        task = asyncio.create_task(probe.look(make_context(1.2)))
        await _until(lambda: _children("sleep"))
        pid = _children("sleep")[0].pid
        (group / "tasks").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        seen = [await task, await probe.look(make_context(1.0))]
        assert [each.reason for each in seen] == [Reason.PLUGIN_TIMEOUT] * 2
        assert "sleeps in the kernel" in seen[1].detail
        (group / "freezer.state").write_text("THAWED")
        await _until(lambda: not psutil.pid_exists(pid))  # the loop reaps it as it wakes up to its death
        assert (await probe.look(make_context(0.4))).detail.startswith("no end within")
    finally:
        (group / "freezer.state").write_text("THAWED")
        wait_until(lambda: not (group / "tasks").read_text(), "the frozen one is gone", 10)
        group.rmdir()


async def test_a_plugin_on_a_disk_that_hangs_is_told(
    make_context: Callable[[float], Context], tmp_path: Path
) -> None:
    """A FIFO in place of the program: opening it waits for ever, as a dead file server does."""
    path = tmp_path / "plugin"
    os.mkfifo(path, 0o755)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    seen = await Exec(command=(str(path),)).look(make_context(0.4))
    assert (seen.reason, seen.detail) == (Reason.HUNG, "the disk that holds the plug-in does not answer")
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # let go of the thread


AS_INIT = """
import asyncio, os, psutil
from probes._system.spawn import run
async def main():
    for command in ("sleep 1000 & exit 0", "setsid sleep 0.1; (sleep 1000 &) ; sleep 1000"):
        try:
            await run(["sh", "-c", command], timeout=0.5)
        except TimeoutError:
            pass
    await run(["true"], timeout=5)
    print(os.getpid(), [each.name() for each in psutil.Process().children()])
asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a namespace in which the agent is process 1")
def test_as_a_containers_init_it_reaps_what_its_plugins_leave() -> None:
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", AS_INIT],
        capture_output=True, text=True, check=False, timeout=30,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    if "unshare:" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr[-200:]}")
    assert done.stdout == "1 []\n", done.stderr


def test_signals_are_as_usual_for_a_plugin() -> None:
    """Python ignores SIGPIPE; a program that is started must not."""

    async def main() -> int:
        return (await run(["sh", "-c", "kill -PIPE $$; exit 0"], timeout=5)).code

    assert asyncio.run(main()) == -signal.SIGPIPE
