"""What stands in for the pipeline where a world is served that nobody writes down."""

from __future__ import annotations

from collections.abc import Callable

from monitor.core.model import Change, Moment
from monitor.core.world import World
from tests.web.conftest import Agent


class Deciding:
    """Has a world decide, as the pipeline does."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.changes: list[Change] = []
        self.writer = self

    def decide(self, what: Callable[[World, Moment], Change | None]) -> None:
        if (change := what(self.agent.world, self.agent.clock.now())) is not None:
            self.changes.append(change)

    async def committed(self, patience: float) -> bool:
        return True
