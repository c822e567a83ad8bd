"""The agent's own network, watched: asks its witnesses, and holds back failed looks until one has answered.

In calm times each reference is asked a few times a minute. A look that failed in a way that our own network could
have caused has them asked at once, and waits: mostly for one round trip, for 3 seconds at most. The looks
that confirm it go on meanwhile, so an outage is called later by that of the first look and of the last.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count

import structlog

from monitor.clock import Clock
from monitor.core.model import Check, Look, Moment
from monitor.core.networks import is_far, is_here, network_of
from monitor.core.resolving import Names
from monitor.core.sight import Ailment, Outlook, Sight, Trouble
from monitor.core.vantage import Guard, Opinion, Rank
from monitor.core.vitals import BEAT, SETTLED, Beat, Vitals
from monitor.presence import uptime
from monitor.witnesses import LIMIT, NO_ROOM, Asked
from probes.contract import DETAIL_LIMIT, Reason

ROUTINE = 15.0
"""Seconds between two questions to each reference while nothing is suspected."""
PACE, PACE_LOST = 0.5, 1.0
"""Seconds between two questions while a look waits for an answer, and while the network is gone."""
SHORTEST_PACE = 0.1
"""Seconds between two questions at least, however many looks wait."""
LINK_BEATS = 4
"""Beats between two looks at the cable."""
PATIENCE = 3.0
"""Seconds that a look waits for an answer at most; then it is judged without."""
TRUSTED_LATENESS = 0.25
"""Seconds beyond its limit after which a question tells of our own pause, and of nobody's silence."""

_STARVED = "the agent was kept from running meanwhile"

GATEWAY = "the gateway"

_NO_NAMES = frozenset((Reason.DNS_SERVFAIL, Reason.DNS_TIMEOUT, Reason.DNS_REFUSED, Reason.DNS_PROTOCOL))
"""What a look that lacks a name says of the agent's resolver."""

_log = structlog.get_logger("brownout.vantage")

Report = Callable[[Sequence[Ailment]], None]
"""Is told all that is wrong with the agent, whenever that changes."""


