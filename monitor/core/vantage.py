"""Is it me or is it them? What witnesses of our own network say of the time in which looks have failed.

A *witness* is an address that is no target: a reference of the configuration, the default gateway. It counts only
while it has answered lately, and none is needed. A look that failed in a way that our own network could have caused
is believed once a witness has answered a question that was asked *after* that look had ended. Where all witnesses
that count stay silent, it is us: the looks since then say nothing of their targets.

The guard is pure: it is told what was asked and answered, and when.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, IntEnum

from monitor.core.model import Look, Moment

LATELY = 60.0
"""Seconds for which an answer makes a witness count. One that has gone long ago, or was never there, says nothing."""
ROUNDS, SPREAD = 3, 1.0
"""So many questions in a row, asked over so many seconds at least, must stay without an answer: one lost packet, or a
burst of a moment, is no network that is gone."""
NETWORKS = 5
"""Targets in so many distinct networks that fail together outvote the few that still answer."""
NETWORKS_KEPT = 10_000
"""Networks that are remembered to have failed: where there is no witness nothing ends a doubt, and one name may lead
to another network each time."""
ANSWERS, ANSWERS_SPREAD = 2, 1.0
"""After a loss, so many answers in a row over so many seconds end it."""
CUTS = 2
"""So many times in a row must the way to the gateway be seen to be cut."""
ARP = 10.0
"""Seconds that the kernel may take to see that a gateway is gone, while its cable is fine."""
SUCCESSES, QUIET = 3, 5.0
"""Without a witness that answers, so many good looks beyond this machine end a loss, the last failed one of which was
so many seconds ago: then it was the witnesses that were gone."""

_NEVER = -math.inf


class Opinion(Enum):
    """Whose trouble a failed look is."""

    THEIRS = "theirs"
    OPEN = "open"
    """A witness must be asked first, or has not answered yet."""
    OURS = "ours"


class Rank(IntEnum):
    """How far a witness sees; of those that count, the ones that see farthest decide."""

    LINK = 0
    """The next machine: the default gateway."""
    UPLINK = 1
    """Somewhere beyond: a reference."""


@dataclass(slots=True)
class Witness:
    """What is known of one: its answers and silences."""

    rank: Rank
    answered: float = _NEVER
    """When (a tick) the latest question was asked that it has answered."""
    silent: int = 0
    """Questions in a row since then that it did not answer."""
    first_silent: float = 0.0
    last_silent: float = 0.0
    answers: int = 0
    """Answers in a row since the last silence."""
    first_answer: float = 0.0

    def answer(self, asked: float) -> None:
        if not self.answers:
            self.first_answer = asked
        self.answers += 1
        self.answered, self.silent = max(self.answered, asked), 0

    def fall_silent(self, asked: float) -> None:
        if asked <= self.answered:
            return
        self.first_silent = min(self.first_silent, asked) if self.silent else asked
        self.last_silent = max(self.last_silent, asked)
        self.silent += 1
        self.answers = 0

    @property
    def known(self) -> bool:
        """Whether it has ever answered."""
        return self.answered > _NEVER

    @property
    def gone(self) -> bool:
        """Whether it has been silent for long enough to say so."""
        return self.silent >= ROUNDS and self.last_silent - self.first_silent >= SPREAD

    @property
    def back(self) -> bool:
        """Whether it has answered for long enough."""
        return self.answers >= ANSWERS and self.answered - self.first_answer >= ANSWERS_SPREAD


@dataclass(slots=True)
class _Targets:
    """What targets beyond this machine have told since the doubt began."""

    failing: set[str] = field(default_factory=set)
    fine: set[str] = field(default_factory=set)
    successes: int = 0
    failed_at: float = _NEVER

    @property
    def outvoted(self) -> bool:
        """Whether so many fail that those which answer do not count."""
        return len(self.failing) >= NETWORKS and len(self.failing) > len(self.fine)


class Guard:
    """Watches over our own network. All ticks are monotonic seconds."""

    def __init__(
        self,
        witnesses: Iterable[tuple[str, Rank]],
        now: Moment,
        *,
        lost: Moment | None = None,
        known: Container[str] = (),
    ) -> None:
        """`lost`: since when the network was known to be gone when the agent before ended; then all witnesses
        count until one of them answers. `known` are those who had answered that agent: they count to begin with, as
        a machine may start sooner than its router."""
        self._witnesses = {name: Witness(rank) for name, rank in witnesses}
        self._vouched = now
        """The latest moment of which somebody has shown that the network was there."""
        self._doubt: float | None = None
        """Since when (a tick) a look has waited for an answer."""
        self._first = now
        """When that look began."""
        self._linked = now
        """When the way to the gateway was last seen to be fine."""
        self._cut, self._cuts = "", 0
        """What is wrong with it, and how many times in a row that was seen."""
        self._mended = now
        """When it was fine again."""
        self._by_link = False
        """Whether the network is known to be gone by that alone."""
        self._counting: tuple[str, ...] = ()
        """The witnesses that counted when the doubt began."""
        self._targets = _Targets()
        self.lost: Moment | None = None
        """Since when the network is gone; None while it is not known to be."""
        self._last_loss: tuple[float, float] = (_NEVER, _NEVER)
        """The last loss that is over: since when, and until when (ticks)."""
        self.why = ""
        for name, witness in self._witnesses.items():
            if name in known:
                witness.answered = now.tick
        if lost is not None:
            self.lost, self.why = lost, "it was gone before the restart, and nothing has answered since"
            self._counting = tuple(self._witnesses)
            # By the way to the gateway alone, where no witness is known to answer when all is well: none may ever.
            self._by_link = not any(w.known or w.rank is Rank.UPLINK for w in self._witnesses.values())

    @property
    def watchful(self) -> bool:
        """Whether witnesses should be asked again and again now."""
        return self._doubt is not None or self.lost is not None

    def counts(self, name: str, tick: float) -> bool:
        """Whether the witness has answered lately."""
        return tick - self._witnesses[name].answered <= LATELY

    def answers(self, name: str, tick: float) -> bool:
        """Whether the witness counts, and was not silent since."""
        return self.counts(name, tick) and not self._witnesses[name].silent

    def opinion(self, look: Look) -> Opinion:
        """Whose trouble it is that this look failed; only for one that the network could have failed."""
        began, ended = look.began.tick, look.ended.tick
        since, until = self._last_loss
        if self.lost is not None or (began <= until and ended >= since):
            return Opinion.OURS
        if self._vouched.tick >= ended:
            return Opinion.THEIRS
        if self._doubt is None and not self._begin_doubt(look):
            return self._by_its_link()
        return Opinion.OPEN

    def _by_its_link(self) -> Opinion:
        """Where no witness counts."""
        if self._cuts < CUTS:
            return Opinion.THEIRS
        since = Moment(self._linked.at - timedelta(seconds=ARP), self._linked.tick - ARP)
        self._lose(self._cut, max(since, self._vouched, key=_tick))
        self._by_link = True
        return Opinion.OURS

    def link(self, problem: str, now: Moment) -> None:
        """What is wrong with the way to the gateway now; empty where nothing is."""
        if problem:
            self._cut, self._cuts = problem, self._cuts + 1
            return
        if self._cuts:
            self._mended = now
        self._cuts, self._linked = 0, now
        if self._by_link and now.tick - self._mended.tick >= SPREAD:
            self._find(now)

    def void(self, look: Look) -> bool:
        """Whether a look that succeeded began while the network was gone: its figures are not its target's."""
        since, until = self._last_loss
        return self.lost is None and since <= look.began.tick <= until

    def failed(self, network: str, look: Look) -> None:
        """A look at a target in that network has failed in a way that ours could have caused."""
        targets = self._targets
        if len(targets.failing) >= NETWORKS_KEPT:
            targets.failing.clear()
        targets.failing.add(network)
        targets.fine.discard(network)
        targets.successes, targets.failed_at = 0, look.ended.tick

    def succeeded(self, network: str, look: Look, *, far: bool) -> None:
        """A target beyond this machine has answered; needed only while `watchful`. `far`: it is in the internet, so
        that more than a network of our own must be there."""
        targets = self._targets
        if not far and network not in targets.failing:
            return  # next door: it shows nothing of what has failed
        if network not in targets.failing:
            targets.fine.add(network)
        targets.successes += 1
        if self.lost is not None:
            if targets.successes >= SUCCESSES and look.ended.tick - targets.failed_at >= QUIET:
                self._discredit()
                self._find(look.ended)
        elif far and self._doubt is not None and look.began.tick >= self._doubt and not targets.outvoted:
            self._vouch(look.began)

    def answered(self, name: str, asked: Moment) -> None:
        """The witness has answered a question that was asked then."""
        witness = self._witnesses[name]
        witness.answer(asked.tick)
        if self.lost is not None:
            if witness.back and name in self._deciding():
                self._find(asked)
        elif self._doubt is None or (asked.tick >= self._doubt and name in self._deciding()):
            self._vouch(asked)

    def silent(self, name: str, asked: Moment) -> None:
        """The witness has not answered a question that was asked then."""
        self._witnesses[name].fall_silent(asked.tick)
        if self._doubt is None or self.lost is not None:
            return
        deciding = self._deciding()
        if all(self._witnesses[one].gone for one in deciding):
            cut = f"; {self._cut}" if self._cuts >= CUTS else ""
            # What failed before has been vouched for.
            self._lose(_silence(deciding) + cut, max(self._vouched, self._first, key=_tick))

    def give_up(self) -> None:
        """Nobody has said anything for too long: what waits is judged without."""
        self._doubt = None

    def _begin_doubt(self, look: Look) -> bool:
        """False: there is nobody to ask."""
        tick = look.ended.tick
        self._counting = tuple(name for name in self._witnesses if self.counts(name, tick))
        if not self._counting:
            return False
        self._doubt, self._first, self._targets = tick, look.began, _Targets()
        for name in self._counting:
            self._witnesses[name].silent = 0
        return True

    def _deciding(self) -> list[str]:
        """Of the witnesses that count, those that see farthest."""
        highest = max((self._witnesses[name].rank for name in self._counting), default=Rank.LINK)
        return [name for name in self._counting if self._witnesses[name].rank is highest]

    def _vouch(self, moment: Moment) -> None:
        if moment.tick > self._vouched.tick:
            self._vouched = moment
        if self._doubt is not None and moment.tick >= self._doubt:
            self._doubt = None

    def _lose(self, why: str, since: Moment) -> None:
        self.lost, self.why, self._doubt, self._by_link = since, why, None, False

    def _find(self, now: Moment) -> None:
        assert self.lost is not None  # noqa: S101  (the callers asked)
        self._last_loss = (self.lost.tick, now.tick)
        self.lost, self.why, self._vouched, self._by_link = None, "", now, False
        self._targets = _Targets()

    def _discredit(self) -> None:
        """The witnesses were silent while targets answered: they count again when they have answered."""
        for name in self._counting:
            self._witnesses[name].answered = _NEVER


def _tick(moment: Moment) -> float:
    return moment.tick


def _silence(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} does not answer either"
    return (
        f"neither {names[0]} nor {names[1]} answers" if len(names) == 2 else f"none of {len(names)} witnesses answers"
    )
