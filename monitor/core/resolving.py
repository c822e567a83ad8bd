"""Whether the agent's resolver is dead. Names that cannot be told make checks `unknown` anyway; this tells why."""

from __future__ import annotations

from monitor.core.model import Moment
from monitor.core.sight import Ailment, Trouble
from monitor.core.vantage import Rank, Witness

ALONE = 30.0
"""Seconds of silence that are trouble though no look has failed for it yet: names go by their last addresses."""


class Names:
    """The resolvers of the machine, as one. They count only if they have ever answered: not all tell of the root."""

    def __init__(self) -> None:
        self._resolvers = Witness(Rank.LINK)
        self._since: Moment | None = None
        self._missed = False
        """Whether a look has failed for want of a name since then."""

    @property
    def watchful(self) -> bool:
        """Whether they should be asked again and again now."""
        return self._since is not None

    def missed(self) -> None:
        """A look has failed for want of a name."""
        self._missed = self._since is not None

    def answered(self, asked: Moment) -> None:
        self._resolvers.answer(asked.tick)
        self._since, self._missed = None, False

    def silent(self, asked: Moment) -> None:
        if self._resolvers.known:
            self._resolvers.fall_silent(asked.tick)
            self._since = self._since or asked

    def ailment(self, tick: float) -> Ailment | None:
        """What is wrong at that tick."""
        if self._since is None or not self._resolvers.gone:
            return None
        lasts = tick - self._since.tick >= ALONE
        return Ailment(Trouble.RESOLVER, self._since, "") if self._missed or lasts else None
