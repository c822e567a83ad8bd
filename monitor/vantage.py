"""The agent's own network, watched: asks its witnesses, and holds back failed looks until one has answered.

In calm times each reference is asked a few times a minute. A look that failed in a way that our own network could
have caused has them asked at once, and waits: mostly for one round trip, for 3 seconds at most. That delays no call
of an outage, which takes longer to confirm.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM

from monitor.clock import Clock
from monitor.core.model import Check, Look, Moment
from monitor.core.sight import Ailment, Sight, Trouble
from monitor.core.vantage import Guard, Opinion, Rank, is_here, network_of
from monitor.core.vitals import BEAT, SETTLED, Beat, Vitals
from monitor.presence import uptime
from probes.contract import DETAIL_LIMIT, LookFailed, Reason, Resolver

ROUTINE = 15.0
"""Seconds between two questions to each reference while nothing is suspected."""
PACE, PACE_LOST = 0.5, 1.0
"""Seconds between two questions while a look waits for an answer, and while the network is gone."""
SHORTEST_PACE = 0.1
"""Seconds between two questions at least, however many looks wait."""
LIMIT = 1.0
"""Seconds that a reference has to answer."""
PATIENCE = 3.0
"""Seconds that a look waits for an answer at most; then it is judged without."""
TRUSTED_LATENESS = 0.25
"""Seconds beyond its limit after which a question tells of our own pause, and of nobody's silence."""

_STARVED = "the agent was kept from running meanwhile"

_OURS = frozenset({EMFILE, ENFILE, ENOBUFS, ENOMEM})

Report = Callable[[Sequence[Ailment]], None]
"""Is told all that is wrong with the agent, whenever that changes."""


class Lookout:
    """`vouch` is the pipeline's port; `run` asks until it is cancelled."""

    def __init__(
        self,
        references: Iterable[tuple[str, int]],
        resolver: Resolver,
        clock: Clock,
        report: Report,
        sight: Sight,
        journal: Callable[[], str] = str,
        uptime: Callable[[], float] = uptime,
    ) -> None:
        """`sight` is what the agent before knew of itself; `journal` tells why it cannot be written, if it cannot."""
        self._addresses = {_joined(host, port): (host, port) for host, port in references}
        self._resolver = resolver
        self._clock = clock
        self._report = report
        lost = sight.has(Trouble.NETWORK) if self._addresses else None
        now = clock.now()
        self._guard = Guard(
            [(name, Rank.UPLINK) for name in self._addresses], now, lost=lost.since if lost is not None else None
        )
        self._reported: tuple[Ailment, ...] = sight.ailments
        self._journal, self._uptime = journal, uptime
        self._vitals = Vitals(self._beat())
        self._settled = now.tick + SETTLED if sight.ailments else now.tick
        """The tick before which nothing is reported: what the agent before had told of itself may be still so."""
        self._waiting: dict[str, asyncio.Future[None]] = {}
        """By check: done when its last look that waits is."""
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._asked = -LIMIT
        """The tick of the last round."""

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
            return _relabelled(look, Reason.LATE, _STARVED)
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
        return look if opinion is Opinion.THEIRS else _ours(look, self._guard.why)

    def _starved(self, look: Look) -> bool:
        """Whether it ran into a time limit that was not really over."""
        reason = look.observation.reason
        ended = look.ended.tick
        return reason is not None and reason.timed_out and self._vitals.doubtful(look.began.tick, ended)

    def _admit(self, look: Look, check: Check) -> Look:
        """A look that needs no witness: it succeeded, or failed in another way."""
        if look.observation.reason is not None:
            return _relabelled(look, Reason.LATE, _STARVED) if self._starved(look) else look
        host = check.probe.host or ""
        if not host or is_here(host):
            return look
        if self._guard.void(look):
            return _ours(look, "it began before the network was back")
        if self._guard.watchful:
            self._guard.succeeded(network_of(look, host), look)
            self._tell()
        return look

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feel())
            await self._question(group)

    async def _feel(self) -> None:
        """Take the agent's own pulse, for ever."""
        while True:
            await asyncio.sleep(BEAT)
            self._vitals.beat(self._beat())
            self._review()

    def _beat(self) -> Beat:
        return Beat(self._clock.now(), self._uptime(), self._journal(), _can_open())

    async def _question(self, questions: asyncio.TaskGroup) -> None:
        """Ask the witnesses, for ever."""
        if self._addresses:
            while True:
                self._wake.clear()
                now = self._clock.now()
                self._asked = now.tick
                for name in self._addresses:
                    questions.create_task(self._ask(name, now))
                await self._rest()

    async def _rest(self) -> None:
        """Until the next round: soon where a look waits for it."""
        lost = self._guard.lost is not None
        pace = PACE_LOST if lost else PACE if self._guard.watchful else ROUTINE
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), pace)
        since = self._clock.now().tick - self._asked
        least = PACE_LOST if lost else SHORTEST_PACE
        if since < least:
            await asyncio.sleep(least - since)

    async def _ask(self, name: str, asked: Moment) -> None:
        answered = await self._answers(*self._addresses[name])
        late = self._clock.now().tick - asked.tick - LIMIT > TRUSTED_LATENESS
        if answered:
            self._guard.answered(name, asked)
        elif answered is not None and not late:
            self._guard.silent(name, asked)
        self._tell()

    async def _answers(self, host: str, port: int) -> bool | None:
        """Whether it takes a connection; None: we could not even ask."""
        try:
            async with asyncio.timeout(LIMIT):
                address = (await self._resolver.resolve(host, port, LIMIT))[0]
                with socket.socket(address.family, socket.SOCK_STREAM) as sock:
                    sock.setblocking(False)  # noqa: FBT003  (the socket module's own signature)
                    await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
        except (TimeoutError, LookFailed):
            return False
        except OSError as error:
            return None if error.errno in _OURS else False
        return True

    def _tell(self) -> None:
        """Something has been heard: whoever waits looks again, and what has changed is reported."""
        news, self._news = self._news, asyncio.Event()
        news.set()
        self._review()

    def _review(self) -> None:
        """Report what is wrong now, where that has changed."""
        lost = self._guard.lost
        network = (Ailment(Trouble.NETWORK, lost, self._guard.why),) if lost is not None else ()
        found = (*network, *self._vitals.ailments)
        if found != self._reported and self._clock.now().tick >= self._settled:
            self._reported = found
            self._report(found)


def _can_open() -> bool:
    """Whether a file can be opened, and so a connection."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in _OURS
    return True


def _ours(look: Look, why: str) -> Look:
    return _relabelled(look, Reason.OWN_NETWORK, why)


def _relabelled(look: Look, reason: Reason, why: str) -> Look:
    """Said to be our own trouble; what it saw is kept for people, its figures are not."""
    observation = look.observation
    before = f"{observation.reason.value}: {observation.detail}" if observation.reason else "it succeeded"
    told = f"{why} ({before})" if why else before
    return replace(look, observation=replace(observation, measurements={}, reason=reason, detail=told[:DETAIL_LIMIT]))


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
