"""What has come since: resets, new series, several processes behind one URL, looks that overtake one another."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.error_rate._baselines import MOST_PROCESSES, Baselines, Increase, Reading
from probes.error_rate._quantiles import quantile

INF = float("inf")


class Url:
    """A URL that answers when it is told to; a look each 10 seconds."""

    def __init__(self) -> None:
        self.baselines = Baselines()
        self.clock = 0.0

    async def answers(self, start: float | None = None, **counters: float) -> dict[str, float] | None:
        """What `advance` makes of these counters: by their names, those that stood still left out."""
        self.clock += 10
        return await self.advance(Reading(start, self.clock, 1e9 + self.clock, _keyed(counters)))

    async def advance(self, reading: Reading) -> dict[str, float] | None:
        increase = await self.baselines.advance(reading)
        return None if increase is None else {chr(key): step for key, step in increase.series.items()}


def _keyed(counters: dict[str, float]) -> dict[int, float]:
    return {ord(name): value for name, value in counters.items()}


async def test_the_first_answer_lays_the_ground() -> None:
    url = Url()
    assert await url.answers(a=100) is None
    assert await url.answers(a=103) == {"a": 3}
    assert await url.answers(a=103) == {}


async def test_a_new_series_has_counted_from_nothing() -> None:
    url = Url()
    await url.answers(a=100)
    assert await url.answers(a=100, b=3) == {"b": 3}
    empty = Url()
    await empty.answers()
    assert await empty.answers(b=3) == {"b": 3}


async def test_a_restart_begins_again_at_nothing() -> None:
    url = Url()
    await url.answers(a=100, b=7)
    # The series b does not fall, and has still counted from 0 again.
    assert await url.answers(a=20, b=7, c=1) == {"a": 20, "b": 7, "c": 1}
    assert await url.answers(a=21, b=7, c=1) == {"a": 1}


async def test_one_series_that_falls_among_many_begins_again_alone() -> None:
    url = Url()
    many = {chr(n): 100.0 for n in range(256, 276)}
    await url.answers(a=100, b=100, **many)
    assert await url.answers(a=101, b=2, **many) == {"a": 1, "b": 2}


async def test_a_named_process_that_has_started_since_tells_all_it_has() -> None:
    url = Url()
    await url.answers(start=5.0, a=100)
    assert await url.answers(start=1e9 + 15, a=120) == {"a": 120}
    assert await url.answers(start=1e9 + 15, a=125) == {"a": 5}


async def test_a_new_worker_that_is_met_late_tells_all_it_has_while_it_is_young() -> None:
    url = Url()
    await url.answers(start=5.0, a=100)
    for step in range(1, 4):
        await url.answers(start=5.0, a=100 + step)
    assert await url.answers(start=1e9 + 12, a=70) == {"a": 70}  # it began after the first look, 40 s ago
    for step in range(4, 50):
        await url.answers(start=5.0, a=100 + step)
    assert await url.answers(start=1e9 + 13, a=70) is None  # too long ago to be told as of now


async def test_a_named_process_that_was_there_before_tells_nothing_at_first() -> None:
    url = Url()
    await url.answers(start=5.0, a=100)
    assert await url.answers(start=6.0, a=90_000) is None
    assert await url.answers(start=5.0, a=101) == {"a": 1}
    assert await url.answers(start=6.0, a=90_002) == {"a": 2}


async def test_a_process_from_the_future_is_not_believed() -> None:
    url = Url()
    await url.answers(start=5.0, a=100)
    assert await url.answers(start=2e9, a=90_000) is None


async def test_workers_that_started_in_the_same_moment_are_told_apart_by_their_counters() -> None:
    url = Url()
    await url.answers(start=5.0, a=1000, b=10)
    assert await url.answers(start=5.0, a=20, b=1) is None  # the same process cannot fall
    for step in range(1, 5):
        assert await url.answers(start=5.0, a=1000 + step, b=10) == {"a": 1}
        assert await url.answers(start=5.0, a=20 + step, b=1) == {"a": 1}


async def test_workers_that_are_not_named_settle() -> None:
    url = Url()
    workers = [{"a": 1000.0, "b": 10.0}, {"a": 5000.0, "b": 3.0}, {"a": 20.0, "b": 30.0}]
    told = []
    for round_ in range(5):
        for worker in workers:
            worker["a"] += 1
            told.append(await url.answers(**worker))
        if round_ > 1:
            assert told[-3:] == [{"a": 1}] * 3


async def test_series_that_a_process_forgets_are_no_restart() -> None:
    url = Url()
    await url.answers(start=5.0, a=100, b=50)
    assert await url.answers(start=5.0, a=101) == {"a": 1}
    assert await url.answers(start=5.0, a=101, b=2) == {"b": 2}
    unnamed = Url()
    await unnamed.answers(a=100, b=50, c=1)
    assert await unnamed.answers(a=101, c=1) == {"a": 1}


async def test_an_answer_that_was_overtaken_tells_nothing() -> None:
    url = Url()
    await url.answers(a=100)
    slow = Reading(None, 15.0, 1e9 + 15, _keyed({"a": 105}))
    url.clock = 15.0
    assert await url.answers(a=110) == {"a": 10}
    assert await url.advance(slow) is None
    assert await url.answers(a=111) == {"a": 1}


async def test_overlapping_looks_count_everything_once() -> None:
    url = Url()
    await url.answers(**{chr(n): 1.0 for n in range(256, 4256)})
    readings = [
        Reading(None, 20.0 + look, 1e9 + 20 + look, dict.fromkeys(range(256, 4256), 2.0 + look)) for look in range(4)
    ]
    found = await asyncio.gather(*(url.advance(reading) for reading in readings))
    assert sum(sum(each.values()) for each in found if each) == 4 * 4000


async def test_the_seconds_are_those_since_the_url_was_asked() -> None:
    baselines = Baselines()
    await baselines.advance(Reading(1.0, 10.0, 1e9, {1: 1}))
    await baselines.advance(Reading(2.0, 20.0, 1e9, {1: 50}))
    increase = await baselines.advance(Reading(1.0, 25.0, 1e9, {1: 9}))
    assert increase == Increase({1: 8}, 5.0)


async def test_a_new_process_has_not_counted_for_longer_than_it_runs() -> None:
    baselines = Baselines()
    await baselines.advance(Reading(1.0, 10.0, 1e9, {1: 1}))
    increase = await baselines.advance(Reading(1e9 + 950, 1010.0, 1e9 + 1000, {1: 50}))
    assert increase is not None
    assert increase.seconds == 50


async def test_processes_and_series_that_are_kept_are_bounded() -> None:
    unnamed = Url()
    for worker in range(50):
        await unnamed.answers(**{chr(256 + worker): 1.0})
    assert unnamed.baselines.processes <= 16
    url = Url()
    for worker in range(100):
        await url.answers(start=float(worker), a=1)
    assert url.baselines.processes == MOST_PROCESSES
    many = Baselines()
    for worker in range(4):
        await many.advance(Reading(float(worker), 1.0 + worker, 1e9, dict.fromkeys(range(90_000), 1.0)))
    assert many.processes == 2


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("request"), st.integers(0, 2), st.sampled_from("abc")),
            st.tuples(st.just("look"), st.integers(0, 2), st.just("")),
            st.tuples(st.just("restart"), st.integers(0, 2), st.just("")),
        ),
        max_size=80,
    )
)
def test_whatever_named_workers_do_each_request_that_was_seen_is_counted_once(
    happens: list[tuple[str, int, str]],
) -> None:
    """Three workers behind one URL. What is told in all is what each life of each had counted when it was asked last,
    less what it had counted before the URL was watched."""

    async def go() -> tuple[float, float]:
        baselines, told, clock, first = Baselines(), 0.0, 10.0, INF
        starts = [-300.0, -200.0, -100.0]
        counts: list[dict[str, float]] = [{"a": 50.0}, {"a": 70.0, "b": 3.0}, {}]
        seen: dict[float, tuple[float, float]] = {}
        for what, worker, name in happens:
            clock += 1.0
            if what == "request":
                counts[worker][name] = counts[worker].get(name, 0.0) + 1
            elif what == "restart":
                starts[worker], counts[worker] = clock + worker / 10, {}
            else:
                # A worker that began before the first look had counts that nobody watched.
                total = sum(counts[worker].values())
                watched = starts[worker] >= first - 2.0
                first = min(first, clock)
                base = seen.get(starts[worker], (0.0 if watched else total, 0.0))[0]
                seen[starts[worker]] = (base, total)
                increase = await baselines.advance(Reading(starts[worker], clock, clock, _keyed(counts[worker])))
                told += sum(increase.series.values()) if increase is not None else 0.0
        return told, sum(total - base for base, total in seen.values())

    told, counted = asyncio.run(go())
    assert told == counted


# --- percentiles ----------------------------------------------------------------------------------------------------


def test_quantiles_are_those_of_promql() -> None:
    """Worked out by hand from its documentation; test_error_rate_promql.py compares with a real server."""
    buckets = {0.1: 1.0, 0.2: 2.0, 1.0: 4.0, INF: 4.0}
    assert quantile(0.5, buckets) == 0.2
    assert quantile(0.25, buckets) == 0.1
    assert quantile(0.125, buckets) == 0.05
    assert quantile(0.75, buckets) == pytest.approx(0.6)
    assert quantile(1.0, buckets) == 1.0


def test_beyond_the_last_bound_nobody_knows() -> None:
    assert quantile(0.99, {0.1: 1.0, 1.0: 2.0, INF: 10.0}) == 1.0
    assert quantile(0.5, {-1.0: 5.0, 1.0: 5.0, INF: 5.0}) == -1.0


def test_no_requests_or_no_infinite_bucket_is_no_quantile() -> None:
    assert quantile(0.5, {}) is None
    assert quantile(0.5, {INF: 3.0}) is None
    assert quantile(0.5, {0.1: 3.0, 1.0: 3.0}) is None
    assert quantile(0.5, {0.1: 0.0, INF: 0.0}) is None


def test_buckets_that_seem_to_fall_are_mended() -> None:
    assert quantile(0.5, {0.1: 4.0, 0.2: 3.0, INF: 4.0}) == 0.05
