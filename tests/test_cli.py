"""The command line as people and scripts meet it.

`brownout` is a process, where that is what is tested: its start, descriptors, signals, permissions, and one of each
command. `called` is the same command in this process, for what it says of each of many wrong things.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from jsonschema import Draft202012Validator

from monitor.cli import main
from monitor.signals import MEANINGLESS
from monitor.store.sqlite import SqliteStore
from tests.end_to_end.rig import (
    BROWNOUT,
    POWERLESS,
    ROOT,
    Receiver,
    Target,
    agent,
    answering,
    environment,
    listening,
    look_times,
    serving,
    until,
    until_state,
)

PASSWORD = "hunter2-hunter2-hunter2"
COMMANDS = ("run", "validate", "look", "status", "schema", "demo")
PATIENCE = 50
pytestmark = pytest.mark.timeout(180)


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


# --- help ---------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_the_exit_codes() -> None:
    done = brownout("--help")
    assert done.returncode == 0
    assert all(f"\n    {command} " in done.stdout for command in COMMANDS)
    assert "exit codes:" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str) -> None:
    done = called(command, "--help")
    assert done.returncode == 0
    assert f"usage: brownout {command}" in done.stdout
    assert "exit codes:" in done.stdout


def test_the_version() -> None:
    assert brownout("--version").stdout.startswith("brownout ")


@pytest.mark.parametrize("arguments", [(), ("rnu",), ("look",), ("run", "--fast"), ("validate", "a", "b")])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    done = called(*arguments)
    assert done.returncode == 2
    assert "usage: brownout" in done.stderr


HEAVY = ["asyncio", "pydantic", "yaml", "ssl", "rich", "structlog", "uvloop", "httpx", "aiohttp", "sqlite3", "psutil"]


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["--help"], set()),
        (["validate", "checks.yaml"], {"asyncio", "pydantic", "yaml", "ssl"}),
        (["look", "checks.yaml", "home"], {"asyncio", "pydantic", "yaml", "ssl", "rich", "structlog", "uvloop"}),
        (["status", "--url", "http://127.0.0.1:1"], {"asyncio", "rich", "httpx", "ssl"}),
        (["backup", "copy.db", "--state-dir", "none"], {"ssl", "sqlite3"}),
    ],
)
def test_a_command_imports_no_more_than_it_needs(tmp_path: Path, arguments: list[str], needed: set[str]) -> None:
    """Which is most of its time: `bench.cli` measures it. Of the probes only those that the file names."""
    checks(tmp_path)
    script = f"""\
import sys, monitor.cli
try:
    monitor.cli.main({arguments!r})
except SystemExit:
    pass
