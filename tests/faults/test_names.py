"""The agent's own resolver fails, or falls silent: that is not the targets' trouble, and pages wait for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.ledger import all_sent, check_journal, check_ledger
from tests.end_to_end.rig import (
    Receiver,
    Target,
    agent,
    answering,
    check_status,
    listening,
    look_times,
    until,
    until_state,
)
from tests.end_to_end.stage import CALM, page, write_checks
from tests.faults.name_server import asking_it, name_server, namespaces_allowed


@pytest.mark.timeout(150)
@pytest.mark.skipif(not namespaces_allowed(), reason="this user may make no mount namespace (root may)")
async def test_without_names_it_cannot_tell_and_pages_wait(tmp_path: Path) -> None:
    async with (
        name_server() as names,
        listening(Receiver()) as receiver,
        answering(Target()) as named,
        answering(Target()) as numbered,
    ):
        receiver.url = by_name(receiver.url, "hooks")
        checks = (page("named", by_name(named.url, "shop")), page("numbered", numbered.url))
        file = write_checks(tmp_path, receiver, *checks, pace=CALM)
        with agent(tmp_path, "run", file, before=asking_it(tmp_path)) as running:
            url = await running.started()
            await until_state(url, "named", "up")
            await until_state(url, "numbered", "up")
            names.failing = True
            await until_state(url, "named", "unknown")
            assert (await check_status(url, "named"))["reason"] == "dns_servfail"
            # Trouble of another target, which needs no name, is seen meanwhile; only its page cannot go out yet.
            numbered.status = 500
            await until_state(url, "numbered", "down")
            await until(lambda: bool(running.lines("outbox.retry")), "an attempt to tell")
            assert receiver.webhooks == []
            names.failing = False
            await until(lambda: receiver.open_incidents == 1, "the page that waited")
            await until_state(url, "named", "up")
            # A resolver that says nothing at all: names that were known go on with their last addresses.
            names.silent = True
            await look_times(url, "named", 2)
            assert (await check_status(url, "named"))["state"] == "up"
            names.silent = False
            numbered.status = 200
            await until_state(url, "numbered", "up")
            await until(lambda: receiver.open_incidents == 0, "its end")
            await all_sent(tmp_path / "state")
            assert await running.stop() == 0
        check_ledger(receiver)
        check_journal(tmp_path / "state", {webhook.id for webhook in receiver.told})
        roots = {webhook.event["incident"]["root"] for webhook in receiver.told if "incident" in webhook.event}
        assert roots == {"numbered"}
        assert "down" not in {new for _, new, _ in receiver.checks("named")}


def by_name(url: str, name: str) -> str:
    return url.replace("127.0.0.1", f"{name}.brownout.test")
