"""`brownout look` tells how a running agent has the check, besides what the one look says."""

from __future__ import annotations

import asyncio

from monitor.commands._standing import known
from tests.core.builders import check, world
from tests.core.calmly import Calmly, once
from tests.core.stories import begun
from tests.web.conftest import Serve


async def test_what_the_agent_knows_stands_beside_the_look(serve: Serve) -> None:
    agent = await serve(world=world(check("database"), check("app", depends_on=("database",)), check("deploy")))
    story = Calmly(agent.world)
    begun(story, ("database", "app", "deploy"))
    story.maintain(once(10, 9000, "deploy"), 10)
    story.kill("database", 30)
    story.kill("app", 35)
    assert await asyncio.to_thread(known, agent.base, "app") == (
        "down since 2026-03-01 12:00:35 UTC: nothing listens on the port (suppressed: database explains it)",
        [],
    )
    assert await asyncio.to_thread(known, agent.base, "deploy") == (
        "up since 2026-03-01 12:00:00 UTC (in maintenance until 14:30 UTC)", [],
    )  # fmt: skip
    nothing = ("", [])
    assert await asyncio.to_thread(known, agent.base, "nosuch") == nothing
    assert await asyncio.to_thread(known, "", "app") == nothing
