"""`brownout look`"""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from monitor import address
from monitor.clock import SystemClock
from monitor.commands.look import taken
from monitor.runner import new_runner
from probes.contract import Context, Observation, Reason
from tests.commands.called import PASSWORD, brownout, called, checks, held, in_thread
from tests.core.builders import Still, check
from tests.end_to_end.rig import Target, answering, serving


def pairwise_of(ends: list[float], spans: list[Any]) -> list[tuple[float, Any]]:
    """Where each phase ended, and the one after it."""
    return list(zip(ends, spans[1:], strict=False))


pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True, slots=True)
class Starved(Still):
    """Its first looks are voided by a machine that is busy."""

    void: int
    looks: list[Context] = field(default_factory=list)

    async def look(self, context: Context) -> Observation:
        self.looks.append(context)
        return Observation(reason=Reason.LATE if len(self.looks) <= self.void else None)


@pytest.mark.parametrize(("void", "looks", "reason"), [(2, 3, None), (99, 5, Reason.LATE)])
async def test_a_look_that_this_machine_voids_is_taken_again(void: int, looks: int, reason: Reason | None) -> None:
    probe, clock = Starved(void), SystemClock()
    with new_runner(clock, str) as runner:
        look, _ = await taken(runner, check(probe=probe), {}, clock)
    assert (len(probe.looks), look.observation.reason) == (looks, reason)


async def test_look(tmp_path: Path) -> None:
    async with answering(Target()) as target:
        file = checks(tmp_path, "    degraded: [response_time > 30s, 'p95(response_time, 5m) > 30s']", url=target.url)
        done = await in_thread("look", file, "home")
        assert done.returncode == 0
        took = re.search(r"response_time  +([0-9.]+ .s)", done.stdout)
        assert took is not None
        assert f"as expected, in {took[1]}\n" in done.stdout, "the target's time, not that of our own work"
        assert re.search(r"in all +[0-9.]+ .?s  with the agent's own work", done.stdout)
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


