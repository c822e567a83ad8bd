"""What `/metrics` tells of the agent itself, and what is kept for its health."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest

from monitor.clock import SystemClock
from monitor.core.sight import Outlook, Trouble
from monitor.outbox import Outcome
from monitor.store.contract import Backlog, StoreError
from monitor.telemetry import Telemetry
from monitor.telemetry.agent import AgentFigures
from monitor.telemetry.loop import LoopWatch
from probes.contract import Reason
from tests.scraping import read, scrape, value, watching
from tests.virtual_time import VirtualClock, run
from tests.web.made import at, shop


async def test_the_agents_own_figures() -> None:
    telemetry = watching(shop())
    telemetry.late(0.003)
    telemetry.late(99.0)
    telemetry.in_flight(7)
    telemetry.missed(3)
    telemetry.extra_dropped()
    telemetry.committed(2, 0.001)
    telemetry.commit_failed()
    telemetry.unstorable()
    telemetry.delivery("hook", "accepted", 0.2)
    telemetry.delivery("hook", "failed", 3.0)
    for openmetrics in (False, True):
        samples = read(await scrape(telemetry, openmetrics=openmetrics), openmetrics=openmetrics)
        bucket = "brownout_look_start_lateness_seconds_bucket"
        assert value(samples, bucket, le="0.0025") == 0
        assert value(samples, bucket, le="0.005") == 1
        assert value(samples, bucket, le="+Inf") == 2
        assert value(samples, "brownout_look_start_lateness_seconds_sum") == pytest.approx(99.003)
        assert value(samples, "brownout_looks_in_flight") == 7
        assert value(samples, "brownout_missed_beats_total") == 3
        assert value(samples, "brownout_extra_looks_dropped_total") == 1
        assert value(samples, "brownout_commits_total") == 1
        assert value(samples, "brownout_changes_committed_total") == 2
        assert value(samples, "brownout_commit_seconds_count") == 1
        assert value(samples, "brownout_commit_failures_total") == 1
        assert value(samples, "brownout_unstorable_total") == 1
        assert value(samples, "brownout_deliveries_total", sink="hook", outcome="failed") == 1
        assert value(samples, "brownout_delivery_seconds_count", sink="hook") == 2
        assert value(samples, "process_open_fds") > 0


class Outbox:
    """Stands in for a store: it knows only how its sinks stand, or cannot say."""

    def __init__(self) -> None:
        self.backlogs: Mapping[str, Backlog] | None = {}

    async def backlog(self) -> Mapping[str, Backlog]:
        if self.backlogs is None:
            raise StoreError("the disk is gone")
        return self.backlogs


def test_the_outbox_is_read_beside_the_scrapes() -> None:
    async def main() -> None:
        telemetry, outbox = watching(shop()), Outbox()
        assert telemetry.outbox_oldest_age is None
        watch = asyncio.create_task(telemetry.watch_outbox(outbox))
        outbox.backlogs = {"hook": Backlog(3, 1, at(0) - timedelta(seconds=90)), "chat": Backlog(0, 0, None)}
        await asyncio.sleep(11)
        samples = read(await scrape(telemetry))
        assert value(samples, "brownout_outbox_waiting", sink="hook") == 3
        assert value(samples, "brownout_outbox_dead", sink="hook") == 1
        assert value(samples, "brownout_outbox_oldest_age_seconds", sink="hook") == 90
        assert value(samples, "brownout_outbox_oldest_age_seconds", sink="chat") == 0
        assert telemetry.outbox_oldest_age == 90
        outbox.backlogs = None
        await asyncio.sleep(11)
        assert "brownout_outbox_waiting" not in read(await scrape(telemetry))
        assert telemetry.outbox_oldest_age is None
        watch.cancel()

    run(main())


def test_the_worst_lag_is_kept_for_a_while_and_then_forgotten() -> None:
    watch = LoopWatch(AgentFigures(), SystemClock())
    watch.lagged(0.7, 1.0)
    watch.lagged(0.1, 14.0)
    assert watch.lag == 0.7
    watch.lagged(0.2, 16.0)
    assert watch.lag == 0.7
    watch.lagged(0.0, 32.0)
    assert watch.lag == 0.2


def test_the_loop_is_watched_ten_times_a_second() -> None:
    async def main() -> None:
        telemetry = watching(shop())
        watch = asyncio.create_task(telemetry.watch_loop())
        await asyncio.sleep(1.05)
        watch.cancel()
        assert value(read(await scrape(telemetry)), "brownout_loop_lag_seconds_count") == 10
        assert telemetry.loop_lag < 0.001

    run(main())


def test_missed_beats_are_those_of_the_last_minute() -> None:
    async def main() -> None:
        telemetry = Telemetry(shop(), clock=VirtualClock(), version="0.1.0", vantage="fra1")
        watch = asyncio.create_task(telemetry.watch_loop())
        for _ in range(5):
            telemetry.late(0.0)
        telemetry.missed(20)
        assert telemetry.recent_beats == (5, 20), "told at once"
        await asyncio.sleep(29)
        assert telemetry.recent_beats == (5, 20)
        telemetry.missed()
        await asyncio.sleep(3)
        assert telemetry.recent_beats == (5, 21)
        telemetry.late(0.0)
        await asyncio.sleep(30)
        assert telemetry.recent_beats == (1, 0)
        await asyncio.sleep(60)
        assert telemetry.recent_beats == (0, 0)
        watch.cancel()

    run(main())


def test_a_sink_with_a_dead_letter_is_told_for_six_hours() -> None:
    async def main() -> None:
        telemetry = Telemetry(shop(), clock=VirtualClock(), version="0.1.0", vantage="fra1")
        telemetry.delivery("hook", Outcome.ACCEPTED, 0.1)
        telemetry.delivery("hook", Outcome.RETRIED, 0.1)
        assert telemetry.refusing_sinks == ()
        telemetry.delivery("hook", Outcome.DEAD, 0.1)
        await asyncio.sleep(3600)
        telemetry.delivery("chat", Outcome.DEAD, 0.1)
        telemetry.delivery("hook", Outcome.ACCEPTED, 0.1)
        assert telemetry.refusing_sinks == ("chat", "hook")
        telemetry.redefined(["chat", "none"])
        assert telemetry.refusing_sinks == ("hook",), "the one that refused is not there any more"
        telemetry.delivery("chat", "dead", 0.1)
        await asyncio.sleep(5 * 3600 + 1)
        assert telemetry.refusing_sinks == ("chat",)

    run(main())


async def test_the_agents_own_trouble_and_its_witnesses_are_told() -> None:
    outlook = Outlook(frozenset((Trouble.NETWORK,)), {"192.0.2.1:53": False}, {Reason.OWN_NETWORK: 3})
    samples = read(await scrape(watching(shop(), outlook=lambda: outlook)))
    assert value(samples, "brownout_agent_trouble", trouble="network") == 1
    assert value(samples, "brownout_agent_trouble", trouble="resolver") == 0
    assert value(samples, "brownout_witness_answers", witness="192.0.2.1:53") == 0
    assert value(samples, "brownout_looks_relabelled_total", reason="own_network") == 3
