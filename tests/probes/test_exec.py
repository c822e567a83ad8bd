"""The exec probe with the real plug-ins: what they say becomes state, figures, evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.config.kinds import default_conditions
from monitor.core.judge import Judge
from monitor.core.model import Look
from probes.contract import BadField, Context, Observation, Reason, Secret, Unit
from probes.exec import Exec
from tests.core.builders import check, moment
from tests.probes.conftest import Serve

pytestmark = [
    pytest.mark.both_loops,
    pytest.mark.skipif(
        not Path("/usr/lib/nagios/plugins/check_load").exists(),
        reason="needs apt-get install monitoring-plugins-basic",
    ),
]
OK = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"]
ERROR = [b"HTTP/1.1 500 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"]


async def test_check_load(context: Context) -> None:
    probe = Exec(
        command=("check_load", "-w", "9999,9999,9999", "-c", "9999,9999,9999"), perfdata={"load1": Unit.COUNT}
    )
    assert [measurement.name for measurement in probe.measured] == ["plugin_state", "run_time", "load1"]
    seen = await probe.look(context)
    assert seen.ok, seen
    assert seen.measurements["plugin_state"] == 0
    assert seen.measurements["load1"] >= 0
    assert 0 < seen.measurements["run_time"] < 5
    assert seen.evidence["output"].startswith("LOAD OK")
    assert seen.evidence["perfdata"].startswith("load5=")
    loaded = Exec(command=("check_load", "-w", "0,0,0", "-c", "9999,9999,9999"))  # whatever else this machine does
    assert (await loaded.look(context)).evidence["state"] in ("WARNING", "OK")


async def test_check_disk(context: Context) -> None:
    probe = Exec(command=("check_disk", "-w", "1", "-c", "0", "-p", "/"), perfdata={"/": Unit.BYTES})
    seen = await probe.look(context)
    assert seen.measurements["root"] > 2**20
    full = Exec(command=("check_disk", "-w", "100%", "-c", "100%", "-p", "/"))
    assert (await full.look(context)).measurements["plugin_state"] == 2


async def test_check_procs(context: Context) -> None:
    probe = Exec(command=("check_procs", "-w", "1:", "-c", "1:"), perfdata={"procs": Unit.COUNT})
    seen = await probe.look(context)
    assert seen.measurements["plugin_state"] == 0
    assert seen.measurements["procs"] >= 1


async def test_check_tcp(context: Context, serve: Serve, closed_port: int) -> None:
    server = await serve([], ask=False)
    probe = Exec(command=("check_tcp", "-H", "127.0.0.1", "-p", str(server.port)), perfdata={"time": Unit.SECONDS})
    seen = await probe.look(context)
    assert seen.measurements["plugin_state"] == 0
    assert 0 < seen.measurements["time"] < 5
    seen = await Exec(command=("check_tcp", "-H", "127.0.0.1", "-p", str(closed_port))).look(context)
    assert seen.measurements["plugin_state"] == 2
    assert "refused" in f"{seen.evidence['output']} {seen.evidence.get('more')}".lower()


async def test_a_site_goes_slow_fails_dies_and_comes_back(make_context: Any, closed_port: int) -> None:
    """check_http and the judge: degraded before down, and up again."""
    answer, pause = OK, 0.0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(pause)
        writer.write(answer[0])
        await writer.drain()
        writer.close()

    judge = Judge(check("web", *default_conditions(Exec), every=timedelta(seconds=60)), None, moment(0))
    told: list[tuple[str, str]] = []
    beat = 0

    async def see(times: int, timeout: float = 5.0) -> Observation:
        nonlocal beat
        for _ in range(times):
            seen = await probe.look(make_context(timeout))
            judge.observe(Look("web", seen, moment(beat * 60), moment(beat * 60 + 1), limit=10, scheduled=True))
            beat += 1
            if not told or told[-1][0] != judge.state.value:
                told.append((judge.state.value, judge.verdict.reason.value if judge.verdict.reason else ""))
        return seen

    listener = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    probe = Exec(command=("check_http", "-H", "127.0.0.1", "-p", str(port), "-w", "0.2", "-c", "3", "-t", "4"))
    await see(3)
    pause = 0.3
    assert (await see(2)).evidence["output"].startswith("HTTP WARNING")
    pause, answer = 0.0, ERROR
    assert "500" in (await see(2)).evidence["output"]
    listener.close()
    await listener.wait_closed()
    assert "refused" in (await see(2)).evidence["output"]
    answer = OK
    listener = await asyncio.start_server(talk, "127.0.0.1", port)
    assert (await see(3)).evidence["state"] == "OK"
    listener.close()
    await listener.wait_closed()
    assert told == [("up", ""), ("degraded", "threshold"), ("down", "threshold"), ("up", "")]


async def test_a_site_that_hangs_is_a_plugin_timeout(serve: Serve, make_context: Callable[[float], Context]) -> None:
    server = await serve([], end="hang")
    seen = await Exec(command=("check_http", "-H", "127.0.0.1", "-p", str(server.port))).look(make_context(1.0))
    assert (seen.reason, seen.detail) == (Reason.PLUGIN_TIMEOUT, "no end within 0.5 s")
    assert seen.measurements["run_time"] >= 1.0, "at least the limit"


async def test_what_is_declared_and_not_there_is_told(context: Context) -> None:
    probe = Exec(
        command=("/bin/echo", "fine | a=5s b=3 'c d'=1% e=U n=4c"),
        perfdata={
            "a": Unit.BYTES, "b": Unit.BYTES, "c d": Unit.RATIO, "e": Unit.COUNT, "n": Unit.COUNT, "z": Unit.COUNT
        },
    )  # fmt: skip
    seen = await probe.look(context)
    assert {"b": 3.0, "c_d": 0.01, "n": 4.0}.items() <= seen.measurements.items()
    assert not seen.measurements.keys() & {"a", "e", "z"}
    assert seen.evidence["not_measured"] == "a is in s, not bytes; z was not printed"


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"command": ()}, "command", "is empty"),
        ({"command": ("check_load -w 5",)}, "command", "write a list"),
        ({"command": ("a", "b"), "shell": True}, "command", "one text"),
        ({"command": ("a", "b\0c")}, "command", "NUL"),
        ({"command": ("a",), "folder": "tmp"}, "folder", "absolute"),
        ({"command": ("a",), "nice": 20}, "nice", "0 to 19"),
        ({"command": ("a",), "env": {"A=B": Secret("x")}}, "env", "variable"),
        ({"command": ("a",), "perfdata": {"run_time": Unit.SECONDS}}, "perfdata", "the probe's own"),
        ({"command": ("a",), "perfdata": {"a b": Unit.SECONDS, "a/b": Unit.COUNT}}, "perfdata", "'a b'"),
        ({"command": ("a",), "perfdata": {"%": Unit.SECONDS}}, "perfdata", "no letter"),
    ],
)
def test_bad_fields(fields: dict[str, Any], field: str, text: str) -> None:
    with pytest.raises(BadField, match=text) as caught:
        Exec(**fields)
    assert caught.value.field == field
