"""Real processes that end without a word, by kill -9 and at given points; a real receiver takes the webhooks."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.crashing_agent import KILLED
from tests.end_to_end.ledger import all_sent, check_journal, check_ledger
from tests.end_to_end.rig import (
    PATIENCE,
    Agent,
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
MODULE = "tests.end_to_end.crashing_agent"


def check_story(receiver: Receiver) -> None:
    """An outage from beginning to end: each event once, whatever came twice was the same."""
    assert receiver.incidents() == OUTAGE
    assert receiver.checks("home") == CHANGES
    assert len(receiver.told) == 6, "and nothing else"
    check_ledger(receiver)
    [name] = {webhook.event["incident"]["id"] for webhook in receiver.told if "incident" in webhook.event}
    assert name.startswith("inc_")


async def state_of(running: Agent) -> str | None:
    """The state of the check, if there is an agent to ask."""
    try:
        return str((await check_status(await running.started(), "home"))["state"])
    except (httpx.TransportError, AssertionError):
        return None


def heard(receiver: Receiver, event: str) -> bool:
    return any(webhook.event["type"] == event for webhook in receiver.webhooks)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "point",
    [
        "commit:before:1",
        "commit:before:2",
        "commit:after:2",
        "commit:after:3",
        "send:before:1",
        "send:after:2",
        "send:after:4",
        "delivered:before:6",
        "delivered:after:1",
        "save:before:1",
    ],
)
async def test_a_process_that_ends_at_a_point(tmp_path: Path, point: str) -> None:
    async with listening(Receiver()) as receiver, answering(Target()) as target:
        file = write_checks(tmp_path, receiver, page("home", target.url))
        codes = [await life(tmp_path, file, point, receiver, target)]
        while codes[-1] == KILLED:
            codes.append(await life(tmp_path, file, "never:before:0", receiver, target))
        assert codes == [KILLED, 0]
        check_story(receiver)


async def life(folder: Path, file: Path, point: str, receiver: Receiver, target: Target) -> int:
    """One process: the rest of the story, or as much of it as it lives to see. Its exit code.

    The outside does not go back: the target recovers when the outage was told, whoever was alive to tell it.
    """
    with agent(folder, file, point, module=MODULE) as running:

        async def reach(holds: Callable[[], Awaitable[bool]], what: str) -> None:
            loop = asyncio.get_running_loop()
            give_up = loop.time() + PATIENCE
            while running.process.poll() is None and not await holds():
                assert loop.time() < give_up, f"waited in vain for {what}: {running.log}"
                await asyncio.sleep(0.02)

        async def well() -> bool:
            return await state_of(running) == "up"

        async def told(event: str) -> bool:
            return heard(receiver, event)

        async def all_told() -> bool:
            return len(receiver.told) >= 6

        if not heard(receiver, "incident.opened") and target.status == 200:
            await reach(well, "a first good look")
            if running.process.poll() is None:
                target.status = 500
        await reach(lambda: told("incident.opened"), "the outage")
        if heard(receiver, "incident.opened"):
            target.status = 200
        await reach(lambda: told("incident.resolved"), "its end")
        await reach(all_told, "the whole story")
        with suppress(httpx.TransportError):
            if running.process.poll() is None:
                await look_times(await running.started(), "home", 3)
                return await running.stop()
        return await running.ended()


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
