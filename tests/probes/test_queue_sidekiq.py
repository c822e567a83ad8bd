"""Sidekiq by schema: keys as its source lays them out, figures read from them, and nothing read wrongly."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from monitor.core.model import Look
from probes.contract import Context, Observation, Reason
from tests.core.builders import moment
from tests.probes.judged import Judged, look
from tests.probes.queued import Clock, queue_of, until_state
from tests.servers.redis import Redis


class Sidekiq:
    """Puts keys where Sidekiq puts them."""

    def __init__(self, server: Redis, namespace: str = "") -> None:
        self.redis = server.client()
        self.before = f"{namespace}:" if namespace else ""

    def push(self, queue: str = "default", *, ago: float = 0.0, milliseconds: bool = True, **more: Any) -> None:
        at = time.time() - ago
        job = {"class": "MailJob", "args": ["customer@example.com"], "queue": queue, "jid": "1", **more}
        job.setdefault("enqueued_at", int(at * 1000) if milliseconds else at)
        self.push_raw(queue, json.dumps(job))

    def push_raw(self, queue: str, text: str) -> None:
        self.redis.sadd(f"{self.before}queues", queue)
        self.redis.lpush(f"{self.before}queue:{queue}", text)

    def later(self, key: str, seconds: float, queue: str = "default") -> None:
        job = {"class": "LateJob", "queue": queue, "args": [f"{seconds}"]}
        self.redis.zadd(f"{self.before}{key}", {json.dumps(job): time.time() + seconds})

    def beat(self, name: str = "web1:4:ab", *queues: str, busy: int = 0, quiet: bool = False) -> None:
        self.redis.sadd(f"{self.before}processes", name)
        info = {"hostname": "web1", "queues": list(queues or ("default",)), "concurrency": 5}
        fields = {"info": json.dumps(info), "busy": busy, "beat": time.time(), "quiet": str(quiet).lower()}
        self.redis.hset(f"{self.before}{name}", mapping={key: str(value) for key, value in fields.items()})
        self.redis.expire(f"{self.before}{name}", 60)


@pytest.fixture
def sidekiq(redis: Redis) -> Sidekiq:
    return Sidekiq(redis)


async def seen_in(server: Redis, context: Context, **keys: Any) -> Observation:
    probe = queue_of(server, "sidekiq", **keys)
    seen = await look(probe, context)
    await probe.close()
    return seen


async def test_all_figures(redis: Redis, sidekiq: Sidekiq, context: Context) -> None:
    for ago in (90.0, 30.0, 1.0):
        sidekiq.push(ago=ago)
    sidekiq.push("mailers", ago=10.0)
    for key in ("schedule", "retry", "dead"):
        sidekiq.later(key, 3600)
    sidekiq.later("schedule", 7200)
    sidekiq.beat("web1:4:ab", "default", busy=3)
    sidekiq.beat("web2:4:cd", "mailers", busy=1)
    sidekiq.beat("web3:4:ef", "reports", busy=5)
    sidekiq.beat("web4:4:01", "default", busy=1, quiet=True)
    sidekiq.redis.sadd("processes", "gone:1:ff")
    seen = await seen_in(redis, context, queues=("default", "mailers"))
    assert seen.ok, seen
    figures = seen.measurements
    assert figures["lag"] == pytest.approx(90, abs=2)
    expected = {
        "depth": 4,
        "scheduled": 2,
        "retry": 1,
        "failed": 1,
        "workers": 2,
        "in_flight": 5,
        "paused": 0,
        "held": 0,
    }
    assert {name: figures[name] for name in expected} == expected
    assert seen.evidence["worst_queue"].startswith("default: 3 waiting, the oldest 90.")
    assert seen.evidence["worst_queue"].endswith("MailJob")
    assert "customer" not in str(seen)


@pytest.mark.parametrize("milliseconds", [True, False])
async def test_both_forms_of_time(redis: Redis, sidekiq: Sidekiq, context: Context, milliseconds: bool) -> None:
    sidekiq.push(ago=42.0, milliseconds=milliseconds)
    assert (await seen_in(redis, context)).measurements["lag"] == pytest.approx(42, abs=2)


async def test_nothing_there_is_no_trouble(redis: Redis, context: Context) -> None:
    seen = await seen_in(redis, context, queues=("defualt",))
    assert seen.ok, seen
    assert (seen.measurements["lag"], seen.measurements["depth"], seen.measurements["drain_time"]) == (0, 0, 0)
    assert seen.evidence["never_used"] == "defualt", "a slip of the pen can be seen"


async def test_a_paused_queue_is_told_apart(redis: Redis, sidekiq: Sidekiq, context: Context) -> None:
    sidekiq.push("reports", ago=9000.0)
    sidekiq.push("default", ago=5.0)
    sidekiq.redis.sadd("paused", "reports")
    sidekiq.beat("web1:4:ab", "reports")
    seen = await seen_in(redis, context)
    assert seen.measurements["lag"] == pytest.approx(5, abs=2)
    assert (seen.measurements["depth"], seen.measurements["held"], seen.measurements["paused"]) == (1, 1, 1)
    assert seen.measurements["workers"] == 0, "the only one serves what is paused"
    assert seen.evidence["paused"] == "reports"


async def test_a_namespace(redis: Redis, context: Context) -> None:
    mine, other = Sidekiq(redis, "shop"), Sidekiq(redis)
    mine.push(ago=5.0)
    mine.beat("web1:4:ab", "default", busy=2)
    other.push("default", ago=9000.0)
    seen = await seen_in(redis, context, namespace="shop")
    assert seen.measurements["lag"] == pytest.approx(5, abs=2)
    assert (seen.measurements["workers"], seen.measurements["in_flight"]) == (1, 2)


async def test_jobs_whose_time_has_come_and_nobody_sees_to_are_late(
    redis: Redis, sidekiq: Sidekiq, context: Context
) -> None:
    sidekiq.later("schedule", -120)
    sidekiq.later("schedule", 60)
    sidekiq.later("retry", -30, queue="mailers")
    seen = await seen_in(redis, context)
    assert seen.measurements["lag"] == pytest.approx(120, abs=2)
    assert (seen.measurements["depth"], seen.measurements["scheduled"]) == (2, 1)
    assert seen.evidence["worst_queue"].startswith("schedule: 1 waiting")
    ours = await seen_in(redis, context, queues=("mailers",))
    assert ours.measurements["lag"] == pytest.approx(30, abs=2), "of another queue's nothing is said"


async def test_completed_jobs_are_those_of_all_queues(redis: Redis, sidekiq: Sidekiq, context: Context) -> None:
    sidekiq.push("default")
    sidekiq.push("mailers")
    clock = Clock()
    for queues, counted in (((), True), (("default", "mailers"), True), (("default",), False)):
        context.memory.clear()
        probe = queue_of(redis, "sidekiq", clock=clock, queues=queues)
        sidekiq.redis.set("stat:processed", 100)
        await look(probe, context)
        sidekiq.redis.set("stat:processed", 120)
        clock.now += 10
        figures = (await look(probe, context)).measurements
        assert figures.get("drain_rate") == (pytest.approx(2.0) if counted else None), queues
        await probe.close()


@pytest.mark.parametrize(
    ("stamp", "lag"),
    [
        (lambda now: now + 30, 0.0),  # a clock that is ahead
        (lambda now: (now - 60) * 1e6, 60.0),  # another unit
        (lambda now: now + 10 * 86_400, None),
        (-5, None),
        (1e300, None),
        (12345, None),
        ("yesterday", None),
        (True, None),
        ([1], None),
        (None, None),
    ],
)
async def test_a_time_that_is_none(
    redis: Redis, sidekiq: Sidekiq, context: Context, stamp: Any, lag: float | None
) -> None:
    sidekiq.push(enqueued_at=stamp(time.time()) if callable(stamp) else stamp)
    seen = await seen_in(redis, context)
    assert seen.measurements["depth"] == 1
    assert seen.measurements.get("lag") == (None if lag is None else pytest.approx(lag, abs=5))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[1]",
        "[" * 60_000,
        '{"a":' * 10_000,
        '{"enqueued_at": NaN}',
        "\x00\xff",
        '{"class": {"a": 1}}',
    ],
)
async def test_a_job_that_is_no_job(redis: Redis, sidekiq: Sidekiq, context: Context, text: str) -> None:
    sidekiq.push_raw("default", text)
    sidekiq.push("mailers", ago=5.0)
    seen = await seen_in(redis, context)
    assert seen.ok, seen
    assert seen.measurements["depth"] == 2
    assert seen.measurements["lag"] == pytest.approx(5, abs=2)
    assert seen.evidence["no_age"] == "default"


async def test_jobs_of_a_megabyte(redis: Redis, sidekiq: Sidekiq, context: Context) -> None:
    hostile = '"enqueued_at":1000000000.0,"class":"Not"' + "x" * 1_000_000
    for number in range(6):  # more than an answer may have in all
        sidekiq.push(f"q{number}", ago=70.0 + number, args=[hostile])
    seen = await seen_in(redis, context)
    assert seen.ok, seen
    assert seen.measurements["lag"] == pytest.approx(75, abs=2)
    assert "MailJob" in seen.evidence["worst_queue"]


async def test_a_job_beyond_all_bounds_is_no_outage(redis: Redis, sidekiq: Sidekiq, context: Context) -> None:
    sidekiq.push(args=["x" * 5_000_000])
    seen = await seen_in(redis, context)
    assert (seen.reason, seen.measurements) == (Reason.UNSUPPORTED, {})
    assert seen.detail.startswith("queue:default: the answer is larger than 4 MiB")


async def test_names_are_hostile(redis: Redis, sidekiq: Sidekiq, context: Context) -> None:
    sidekiq.push("a\x1b[31m\u202e" + "b" * 500, **{"class": "\x00" * 5000})
    for number in range(150):
        sidekiq.push(f"q{number}")
    seen = await seen_in(redis, context)
    assert seen.measurements["depth"] == 100
    assert seen.evidence["left_out"] == "queues: 51 of 151"
    assert all(len(text) <= 300 and text.isprintable() for text in seen.evidence.values())


@pytest.mark.parametrize(
    ("key", "names"),
    [("queue:default", "queue:default"), ("queues", "queues"), ("retry", "retry"), ("paused", "paused")],
)
async def test_something_else_under_the_key(
    redis: Redis, sidekiq: Sidekiq, context: Context, key: str, names: str
) -> None:
    sidekiq.push()
    sidekiq.redis.delete(key)
    sidekiq.redis.set(key, "no such thing")
    seen = await seen_in(redis, context, queues=("default",))
    assert seen.reason is Reason.QUERY
    assert seen.detail.startswith(f"{names}: the server answers: WRONGTYPE")


async def test_from_stopped_workers_to_a_queue_that_is_well_again(
    redis: Redis, sidekiq: Sidekiq, context: Context
) -> None:
    probe = queue_of(redis, "sidekiq", queues=("default", "mailers"))
    judged = Judged(probe)
    sidekiq.beat()
    sidekiq.push(ago=2.0)
    at = await until_state(judged, context, "up", 0)
    sidekiq.push("mailers", ago=70.0)  # its workers have stopped: the oldest job grows old
    at = await until_state(judged, context, "degraded", at)
    assert judged.because == "lag > 1m, clear < 30s"
    sidekiq.redis.delete("queue:mailers")
    sidekiq.push("mailers", ago=1000.0)
    at = await until_state(judged, context, "down", at)
    assert judged.because == "lag > 15m"
    sidekiq.redis.delete("queue:mailers")
    at = await until_state(judged, context, "up", at)
    await probe.close()


async def test_work_and_no_workers_by_the_default_thresholds(
    redis: Redis, sidekiq: Sidekiq, context: Context
) -> None:
    clock = Clock()
    probe = queue_of(redis, "sidekiq", clock=clock)
    judged = Judged(probe)
    states = []
    sidekiq.push()
    for at in range(0, 420, 20):
        await judged.see(context, at)
        states.append(judged.state)
        clock.now += 20
    assert list(dict.fromkeys(states)) == ["up", "degraded", "down"]
    assert judged.because == "no_workers_for > 5m"
    sidekiq.beat()
    for at in range(420, 600, 20):
        await judged.see(context, at)
    assert judged.state == "up"
    await probe.close()


async def test_a_queue_that_was_paused_and_forgotten(redis: Redis, sidekiq: Sidekiq, context: Context) -> None:
    probe = queue_of(redis, "sidekiq")
    judged = Judged(probe)
    sidekiq.push(ago=9000.0)
    sidekiq.redis.sadd("paused", "default")
    seen = await judged.see(context, 0)
    told: list[str] = []
    for at in range(30, 3700, 30):  # nothing changes there, so one look stands for all
        judged.judge.observe(Look("home", seen, moment(at), moment(at + 0.1), limit=context.timeout))
        told.append(f"{judged.state} {judged.because}".strip())
    assert list(dict.fromkeys(told)) == ["up", "degraded paused > 0 for 1h"], "it was done on purpose, and forgotten"
    assert told.index("degraded paused > 0 for 1h") == pytest.approx(120, abs=2)
    sidekiq.redis.delete("paused", "queue:default")
    await until_state(judged, context, "up", 3700)
    await probe.close()


@pytest.mark.parametrize("score", ["-inf", "0", "-5e300"])
async def test_a_time_to_run_that_is_none(redis: Redis, sidekiq: Sidekiq, context: Context, score: str) -> None:
    sidekiq.redis.execute_command("ZADD", "schedule", score, "{}")
    seen = await seen_in(redis, context)
    assert seen.ok, seen
    assert seen.measurements["depth"] == 1
    assert "lag" not in seen.measurements


async def test_a_counter_beyond_all_bounds(redis: Redis, sidekiq: Sidekiq, context: Context) -> None:
    sidekiq.redis.set("stat:processed", "9" * 400)
    seen = await seen_in(redis, context)
    assert (seen.reason, seen.measurements.keys()) == (Reason.PROTOCOL, {"read_time"})


async def test_looks_that_overlap(redis: Redis, sidekiq: Sidekiq, context: Context) -> None:
    sidekiq.push(ago=5.0)
    probe = queue_of(redis, "sidekiq")
    for seen in await asyncio.gather(*(probe.look(context) for _ in range(5))):
        assert seen.ok, seen
        assert seen.measurements["depth"] == 1
    await probe.close()
