"""The dead man's switch: in virtual time, with judges that are looked at, or not; and with a real agent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from aiohttp import web

from monitor.app import Agent
from monitor.config.load import load
from monitor.config.model import Heartbeat, Ping, Switch
from monitor.core.judge import Judge
from monitor.core.model import Look, Moment
from monitor.deadman import RECHECK, Deadman, request_of
from monitor.kinds import installed_kinds
from monitor.store.contract import Backlog
from probes.contract import Observation, Secret
from tests.core.builders import check
from tests.sinks.made import mockable
from tests.sinks.official import document
from tests.virtual_time import START, VirtualClock, run

HC = Ping(Switch.HEALTHCHECKS, Secret("https://hc-ping.example/5eb2-t0ken"))
MINUTE = 60.0


@dataclass
class Scene:
    """What the agent would know, and what was sent."""

    judges: dict[str, Judge] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    backlog: dict[str, Backlog] = field(default_factory=dict)
    wanted: Heartbeat | None = None
    sent: list[tuple[float, str, str, str]] = field(default_factory=list)
    """When, which method, where to, with which words."""
    results: list[tuple[str, str, str]] = field(default_factory=list)
    answers: list[httpx.Response | Exception] = field(default_factory=list)
    looking: bool = True
    left_out: str = ""
    hanging: str = ""
    """Of whom no answer ever comes."""

    async def answer(self, request: httpx.Request) -> httpx.Response:
        at = asyncio.get_running_loop().time()
        self.sent.append((at, request.method, str(request.url), request.content.decode()))
        if request.url.host == self.hanging:
            await asyncio.Event().wait()
        if self.answers:
            found = self.answers.pop(0)
            if isinstance(found, Exception):
                raise found
            return found
        return httpx.Response(200, text="OK")

    def add(self, name: str, every: float = 30.0) -> Judge:
        judge = self.judges[name] = Judge(check(name, every=timedelta(seconds=every)), None, VirtualClock().now())
        return judge

    async def look(self) -> None:
        """At all checks, as often as they want."""
        clock = VirtualClock()
        while True:
            now = clock.now()
            for name, judge in self.judges.items():
                seen = judge.last.began.tick if judge.last is not None else -1e9
                if self.looking and name != self.left_out and now.tick - seen >= judge.check.every.total_seconds():
                    judge.observe(Look(name, Observation(), now, Moment(now.at, now.tick + 0.01)))
            await asyncio.sleep(1)

    @property
    def told(self) -> list[str]:
        """``ok``, or why not."""
        return ["ok" if not url.endswith("/fail") else words for _, _, url, words in self.sent]


def play(story: Callable[[Scene], Awaitable[None]], *pings: Ping, every: float = MINUTE) -> Scene:
    async def scenario() -> Scene:
        scene = Scene(wanted=Heartbeat(timedelta(seconds=every), pings or (HC,)))
        scene.add("home")
        with respx.mock(assert_all_called=False) as mock:
            mock.route().mock(side_effect=scene.answer)
            async with mockable() as client:
                deadman = Deadman(
                    lambda: scene.wanted,
                    lambda: scene.judges.values(),
                    lambda: scene.troubles,
                    lambda: scene.backlog,
                    client,
                    VirtualClock(),
                    redact=lambda text: text.replace("hunter2", "***"),
                    on_result=lambda *result: scene.results.append(result),
                )
                tasks = [asyncio.create_task(each) for each in (scene.look(), deadman.run())]
                await story(scene)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return scene

    return run(scenario())


async def ten_minutes(scene: Scene) -> None:
    await asyncio.sleep(600)


def test_it_is_told_once_a_minute_that_all_is_well() -> None:
    scene = play(ten_minutes)
    assert set(scene.told) == {"ok"}
    assert 9 <= len(scene.sent) <= 11
    assert len(scene.sent) / 10 <= 5, document("healthchecks")["rate"]
    assert set(scene.results) == {("healthchecks", "well", "accepted")}


def test_nothing_is_said_before_everything_has_been_looked_at() -> None:
    async def story(scene: Scene) -> None:
        scene.looking = False
        await asyncio.sleep(60)
        assert scene.sent == []
        scene.looking = True
        await asyncio.sleep(20)
        assert scene.told == ["ok"]

    play(story)


def test_when_nobody_looks_any_more_it_says_so_and_never_ok() -> None:
    """The loop runs, the timer fires, the page answers: and nothing is looked at."""

    async def story(scene: Scene) -> None:
        await asyncio.sleep(120)
        scene.looking = False
        stopped = len(scene.sent)
        await asyncio.sleep(600)
        assert scene.told[stopped:].count("ok") <= 1, "what was seen a moment ago is still fresh"
        assert scene.told[-1] == "not looked at in time: home"
        scene.looking = True
        await asyncio.sleep(RECHECK + 2)
        assert scene.told[-1] == "ok"

    play(story)


def test_one_check_of_many_that_is_left_out_is_enough() -> None:
    async def story(scene: Scene) -> None:
        for number in range(1200):
            scene.add(f"check {number}")
        await asyncio.sleep(100)
        assert set(scene.told) == {"ok"}
        scene.left_out = "check 7"
        await asyncio.sleep(200)
        assert scene.told[-1] == "not looked at in time: check 7"

    play(story)


def test_a_check_that_is_new_is_waited_for() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(3600)
        scene.looking = False
        scene.add("new", every=600)
        scene.judges["home"].check = check("home", every=timedelta(hours=4))
        before = len(scene.sent)
        await asyncio.sleep(300)
        assert len(scene.sent) == before, "neither well nor in trouble: it is not known yet"
        scene.looking = True
        await asyncio.sleep(60)
        assert scene.told[before:] == ["ok"]

    play(story)


@pytest.mark.parametrize("kind", ["own", "outbox"])
def test_trouble_is_told_at_once_and_its_end(kind: str) -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(200)
        if kind == "own":
            scene.troubles.append("the journal cannot be written: password hunter2")
        else:
            scene.backlog["pager"] = Backlog(3, 0, START - timedelta(minutes=20))
        before, since = len(scene.sent), asyncio.get_running_loop().time()
        await asyncio.sleep(120)
        at, method, url, words = scene.sent[before]
        assert at - since <= RECHECK
        assert (method, url) == ("POST", f"{HC.url.reveal()}/fail")
        assert "hunter2" not in words
        assert words.startswith("the journal" if kind == "own" else "the sink pager has not taken an event for 2")
        assert len(scene.sent) <= before + 3, "and again only once a minute"
        scene.troubles.clear()
        scene.backlog.clear()
        await asyncio.sleep(RECHECK + 1)
        assert scene.told[-1] == "ok"

    play(story)


def test_an_outbox_that_moves_is_no_trouble() -> None:
    async def story(scene: Scene) -> None:
        scene.backlog |= {"pager": Backlog(1, 40, START + timedelta(seconds=1)), "chat": Backlog(0, 7, None)}
        await asyncio.sleep(600)

    assert set(play(story).told) == {"ok"}


def test_what_was_not_taken_is_said_again_soon_and_no_log_is_flooded(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(scene: Scene) -> None:
        scene.answers = [httpx.Response(503), httpx.ConnectError("no t0ken here"), httpx.Response(404)]
        await asyncio.sleep(120)

    scene = play(story)
    assert [round(at) for at, *_ in scene.sent[:4]] == [0, 15, 30, 45]
    assert [result for _, _, result in scene.results[:4]] == ["refused"] * 3 + ["accepted"]
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("deadman.refused") == 1
    assert "t0ken" not in printed.out + printed.err


def test_one_that_hangs_keeps_nobody_else_waiting_for_long() -> None:
    other = Ping(Switch.BETTERSTACK, Secret("https://uptime.example/api/v1/heartbeat/abc"))

    async def story(scene: Scene) -> None:
        scene.hanging = "hc-ping.example"
        await asyncio.sleep(300)

    scene = play(story, HC, other)
    assert len([url for _, _, url, _ in scene.sent if "uptime" in url]) >= 4
    assert ("healthchecks", "well", "refused") in scene.results


def test_a_reload_begins_and_ends_it() -> None:
    async def story(scene: Scene) -> None:
        wanted, scene.wanted = scene.wanted, None
        await asyncio.sleep(300)
        assert scene.sent == []
        scene.wanted = wanted
        await asyncio.sleep(100)
        assert scene.told[:1] == ["ok"]

    play(story)


@pytest.mark.parametrize(
    ("switch", "url", "well", "trouble"),
    [
        (Switch.HEALTHCHECKS, "https://h/u", ("POST", "https://h/u"), ("POST", "https://h/u/fail")),
        (Switch.HEALTHCHECKS, "https://h/k/s?create=1", ("POST", "https://h/k/s?create=1"),
         ("POST", "https://h/k/s/fail?create=1")),
        (Switch.BETTERSTACK, "https://b/api/v1/heartbeat/t/", ("GET", "https://b/api/v1/heartbeat/t/"),
         ("POST", "https://b/api/v1/heartbeat/t/fail")),
        (Switch.HONEYBADGER, "https://a/v1/check_in/x", ("GET", "https://a/v1/check_in/x"), ("GET", None)),
        (Switch.URL, "https://x/ok", ("GET", "https://x/ok"), ("GET", None)),
    ],
)  # fmt: skip
def test_each_is_told_in_its_own_way(switch: Switch, url: str, well: Any, trouble: Any) -> None:
    ping = Ping(switch, Secret(url))
    assert (request_of(ping, well=True), request_of(ping, well=False)) == (well, trouble)
    with_both = Ping(Switch.URL, Secret("https://x/ok"), Secret("https://x/bad"))
    assert request_of(with_both, well=False) == ("GET", "https://x/bad")


def test_silence_is_how_some_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(100)
        before = len(scene.sent)
        scene.troubles.append("blind")
        await asyncio.sleep(300)
        assert len(scene.sent) == before
        scene.troubles.clear()
        await asyncio.sleep(RECHECK + 1)
        assert len(scene.sent) == before + 1

    play(story, Ping(Switch.HONEYBADGER, Secret("https://api.example/v1/check_in/x")))
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("deadman.silent") == 1


async def test_a_real_agent_says_so_when_it_has_looked_and_no_sooner(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    target_asked = False
    arrived = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        nonlocal target_asked
        if request.path == "/target":
            target_asked = True
        else:
            assert target_asked, "it was said before anything was looked at"
            heard.append((request.path, await request.text()))
            arrived.set()
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    file = tmp_path / "checks.yaml"
    file.write_text(
        f"""
agent:
  listen: 127.0.0.1:0
  state_dir: state
  heartbeat: {{healthchecks: "{base}/ping/t0ken", every: 15s}}
checks: [{{name: home, probe: http, url: "{base}/target", every: 1s}}]
"""
    )
    agent, stop = Agent(load(file, kinds=installed_kinds(), env={})), asyncio.Event()
    running = asyncio.create_task(agent.run(stop))
    try:
        await asyncio.wait_for(arrived.wait(), 40)
    finally:
        stop.set()
        await running
        await runner.cleanup()
    assert heard == [("/ping/t0ken", "all is well")]
