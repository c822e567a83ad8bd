"""Real processes that end without a word, by kill -9 and at given points; a real receiver takes the webhooks."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.end_to_end.crashing_agent import KILLED, MODULE
from tests.end_to_end.ledger import all_sent, check_journal, check_ledger
from tests.end_to_end.rig import (
    Receiver,
    Target,
    agent,
    answering,
    check_status,
    listening,
    look_times,
    status,
    until,
    until_state,
)
from tests.end_to_end.stage import page, write_checks
from tests.soak.kills import kills

OUTAGE = [("opened", "outage"), ("updated", "degradation"), ("resolved", "degradation")]
CHANGES = [("up", "down", "status"), ("down", "degraded", "failing"), ("degraded", "up", None)]


def check_story(receiver: Receiver) -> None:
    """An outage from beginning to end: each event once, whatever came twice was the same."""
    assert receiver.incidents() == OUTAGE
    assert receiver.checks("home") == CHANGES
    assert len(receiver.told) == 6, "and nothing else"
    check_ledger(receiver)
    [name] = {webhook.event["incident"]["id"] for webhook in receiver.told if "incident" in webhook.event}
    assert name.startswith("inc_")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_process_that_ends_between_a_reload_and_its_commit(tmp_path: Path, side: str) -> None:
    """Two checks are down when the file loses them, one of them with its service: each incident is ended once."""
    services = "services: {shop: {title: Web shop}}\n"
    out = Target(status=500)
    async with listening(Receiver()) as receiver, answering(Target()) as target, answering(out) as dead:
        home = page("home", target.url, "    service: shop\n")
        bad = [page("cart", dead.url, "    service: shop\n"), page("jobs", dead.url)]
        file = write_checks(tmp_path, receiver, home, *bad, services=services)
        with agent(tmp_path, file, f"retire:{side}:1", module=MODULE) as running:
            await until_state(await running.started(), "home", "up")
            await until(lambda: receiver.open_incidents == 2, "both incidents")
            write_checks(tmp_path, receiver, home, services=services)
            running.process.send_signal(signal.SIGHUP)
            assert await running.ended() == KILLED
        assert receiver.open_incidents == 2, "it was adopted, and nobody has heard of it"
        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            await until(lambda: receiver.open_incidents == 0, "their ends")
            await look_times(url, "home", 3)
            await all_sent(tmp_path / "state")
            assert await running.stop() == 0
        check_ledger(receiver)
        check_journal(tmp_path / "state", {webhook.id for webhook in receiver.told})


@pytest.mark.timeout(180)
async def test_kill_9_keeps_what_is_known_and_tells_nothing_false(tmp_path: Path) -> None:
    async with listening(Receiver()) as receiver, answering(Target()) as target:
        file = write_checks(tmp_path, receiver, page("home", target.url))

        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            await until_state(url, "home", "up")
            # A flush comes every 15 s; the transition itself has been committed at once.
            await until(lambda: bool(running.lines("transition")), "the first transition")
            healthy = await check_status(url, "home")
            await running.kill()

        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            again = await check_status(url, "home")
            assert (again["state"], again["since"]) == (healthy["state"], healthy["since"])
            await look_times(url, "home", 3)
            assert receiver.webhooks == []
            target.status = 500
            await until(lambda: len(receiver.told) == 2, "the outage")
            down = await check_status(url, "home")
            await running.kill()

        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            await look_times(url, "home", 3)
            again, document = await check_status(url, "home"), await status(url)
            assert (again["state"], again["since"], again["reason"]) == ("down", down["since"], "status")
            opened = next(hook.event for hook in receiver.told if hook.event["type"] == "incident.opened")
            assert [incident["id"] for incident in document["incidents"]] == [opened["incident"]["id"]]
            assert len(receiver.told) == 2, "nothing has changed, so nothing is told"
            # The end of the story is taken in, but not answered: the agent cannot know that it has arrived.
            receiver.answering.clear()
            target.status = 200
            await until(lambda: len(receiver.told) >= 4, "the first events of the recovery")
            await until_state(url, "home", "up")
            await until(lambda: sum(line["new"] == "up" for line in running.lines("transition")) == 1, "its commit")
            await running.kill()
        receiver.answering.set()

        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            await until(lambda: len(receiver.told) == 6, "the rest of the story")
            await look_times(url, "home", 3)
            assert (await status(url))["incidents"] == []
            assert await running.stop() == 0
        check_story(receiver)
        assert receiver.repeated, "what was not answered was sent again"


@pytest.mark.timeout(180)
async def test_kills_at_any_moment(tmp_path: Path) -> None:
    """A few of what `make soak` does two hundred times: while it starts, while it runs, and while it stops."""
    soak = await kills(tmp_path, seed=39, moments=3, targets=2, tell=print)
    assert all(soak.deaths.values()), soak.deaths