def test_look_at_nobody(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    done = brownout("look", checks(tmp_path, url=f"http://127.0.0.1:{port}/"), "home")
    assert done.returncode == 1
    assert "refused (target)" in done.stdout


def test_look_at_a_name_that_is_not_there(tmp_path: Path) -> None:
    done = called("look", checks(tmp_path), "hom")
    assert done.returncode == 2
    assert 'has no enabled check "hom" (did you mean "home"?)' in done.stderr
    done = called("look", checks(tmp_path), "zzz")
    assert "it has: home" in done.stderr
    done = brownout("look", "home", "checks.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        'brownout: the file comes first: brownout look "checks.yaml" "home"\n',
    )


async def test_several_looks_and_what_they_came_to(tmp_path: Path) -> None:
    async with answering(Target()) as target:
        file = checks(tmp_path, url=target.url)
        done = await in_thread("look", file, "home", "--repeat", "3")
        assert done.returncode == 0
        assert "3 looks: 3 ok" in done.stdout
        assert re.search(r"first_byte( +[0-9.]+ .s){3} +3", done.stdout)
        assert re.search(r"response_time( +[0-9.]+ .s){3} +3", done.stdout)

        target.status = 503
        told = json.loads((await in_thread("look", file, "home", "--repeat", "2", "--json")).stdout)
        assert told["outcomes"] == {"status": 2}
        assert [looked["reason"] for looked in told["looks"]] == ["status", "status"]
        first_byte = told["phases"]["first_byte"]
        assert first_byte["looks"] == 2
        assert 0 < first_byte["min"] <= first_byte["median"] <= first_byte["max"]
        assert (await in_thread("look", file, "home", "--repeat", "2")).returncode == 1
    assert brownout("look", checks(tmp_path), "home", "--repeat", "0").returncode == 2


async def test_phases_stand_where_they_were_with_redirects_and_addresses(tmp_path: Path) -> None:
    async def away(_request: Any) -> Any:
        raise web.HTTPFound("/there")

    async def there(_request: Any) -> Any:
        return web.Response(text="here")

    async with serving({"/": away, "/there": there}) as url:
        file = checks(tmp_path, url=f"{url}/")
        told = json.loads((await in_thread("look", file, "home", "--json", "--trace")).stdout)
        shown = (await in_thread("look", file, "home", "--trace")).stdout
    names = [span["phase"] for span in told["waterfall"]]
    assert names == 2 * ["resolve", "connect", "send", "first_byte", "transfer"]
    ends = [span["at"] + span["seconds"] for span in told["waterfall"]]
    assert all(end <= after["at"] + 1e-5 for end, after in pairwise_of(ends, told["waterfall"]))
    assert told["seconds"] + 0.01 >= ends[-1]
    assert [item["result"] for item in told["attempts"]] == ["connected", "connected"]
    assert any("GET /there HTTP/1.1" in item.get("sent", "") for item in told["trace"])
    assert "↳ 302: on to /there" in shown
    assert "← 127.0.0.1" in shown


async def test_the_addresses_that_were_tried_are_shown(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    told = json.loads(
        (await in_thread("look", checks(tmp_path, url=f"http://127.0.0.1:{port}/"), "home", "--json")).stdout
    )
    assert [(item["address"], item["result"]) for item in told["attempts"]] == [(f"127.0.0.1:{port}", "refused")]


async def test_where_a_look_failed_is_in_the_waterfall(tmp_path: Path) -> None:
    async with answering(Target()) as target:
        done = await in_thread("look", checks(tmp_path, url=target.url.replace("http:", "https:")), "home")
    assert done.returncode == 1
    assert re.search(r"tls .*━  ✖ tls_plaintext", done.stdout)

    nowhere = "    resolver: 127.0.0.1:1"
    done = await in_thread("look", checks(tmp_path, nowhere, url="http://shop.example.com/"), "home")
    assert re.search(r"resolve .*━  ✖ dns_servfail", done.stdout)
    told = json.loads((await in_thread("look", tmp_path / "checks.yaml", "home", "--json")).stdout)
    assert [(span["phase"], span["failed"]) for span in told["waterfall"]] == [("resolve", True)]


async def test_look_never_shows_a_secret_that_the_target_sends_back(tmp_path: Path) -> None:
    async def echo(request: Any) -> Any:
        return web.Response(status=500, text=f"{request.headers['authorization']} is wrong", reason=PASSWORD)

    async with serving({"/": echo}) as url:
        for extra in ((), ("--json",), ("--trace",), ("--trace", "--json"), ("--repeat", "2", "--trace")):
            done = await in_thread("look", *extra, checks(tmp_path, url=f"{url}/"), "home")
            assert done.returncode == 1


def test_what_a_killed_agent_has_left_behind_is_asked_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        somebody.setblocking(False)
        address.tell(tmp_path, f"http://127.0.0.1:{somebody.getsockname()[1]}")
        config = checks(tmp_path)
        config.write_text(config.read_text().replace("state_dir: state", f'state_dir: "{tmp_path}"'))
        assert brownout("look", config, "home").returncode == 1
        with pytest.raises(BlockingIOError):
            somebody.accept()


async def test_a_heartbeat_is_asked_of_the_agent_where_it_answers(tmp_path: Path) -> None:
    """Its `listen` may have been changed in the file since it started."""
    known = {"id": "backup", "name": "backup", "state": "up", "since": "2026-03-01T14:00:00.000Z", "why": ""}

    async def status(_request: Any) -> Any:
        known_checks = [{**known, "last": None, "thresholds": []}]
        return web.json_response({"summary": {}, "services": [], "checks": known_checks})

    file = checks(tmp_path, "  - {name: backup, probe: heartbeat, token: a-token-of-some-length, period: 1h}")
    file.write_text(file.read_text().replace("state_dir: state", f'state_dir: "{tmp_path}"'))
    async with serving({"/api/v1/status": status}) as url:
        address.tell(tmp_path, url)
        with held(tmp_path):
            done = await in_thread("look", file, "backup")
    assert (done.returncode, f"The agent at {url} knows" in done.stdout) == (0, True)
