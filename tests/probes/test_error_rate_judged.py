"""error_rate the whole way: a real application, the default thresholds, the judge; and 100,000 series."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from time import thread_time

import pytest

from monitor.config.kinds import default_conditions
from monitor.core.model import Look
from probes.contract import Context, Observation, Reason
from probes.error_rate import ErrorRate
from tests.core.builders import Watch, moment
from tests.probes.conftest import Serve
from tests.probes.judged import look
from tests.servers.prometheus import Application, application

EVERY = 15.0


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("app")) as running:
        yield running


class Story:
    """Looks at a real endpoint, a quarter of a minute apart for the judge, with the default thresholds."""

    def __init__(self, check: ErrorRate, context: Context) -> None:
        self._check = check
        self._context = context
        self._watch = Watch(*default_conditions(ErrorRate))
        self._at = 0.0
        self.told: list[tuple[float, str]] = []

    async def look(self, *, scheduled: bool = True) -> Observation:
        context = self._context
        given = Context(context.timeout, context.resolver, context.tls, context.memory, scheduled=scheduled)
        seen = await look(self._check, given)
        self._at += EVERY if scheduled else 1.0
        taken = Look("home", seen, moment(self._at), moment(self._at), limit=10.0, scheduled=scheduled)
        if (transition := self._watch.judge.observe(taken).transition) is not None:
            self.told.append((self._at, transition.new))
        return seen

    @property
    def state(self) -> str:
        return self._watch.state


def probe(app: Application, path: str) -> ErrorRate:
    return ErrorRate(
        prometheus=(app.url,),
        total=f'http_requests_total{{path="{path}"}}',
        bad=f'http_requests_total{{path="{path}", status=~"5.."}}',
    )


_NUMBERS = count()


def unique(name: str) -> str:
    """A path that no other test has asked for: the application counts on from test to test."""
    return f"/{name}{next(_NUMBERS)}"


async def test_an_error_burst_is_degraded_then_down_and_then_over(app: Application, context: Context) -> None:
    path = unique("burst")
    story = Story(probe(app, path), context)

    async def go(looks: int, bad: int) -> None:
        for _ in range(looks):
            await asyncio.to_thread(app.work, 50 - bad, 200, 0.0, path)
            if bad:
                await asyncio.to_thread(app.work, bad, 500, 0.0, path)
            await story.look()

    await go(20, 0)
    assert story.told == [(EVERY, "up")]
    await go(8, 2)  # 4 %
    assert story.state == "degraded"
    await go(8, 30)  # 60 %
    assert story.state == "down"
    await go(30, 0)
    assert [state for _, state in story.told] == ["up", "degraded", "down", "degraded", "up"]


async def test_three_errors_at_night_wake_nobody(app: Application, context: Context) -> None:
    path = unique("night")
    story = Story(probe(app, path), context)
    app.work(1, 200, 0.0, path)
    for _ in range(20):
        await story.look()
    app.work(3, 500, 0.0, path)
    app.work(5, 200, 0.0, path)
    for _ in range(20):
        await story.look()
    assert [state for _, state in story.told] == ["up"]


async def test_errors_that_only_extra_looks_see_still_count(app: Application, context: Context) -> None:
    path = unique("extra")
    story = Story(probe(app, path), context)
    app.work(100, 200, 0.0, path)
    await story.look()
    for _ in range(4):
        app.work(40, 500, 0.0, path)
        await story.look(scheduled=False)
        app.work(40, 200, 0.0, path)
        await story.look()
    assert story.state == "down"


async def test_traffic_that_stops_is_degraded_until_it_comes_again(app: Application, context: Context) -> None:
    path = unique("stops")
    app.work(1, 200, 0.0, path)
    # As if 10 requests a second had come for an hour, and then none for two minutes.
    context.memory.update({"traffic.rate": 10.0, "traffic.known": 3600.0})
    story = Story(replace(probe(app, path), traffic="steady"), context)
    await story.look()
    assert (await story.look()).measurements["stopped_for"] == 0
    context.memory.update({"traffic.silence": 121.0, "traffic.due": 1210.0})
    assert (await story.look()).measurements["stopped_for"] > 121
    await story.look()
    assert story.state == "degraded"
    for _ in range(2):
        app.work(1, 200, 0.0, path)
        assert (await story.look()).measurements["stopped_for"] == 0
    assert story.state == "up"


async def test_looks_that_overlap_count_everything_once(app: Application, context: Context) -> None:
    path = unique("overlap")
    check = probe(app, path)
    app.work(1, 200, 0.0, path)
    await look(check, context)
    extra = replace(context, scheduled=False)
    for _ in range(10):
        app.work(10, 500, 0.0, path)
        await asyncio.gather(*(check.look(extra) for _ in range(5)))
    seen = (await look(check, context)).measurements
    assert (seen["requests"], seen["bad_requests"]) == (100, 100)


async def test_an_endpoint_that_never_answers_from_one_process_twice_cannot_tell(
    serve: Serve, context: Context
) -> None:
    line = b"process_start_time_seconds %d\nhits_total 5000\nbad_total 70\n"
    pages = [line % start for start in range(1, 50)]
    server = await serve(*([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(p), p)] for p in pages))
    check = ErrorRate(prometheus=(server.url(),), total="hits_total", bad="bad_total")
    seen = [await look(check, context) for _ in range(40)]
    assert all(each.measurements.get("requests") is None for each in seen)
    assert (seen[0].reason, seen[-1].reason) == (None, Reason.QUERY)
    assert "name each one's URL" in seen[-1].detail


# --- a huge endpoint ---------------------------------------------------------------------------------------------


async def test_an_endpoint_of_100_000_series_holds_nobody_up(
    serve: Serve, make_context: Callable[..., Context]
) -> None:
    def page(more: int) -> list[bytes]:
        line = b'hits_total{method="GET",path="/api/v1/thing/%d",status="%d"} %d\n'
        body = b"".join(line % (n, 200 + n % 400, n + more) for n in range(100_000))
        return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body]

    server = await serve(page(0), page(1))
    check = ErrorRate(prometheus=(server.url(),), total="hits_total", bad='hits_total{status=~"5.."}')
    context = make_context(30.0)
    turns: list[float] = []

    async def beat() -> None:
        while True:
            since = thread_time()
            await asyncio.sleep(0)
            turns.append(thread_time() - since)

    beating = asyncio.create_task(beat())
    first, second = await look(check, context), await look(check, context)
    beating.cancel()
    assert first.ok, first
    assert (second.measurements["requests"], second.measurements["bad_requests"]) == (100_000, 25_000)
    print(f"the longest of {len(turns)} turns took {max(turns) / sum(turns):.1%} of all")
    assert max(turns) < sum(turns) / 10
