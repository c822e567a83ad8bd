"""A database is stopped under three tiers: one incident, which names the database, whoever fails first."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.ledger import check_ledger
from tests.end_to_end.rig import Receiver, agent, check_status, listening, status, until, until_state
from tests.end_to_end.stage import write_checks
from tests.end_to_end.tiers import tier
from tests.servers import Absent, end
from tests.servers.postgres import Postgres, postgres

SERVICES = """\
services:
  shop: {title: Web shop, outage: any of front}
  api: {title: API, outage: any of app}
"""
CHECKS = """\
  - {{name: front, service: shop, probe: http, url: "{front}", expect: {{status: 200}}, depends_on: app}}
  - {{name: app, service: api, probe: http, url: "{app}", expect: {{status: 200}}, depends_on: database}}
  - {{name: database, probe: postgres, dsn: "{dsn}", every: {every}, timeout: 5s}}
"""


@dataclass
class Stage:
    """The three tiers, watched by an agent."""

    database: Postgres
    receiver: Receiver
    page: str
    folder: Path
    stack: ExitStack

    def stop_database(self) -> None:
        end(self.database.process, signal.SIGQUIT)

    def start_database(self) -> None:
        again = postgres(self.folder, data=self.database.data, port=self.database.port)
        self.stack.enter_context(again)

    def incidents(self) -> list[dict[str, Any]]:
        return [hook.event for hook in self.receiver.told if hook.event["type"].startswith("incident.")]


@asynccontextmanager
async def stage(folder: Path, every: str) -> AsyncIterator[Stage]:
    """With a look at the database `every` so often."""
    with ExitStack() as stack:
        try:
            database = stack.enter_context(postgres(folder))
        except Absent as error:
            pytest.skip(str(error))
        app = stack.enter_context(tier("app", database.dsn(), folder))
        front = stack.enter_context(tier("front", app, folder))
        async with listening(Receiver()) as receiver:
            checks = CHECKS.format(front=front, app=app, dsn=database.dsn(), every=every)
            pace = (
                "  every: 1s\n  timeout: 1s\n  confirm: {looks: 3, span: 1s}\n  recover: {looks: 5, every: 100ms}\n"
            )
            config = write_checks(folder, receiver, checks, services=SERVICES, pace=pace)
            with agent(folder, "run", config) as brownout:
                url = await brownout.started()
                for name in ("front", "app", "database"):
                    await until_state(url, name, "up")
                yield Stage(database, receiver, url, folder, stack)
                assert await brownout.stop() == 0


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    "every", [pytest.param("5s", marks=pytest.mark.long, id="at-its-pace"), pytest.param("1h", id="children-first")]
)
async def test_a_stopped_database_is_one_incident_that_names_it(tmp_path: Path, every: str) -> None:
    """Looked at once an hour, the database cannot be seen to fail before what depends on it."""
    async with stage(tmp_path, every) as here:
        here.stop_database()
        for name in ("front", "app", "database"):
            await until_state(here.page, name, "down")
        await until(lambda: bool(here.incidents()), "an incident")
        shown = await status(here.page)
        assert [(item["root"], sorted(item["services"])) for item in shown["incidents"]] == [
            ("database", ["api", "database", "shop"])
        ]
        assert (await check_status(here.page, "front"))["suppressed_by"] == "database"
        here.start_database()
        for name in ("database", "app", "front"):
            await until_state(here.page, name, "up")
        await until(lambda: here.receiver.incidents()[-1:] == [("resolved", "outage")] or
                    here.receiver.incidents()[-1:] == [("resolved", "degradation")], "the end")  # fmt: skip
    told = here.incidents()
    assert {event["incident"]["id"] for event in told} == {told[0]["incident"]["id"]}, "exactly one"
    assert {event["incident"]["root"] for event in told} == {"database"}, "named from the first word on"
    assert "database: " in told[0]["sentence"]
    assert here.receiver.checks("front") == here.receiver.checks("app") == [], "explained by the database"
    assert here.receiver.checks("database")[0][:2] == ("up", "down")
    check_ledger(here.receiver)