kinds = [name for name in ("probes.http", "probes.host", "probes.queue", "probes.error_rate") if name in sys.modules]
print("IMPORTED", *(name for name in {HEAVY!r} if name in sys.modules), *kinds)
"""
    env = environment({"SHOP_PASSWORD": PASSWORD, "PYTHONPATH": str(ROOT)})
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.partition("IMPORTED")[2].split())
    assert imported <= needed | {"probes.http"}


# --- validate -----------------------------------------------------------------------------------------------


def test_validate_a_fine_file(tmp_path: Path) -> None:
    file = checks(tmp_path)
    done = brownout("validate", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{file}: fine: 1 check, 1 service, 1 sink, 1 route\n"
    done = called("validate", "--json", file)
    told = json.loads(done.stdout)
    assert (done.returncode, told["valid"], told["checks"], told["services"]) == (0, True, ["home"], ["shop"])
    assert not (tmp_path / "state").exists(), "validating changes nothing"


def test_the_shipped_file_is_found_and_fine() -> None:
    done = brownout("validate")
    assert done.returncode == 0
    assert done.stdout.startswith("checks.yaml: fine")


BAD = {
    "broken YAML": ("checks: [\n  {", "checks.yaml:"),
    "a tab": ("checks:\n\t- name: home", "checks.yaml:2:"),
    "not a mapping": ("- home", "the file must hold sections"),
    "empty": ("", "checks"),
    "no checks": ("agent: {}", "there are no checks"),
    "an unknown section": ("cheks: []\nchecks: []", "did you mean checks?"),
    "an unknown key": ("checks: [{name: a, probe: tcp, address: 'h:1', evry: 5s}]", "evry"),
    "a wrong type": ("checks: [{name: a, probe: tcp, address: [1], every: soon}]", "every"),
    "no unit": ("checks: [{name: a, probe: tcp, address: 'h:1', every: 30}]", "30"),
    "an unknown probe": ("checks: [{name: a, probe: htpt, url: 'http://h/'}]", "did you mean http?"),
    "a missing secret": ("checks: [{name: a, probe: http, url: 'http://h/', headers: {a: '${NOT_SET}'}}]", "NOT_SET"),
    "binary": ("\x00\x01\x02", "checks.yaml"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "command"),
    [*((name, "run") for name in BAD), ("an unknown key", "validate"), ("an unknown key", "look")],
)
def test_bad_files(tmp_path: Path, name: str, command: str) -> None:
    text, told = BAD[name]
    file = tmp_path / "checks.yaml"
    file.write_text(text)
    done = called(command, file, *(["home"] if command == "look" else []), XDG_STATE_HOME=str(tmp_path / "state"))
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.endswith("; nothing was started\n") is (command == "run")
    assert done.stdout == ""
    assert [item.name for item in tmp_path.iterdir()] == ["checks.yaml"], "and no state directory"


@pytest.mark.parametrize("name", ["broken YAML", "a missing secret"])
def test_bad_files_as_json(tmp_path: Path, name: str) -> None:
    file = tmp_path / "checks.yaml"
    file.write_text(BAD[name][0])
    done = called("validate", "--json", file)
    told = json.loads(done.stdout)
    assert (done.returncode, told["valid"]) == (2, False)
    assert set(told["faults"][0]) == {"file", "line", "column", "path", "message"}


def test_ten_thousand_faults_at_once(tmp_path: Path) -> None:
    file = tmp_path / "checks.yaml"
    entry = "  - {name: check %d, probe: tcp, address: '127.0.0.1:1', password: " + PASSWORD + ", every: soon}\n"
    file.write_text("checks:\n" + "".join(entry % number for number in range(5_000)))
    done = brownout("run", file)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 102
    assert "and 9900 more: brownout validate --json lists more of them" in lines[-2]
    assert lines[-1].endswith("nothing was started")
    done = called("validate", "--json", file)
    told = json.loads(done.stdout)
    assert (len(told["faults"]), told["more_faults"]) == (1000, 9000)


@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_file_that_is_not_there_or_is_a_directory(tmp_path: Path, command: str) -> None:
    missing = called(command, tmp_path / "nothing.yaml")
    assert (missing.returncode, "nothing.yaml" in missing.stderr) == (2, True)
    folder = called(command, tmp_path)
    assert (folder.returncode, str(tmp_path) in folder.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_file_that_may_not_be_read(tmp_path: Path, command: str) -> None:
    file = checks(tmp_path)
    file.chmod(0o000)
    done = brownout(command, file, powerless=True)
    assert done.returncode == 2
    assert "checks.yaml" in done.stderr
    assert "may not be read by this user: correct its permissions" in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_state_dir_that_may_not_be_written(tmp_path: Path) -> None:
    file = checks(tmp_path)
    tmp_path.chmod(0o555)
    done = brownout("run", file, powerless=True)
    tmp_path.chmod(0o755)
    assert done.returncode == 2
    assert "state_dir" in done.stderr
    assert done.stderr.endswith("nothing was started\n")


def test_a_state_dir_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    done = brownout("run", checks(tmp_path))
    assert done.returncode == 2
    assert "is not a directory: name one, or move that file away; nothing was started" in done.stderr


# --- run ----------------------------------------------------------------------------------------------------


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = brownout("run", checks(tmp_path, listen=f"127.0.0.1:{port}"))
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "another agent.listen; nothing was started" in done.stderr
    assert not (tmp_path / "state").exists()


async def test_a_second_agent_on_the_same_state_dir(tmp_path: Path) -> None:
    file = checks(tmp_path)
    with agent(tmp_path, "run", file, env={"SHOP_PASSWORD": PASSWORD}) as first:
        url = await first.started()
        done = brownout("run", file)
        assert done.returncode == 2
        assert f"another agent (pid {first.process.pid}) uses state_dir" in done.stderr
        assert "stop it, or give this one a state_dir of its own; nothing was started" in done.stderr
        await look_times(url, "home", 1)
        assert await first.stop() == 0


# --- look ---------------------------------------------------------------------------------------------------


async def test_look(tmp_path: Path) -> None:
    async with answering(Target()) as target:
        file = checks(tmp_path, "    degraded: [response_time > 30s, 'p95(response_time, 5m) > 30s']", url=target.url)
        done = await in_thread("look", file, "home")
        assert done.returncode == 0
        assert "as expected" in done.stdout
        assert "response_time > 30s: fine" in done.stdout
        assert "needs several looks" in done.stdout

        done = await in_thread("look", "--json", file, "home")
        told = json.loads(done.stdout)
        assert (done.returncode, told["ok"], told["reason"]) == (0, True, None)
        assert told["measurements"]["response_time"] > 0
        assert [item["breached"] for item in told["thresholds"]] == [False, None, None], "and the built-in one"

        target.status = 503
        done = await in_thread("look", file, "home")
        assert done.returncode == 1
        assert "status" in done.stdout
        assert "what to do:" in done.stdout
        told = json.loads((await in_thread("look", "--json", file, "home")).stdout)
        assert (told["ok"], told["reason"], told["blame"]) == (False, "status", "target")

        target.status = 200
        slow = checks(tmp_path, "    degraded: response_time > 1ns", url=target.url)
        if (await in_thread("validate", slow)).returncode:
            slow = checks(tmp_path, "    degraded: response_time > 0.001ms", url=target.url)
        done = await in_thread("look", slow, "home")
        assert (done.returncode, "breached" in done.stdout) == (1, True)
    assert not (tmp_path / "state").exists(), "a look leaves nothing behind"


def test_look_finds_the_file_by_itself(tmp_path: Path) -> None:
    checks(tmp_path)
    looked = brownout("look", "home", cwd=tmp_path)
    assert (looked.returncode, "refused (target)" in looked.stdout) == (1, True)
    assert brownout("look", "hom", cwd=tmp_path).stderr.startswith('brownout: checks.yaml has no enabled check "hom"')


async def in_thread(*arguments: str | Path, columns: str = "100") -> subprocess.CompletedProcess[str]:
    """While this loop serves what the command asks. A look sets up the log of its process, so it gets one."""
    command = brownout if arguments[0] == "look" else called
    return await asyncio.to_thread(lambda: command(*arguments, COLUMNS=columns))


def test_look_at_nobody(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    done = brownout("look", checks(tmp_path, url=f"http://127.0.0.1:{port}/"), "home")
    assert done.returncode == 1
    assert "refused (target)" in done.stdout


def test_look_at_a_name_that_is_not_there(tmp_path: Path) -> None:
    done = brownout("look", checks(tmp_path), "hom")
    assert done.returncode == 2
    assert 'has no enabled check "hom" (did you mean "home"?)' in done.stderr
    done = brownout("look", checks(tmp_path), "zzz")
    assert "it has: home" in done.stderr


async def test_look_never_shows_a_secret_that_the_target_sends_back(tmp_path: Path) -> None:
    async def echo(request: Any) -> Any:
        return web.Response(status=500, text=f"{request.headers['authorization']} is wrong", reason=PASSWORD)

    async with serving({"/": echo}) as url:
        for extra in ((), ("--json",)):
            done = await in_thread("look", *extra, checks(tmp_path, url=f"{url}/"), "home")
            assert done.returncode == 1


# --- status -------------------------------------------------------------------------------------------------


async def test_status(tmp_path: Path) -> None:
    async with answering(Target()) as target:
        second = f"  - {{name: search, probe: http, url: '{target.url}', every: 1s}}"
        with agent(
            tmp_path, "run", checks(tmp_path, second, url=target.url), env={"SHOP_PASSWORD": PASSWORD}
        ) as running:
            url = await running.started()
            await until_state(url, "home", "up")
            await until_state(url, "search", "up")
            done = await in_thread("status", "--url", url)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("● All systems operational\n")
            assert "Web shop" in done.stdout
            told = json.loads((await in_thread("status", "--url", url, "--json")).stdout)
            assert [check["id"] for check in told["checks"]] == ["home", "search"]

            target.status = 500
            await until_state(url, "search", "down")
            await until_state(url, "home", "down")
            done = await in_thread("status", "--url", f"{url}/")
            assert done.returncode == 1
            assert done.stdout.startswith("✖ ")
            assert "status 500" in done.stdout
            assert (await in_thread("status", "--url", url, "--json")).returncode == 1


@pytest.mark.parametrize(("incidents", "code"), [([], 0), ([{"id": "inc_1"}], 1)])
async def test_status_of_what_cannot_be_judged_is_a_finding_while_an_incident_is_open(
    incidents: list[Any], code: int
) -> None:
    async def answer(_: Any) -> Any:
        return web.json_response(
            {
                "agent": {"now": "2026-03-01T12:00:00.000Z", "vantage": "here", "version": "1"},
                "summary": {"state": "unknown", "sentence": "?"},
                "services": [],
                "checks": [],
                "incidents": incidents,
            }
        )

    async with serving({"/api/v1/status": answer}) as url:
        assert (await in_thread("status", "--url", url)).returncode == code


async def test_status_shows_the_worst_first_and_hostile_text_harmlessly() -> None:
    document = {
        "agent": {"version": "1", "vantage": "test", "now": "2026-01-01T00:00:00.000Z", "impaired": ["it is late"]},
        "summary": {"state": "outage", "sentence": "Web \x1b[2Jshop has an [red]outage[/]."},
        "services": [
            {"title": "Web [b]shop", "state": "outage", "since": None, "implicit": False, "checks": {"down": 1}},
        ],
        "checks": [
            {
                "name": "ho\x1b]0;me", "state": "down", "since": "2025-12-31T23:00:00.000Z", "why": "x[/]\nx",
                "confirming": True, "last": {"measurements": {"response_time": {"value": 0.25}}},
            },
            {"name": "new", "state": "unknown", "since": None, "why": "", "confirming": False, "last": None},
        ],
    }  # fmt: skip

    async def answer(request: Any) -> Any:
        return web.json_response(document)

    async with serving({"/api/v1/status": answer}) as url:
        done = await in_thread("status", "--url", url, columns="200")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "[red]outage[/]" in done.stdout
    assert "Web [b]shop" in done.stdout
    assert "it is late" in done.stdout
    assert "1 h ago" in done.stdout
    assert "250 ms" in done.stdout
    assert "(being confirmed)" in done.stdout


def test_status_when_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    done = called("status", "--url", f"http://user:{PASSWORD}@127.0.0.1:{port}")
    assert done.returncode == 2
    assert f"no agent answers at http://127.0.0.1:{port}" in done.stderr
    assert "start one with brownout run" in done.stderr
    for url in ("nonsense", "ftp://127.0.0.1", "http://"):
        done = called("status", "--url", url)
        assert (done.returncode, "--url" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("status", "text"), [(404, "nothing"), (200, "<html>"), (200, "[]"), (200, '{"checks": 1}'), (200, "\udcff")]
)
async def test_status_of_something_else(status: int, text: str) -> None:
    async def answer(request: Any) -> Any:
        return web.Response(status=status, body=text.encode("utf-8", "surrogateescape"))

    async with serving({"/api/v1/status": answer}) as url:
        done = await in_thread("status", "--url", url)
    assert done.returncode == 2
    assert "Brownout agent" in done.stderr


# --- schema and demo ----------------------------------------------------------------------------------------


def test_schema() -> None:
    for arguments, told in (((), "checks"), (("--event",), "sentence")):
        done = called("schema", *arguments)
        assert done.returncode == 0
        schema = json.loads(done.stdout)
        Draft202012Validator.check_schema(schema)
        assert told in schema["properties"]


def test_the_schema_accepts_the_shipped_file() -> None:
    schema = json.loads(brownout("schema").stdout)
    text = (ROOT / "checks.yaml").read_text()
    Draft202012Validator(schema).validate(yaml.load(text, yaml.BaseLoader))


def test_output_that_nobody_reads_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [BROWNOUT, "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False, env=environment()
        )
    finally:
        os.close(writer)
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(300)
def test_the_demo_from_beginning_to_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = subprocess.run(
        [BROWNOUT, "demo", "--port", str(port)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every signature verified, none twice" in done.stdout
    assert done.stderr == ""


def test_the_demo_on_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = brownout("demo", "--port", str(port))
    assert done.returncode == 2
    assert done.stderr == (
        f"brownout: cannot listen on 127.0.0.1:{port}: Address already in use: "
        "try brownout demo --port 9799; nothing was started\n"
    )


@pytest.mark.parametrize("port", ["99999", "65536", "0", "-1"])
def test_the_demo_on_a_port_that_is_none(port: str) -> None:
    done = called("demo", "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"brownout: there is no port {port}: write --port with a number from 1 to 65535\n"


# --- the agent as a service ---------------------------------------------------------------------------------


async def test_sigterm_flushes_and_ends_well(tmp_path: Path) -> None:
    async with listening(Receiver()) as receiver, answering(Target()) as target:
        text = (
            f"  - {{name: search, probe: http, url: '{target.url}', every: 1s}}\n"
            f"routes: [{{when: event = check.changed, to: [hook]}}]\n"
        )
        file = checks(tmp_path, text, url=target.url)
        hook = f"  hook: {{type: webhook, url: '{receiver.url}', secret: '${{HOOK_SECRET}}'}}\n"
        file.write_text(file.read_text().replace("services:\n", hook + "services:\n"))
        with agent(tmp_path, "run", file, env={"SHOP_PASSWORD": PASSWORD}) as running:
            url = await running.started()
            await until_state(url, "home", "up")
            await look_times(url, "home", 2)
            assert await running.stop() == 0
            assert running.lines("stopped")
            assert PASSWORD not in running.log
        store = SqliteStore(tmp_path / "state", vantage="test")
        journal = await store.open()
        await store.close()
        assert journal.checks["home"].state.value == "up"
        assert journal.checks["home"].snapshot["failures"]["good"]["looks"] >= 3, (
            "what was seen since has been flushed"
        )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_within_five_seconds_while_looks_and_sends_hang(
    tmp_path: Path, number: signal.Signals
) -> None:
    gate = asyncio.Event()
    asked = []

    async def hang(request: Any) -> Any:
        asked.append(request.path)
        with contextlib.suppress(asyncio.CancelledError):
            await gate.wait()
        return web.Response()

    async with serving({"/": hang}) as url:
        file = checks(tmp_path, "    timeout: 60s", url=f"{url}/")
        file.write_text(file.read_text().replace("every: 1s", "every: 60s"))
        with agent(tmp_path, "run", file, env={"SHOP_PASSWORD": PASSWORD}) as running:
            await running.started()
            await until(lambda: bool(asked), "the look to begin")
            running.process.send_signal(number)
            # Five seconds are promised; the machine may be busy.
            assert await running.ended(15) == 0
        gate.set()


async def test_systemd_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = tmp_path / "notify"
        manager.bind(str(address))
        manager.setblocking(False)
        heard: list[str] = []

        def listen() -> list[str]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(manager.recv(4096).decode())
            return heard

        env = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "2000000", "SHOP_PASSWORD": PASSWORD}
        with agent(tmp_path, "run", checks(tmp_path), env=env) as running:
            await running.started()
            await until(lambda: listen().count("WATCHDOG=1") >= 3, "the watchdog to be fed")
            ready = [
                number for number, text in enumerate(heard) if text.startswith("READY=1\nSTATUS=watching 1 check")
            ]
            assert len(ready) == 1
            assert not any(text.startswith("STOPPING=1") for text in heard)
            assert await running.stop() == 0
        assert [text.split("\n")[0] for text in listen() if text.startswith("STOPPING=1")] == ["STOPPING=1"]
        assert listen()[-1].startswith(("STOPPING=1", "WATCHDOG=1"))


@pytest.mark.parametrize("command", ["validate", "schema", "demo", "run"])
def test_a_strangers_probe_that_cannot_be_loaded_is_told_by_its_name(tmp_path: Path, command: str) -> None:
    announced = tmp_path / "odd_probe-1.dist-info"
    announced.mkdir()
    (announced / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-probe\nVersion: 1\n")
    (announced / "entry_points.txt").write_text("[brownout.probes]\nodd = nowhere:Odd\n")
    done = brownout(command, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "installed probes: odd-probe 1: probe 'odd' cannot be loaded" in done.stderr