class Lookout:
    """`vouch` is the pipeline's port; `run` asks until it is cancelled."""

    def __init__(
        self,
        references: Iterable[tuple[str, int]],
        witnesses: Asked,
        clock: Clock,
        report: Report,
        sight: Sight,
        heard: Callable[[str], None] = lambda _name: None,
        journal: Callable[[], str] = str,
        uptime: Callable[[], float] = uptime,
    ) -> None:
        """`sight` is what the agent before knew of itself; `heard` is told of each witness that answers; `journal`
        tells why it cannot be written, if it cannot."""
        self._addresses = {_joined(host, port): (host, port) for host, port in references}
        self._witnesses = witnesses
        self._names = Names()
        self._clock = clock
        self._report = report
        lost = sight.has(Trouble.NETWORK)
        now = clock.now()
        asked = [*((name, Rank.UPLINK) for name in self._addresses), (GATEWAY, Rank.LINK)]
        self._guard = Guard(asked, now, lost=lost.since if lost is not None else None, known=sight.witnesses)
        self._reported: tuple[Ailment, ...] = sight.ailments
        self._heard, self._journal, self._uptime = heard, journal, uptime
        self._vitals = Vitals(self._beat())
        self._settled = now.tick + SETTLED if sight.ailments else now.tick
        """The tick before which nothing is reported: what the agent before had told of itself may be still so."""
        self._mute: set[str] = set()
        """The references that do not count, as far as the log has it."""
        self._relabelled = {Reason.OWN_NETWORK: 0, Reason.LATE: 0}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        """By check: done when its last look that waits is."""
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._asked = self._names_due = -LIMIT
        """The tick of the last round, and that of the next question to the resolvers."""

    @property
    def outlook(self) -> Outlook:
        """How things stand now."""
        tick = self._clock.now().tick
        answering = {name: self._guard.answers(name, tick) for name in (*self._addresses, GATEWAY)}
        return Outlook(frozenset(item.trouble for item in self._reported), answering, dict(self._relabelled))

    async def vouch(self, look: Look, check: Check) -> Look:
        """The look as it may be judged: as it is, or said to be our own trouble. Those of one check come back in the
        order in which they came."""
        before = self._waiting.get(check.id)
        if before is None and not self._delays(look, check):
            return self._admit(look, check)
        done = self._waiting[check.id] = asyncio.get_running_loop().create_future()
        try:
            if before is not None:
                await asyncio.wait((before,))
            return await self._settled_look(look, check) if self._delays(look, check) else self._admit(look, check)
        finally:
            done.set_result(None)
            if self._waiting.get(check.id) is done:
                del self._waiting[check.id]

    @staticmethod
    def _delays(look: Look, check: Check) -> bool:
        """Whether a witness must be heard first."""
        reason = look.observation.reason
        return reason is not None and reason.by_network and not is_here(check.probe.host or "")

    async def _settled_look(self, look: Look, check: Check) -> Look:
        host = check.probe.host or ""
        if self._starved(look):
            return self._ours(look, Reason.LATE, _STARVED)
        opinion = self._guard.opinion(look)
        self._guard.failed(network_of(look, host), look)
        give_up = look.ended.tick + PATIENCE
        while opinion is Opinion.OPEN:
            left = give_up - self._clock.now().tick
            if left <= 0:
                self._guard.give_up()
                return look
            if self._asked < look.ended.tick:
                self._wake.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)
            opinion = self._guard.opinion(look)
        return look if opinion is Opinion.THEIRS else self._ours(look, Reason.OWN_NETWORK, self._guard.why)

    def _ours(self, look: Look, reason: Reason, why: str) -> Look:
        self._relabelled[reason] += 1
        return _relabelled(look, reason, why)

    def _starved(self, look: Look) -> bool:
        """Whether it ran into a time limit that was not really over."""
        reason = look.observation.reason
        ended = look.ended.tick
        return reason is not None and reason.timed_out and self._vitals.doubtful(look.began.tick, ended)

    def _admit(self, look: Look, check: Check) -> Look:
        """A look that needs no witness: it succeeded, or failed in another way."""
        if look.observation.reason in _NO_NAMES:
            self._miss_names()
        if look.observation.reason is not None:
            return self._ours(look, Reason.LATE, _STARVED) if self._starved(look) else look
        void = self._guard.void(look)
        if not void and not self._guard.watchful:
            return look
        host = check.probe.host or ""
        if not host or is_here(host):
            return look
        if void:
            return self._ours(look, Reason.OWN_NETWORK, "it began before the network was back")
        self._guard.succeeded(network_of(look, host), look, far=is_far(look, host))
        self._tell()
        return look

    def _miss_names(self) -> None:
        """A look has failed for want of a name: the resolvers are asked at once."""
        self._names.missed()
        if not self._names.watchful and self._clock.now().tick - self._asked >= PACE_LOST:
            self._names_due = 0.0
            self._wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feel())
            await self._question(group)

    async def _feel(self) -> None:
        """Take the agent's own pulse, for ever; and see how its cable is, once a second."""
        for number in count():
            await asyncio.sleep(BEAT)
            self._vitals.beat(self._beat())
            if number % LINK_BEATS == 0:
                self._guard.link(self._witnesses.link(), self._clock.now())
            self._review()

    def _beat(self) -> Beat:
        return Beat(self._clock.now(), self._uptime(), self._journal(), _can_open())

    async def _question(self, questions: asyncio.TaskGroup) -> None:
        """Ask the witnesses, for ever."""
        while True:
            self._wake.clear()
            now = self._clock.now()
            self._asked = now.tick
            for name, address in self._addresses.items():
                questions.create_task(self._ask(name, now, self._witnesses.reference(*address)))
            questions.create_task(self._ask(GATEWAY, now, self._witnesses.gateway()))
            if self._names.watchful or now.tick >= self._names_due:
                self._names_due = now.tick + ROUTINE
                questions.create_task(self._ask_names(now))
            await self._rest()

    async def _rest(self) -> None:
        """Until the next round: soon where a look waits for it."""
        lost = self._guard.lost is not None
        calm = PACE_LOST if self._names.watchful else ROUTINE
        pace = PACE_LOST if lost else PACE if self._guard.watchful else calm
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), pace)
        since = self._clock.now().tick - self._asked
        least = PACE_LOST if lost else SHORTEST_PACE
        if since < least:
            await asyncio.sleep(least - since)

    async def _ask(self, name: str, asked: Moment, question: Awaitable[bool | None]) -> None:
        answered = await question
        if answered:
            self._guard.answered(name, asked)
            self._heard(name)
            self._mute.discard(name)
        elif answered is not None and not self._late(asked):
            self._guard.silent(name, asked)
            self._warn(name, asked)
        self._tell()

    def _warn(self, name: str, asked: Moment) -> None:
        """A reference is there to be asked; one that does not count is mostly a mistake."""
        if name in self._addresses and name not in self._mute and not self._guard.counts(name, asked.tick):
            self._mute.add(name)
            _log.warning("reference_silent", reference=name, harm="it does not count until it answers")

    async def _ask_names(self, asked: Moment) -> None:
        answered = await self._witnesses.resolvers()
        if answered:
            self._names.answered(asked)
        elif answered is not None and not self._late(asked):
            self._names.silent(asked)

    def _late(self, asked: Moment) -> bool:
        """Whether we were too late to say that nobody has answered."""
        return self._clock.now().tick - asked.tick - LIMIT > TRUSTED_LATENESS

    def _tell(self) -> None:
        """Something has been heard: whoever waits looks again, and what has changed is reported."""
        news, self._news = self._news, asyncio.Event()
        news.set()
        self._review()

    def _review(self) -> None:
        """Report what is wrong now, where that has changed."""
        lost = self._guard.lost
        network = (Ailment(Trouble.NETWORK, lost, self._guard.why),) if lost is not None else ()
        names = self._names.ailment(self._clock.now().tick)
        found = (*network, *self._vitals.ailments, *((names,) if names is not None else ()))
        if found != self._reported and self._clock.now().tick >= self._settled:
            self._reported = found
            self._report(found)


def _can_open() -> bool:
    """Whether a file can be opened, and so a connection."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in NO_ROOM
    return True


def _relabelled(look: Look, reason: Reason, why: str) -> Look:
    """Said to be our own trouble; what it saw is kept for people, its figures are not."""
    observation = look.observation
    saw = observation.reason or "it succeeded"
    before = f"{saw}: {observation.detail}" if observation.reason and observation.detail else saw
    told = f"{why} ({before})" if why else before
    return replace(look, observation=replace(observation, measurements={}, reason=reason, detail=told[:DETAIL_LIMIT]))


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
