"""The agent's own dead man's switch: somebody elsewhere is told that it works, and notices when it falls silent.

It is told only after everything that makes the agent useful has been seen to work: each check has been looked at and
judged in its time, and what was to be told has gone out. A timer that fires in a corner of its own would go on
telling that all is well while nothing is looked at. While the agent knows of trouble of its own, it says that.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx
import structlog

from monitor.clock import Clock
from monitor.config.model import Heartbeat, Ping, Switch
from monitor.core.judge import Judge
from monitor.core.model import Check, Moment, in_seconds
from monitor.sinks import _http
from monitor.sinks.contract import SendFailed
from monitor.store.contract import Backlog

SLACK: Final = 30.0
"""Seconds, besides its interval and its time limit, after which a check that was not looked at is overdue."""
STUCK: Final = 900.0
"""Seconds after which a sink that accepts nothing is trouble: so long it is tried every few minutes."""
RECHECK: Final = 15.0
"""Seconds after which it is looked at least whether all is well, and after which what was not taken is said again."""
SOON: Final = 1.0
"""Seconds after which it is looked again whether all checks have had their first look."""
_SECONDS: Final = 10.0
_SLICE: Final = 500
_TOLD: Final = 10
_BODY_LIMIT: Final = 2000

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("brownout.deadman")


@dataclass(slots=True)
class _Said:
    """What a switch was told last."""

    well: bool = True
    at: float = -math.inf
    """When it took that (a tick)."""
    refused: bool = False


class Deadman:
    """`run` it beside the other parts. Whatever the others are told, each gets at most 10 seconds."""

    def __init__(
        self,
        wanted: Callable[[], Heartbeat | None],
        judges: Callable[[], Iterable[Judge]],
        troubles: Callable[[], Sequence[str]],
        backlog: Callable[[], Mapping[str, Backlog]],
        client: httpx.AsyncClient,
        clock: Clock,
        *,
        redact: Callable[[str], str] = str,
        on_result: Callable[[str, str, str], None] = lambda _to, _said, _result: None,
    ) -> None:
        """`troubles` tells what the agent knows to be wrong with itself, in sentences; `on_result` is told of each
        attempt: to whom, ``well`` or ``trouble``, ``accepted`` or ``refused``."""
        self._wanted = wanted
        self._judges = judges
        self._troubles = troubles
        self._backlog = backlog
        self._client = client
        self._clock = clock
        self._redact = redact
        self._on_result = on_result
        self._awaited: dict[str, float] = {}
        """Checks that nobody has looked at yet, and since when that is known (a tick)."""
        self._said: dict[Ping, _Said] = {}

    async def run(self) -> None:
        """Tell, for ever."""
        while True:
            wanted, pause = self._wanted(), RECHECK
            if wanted is not None:
                known = await self._turn(wanted)
                pause = min(in_seconds(wanted.every), RECHECK) if known else SOON
            await asyncio.sleep(pause)

    async def _turn(self, wanted: Heartbeat) -> bool:
        """Tell those who are to be told now. False: it is not known yet what to tell."""
        self._said = {ping: self._said.get(ping, _Said()) for ping in wanted.pings}
        found = await self.trouble()
        if found is None:
            return False  # not everything has been looked at yet: whoever waits for us goes on waiting
        now, every = self._clock.now().tick, in_seconds(wanted.every)
        due = [
            ping
            for ping, said in self._said.items()
            # Half a beat early is on time: a beat that waits for the next turn would come late, again and again.
            if said.well is bool(found) or now - said.at >= every - min(every, RECHECK) / 2
        ]
        await asyncio.gather(*(self._tell(ping, self._said[ping], found) for ping in due))
        return True

    async def trouble(self) -> str | None:
        """What is wrong, in sentences; empty: all is well; None: it cannot be told yet, for want of a first look."""
        now = self._clock.now()
        overdue, awaited = [], {}
        for number, judge in enumerate(tuple(self._judges())):
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            if judge.last is None:
                awaited[judge.check.id] = self._awaited.get(judge.check.id, now.tick)
            since = awaited[judge.check.id] if judge.last is None else judge.last.began.tick
            if now.tick - since > _allowed(judge.check):
                overdue.append(judge.check.name)
        self._awaited = awaited
        found = [*self._troubles(), *self._stuck(now)]
        if overdue:
            some = ", ".join(overdue[:_TOLD]) + (f" and {len(overdue) - _TOLD} more" if len(overdue) > _TOLD else "")
            found.append(f"not looked at in time: {some}")
        if not found and awaited:
            return None
        return "; ".join(found)

    def _stuck(self, now: Moment) -> Iterable[str]:
        for sink, backlog in self._backlog().items():
            waited = (now.at - backlog.oldest).total_seconds() if backlog.oldest is not None else 0.0
            if waited > STUCK:
                yield f"the sink {sink} has not taken an event for {waited / 60:.0f} min"

    async def _tell(self, ping: Ping, said: _Said, trouble: str) -> None:
        method, url = request_of(ping, well=not trouble)
        word, to = "trouble" if trouble else "well", ping.switch.value
        if url is None:  # silence is how it is told
            if said.well:
                _log.warning("deadman.silent", to=to, trouble=self._redact(trouble))
            said.well, said.at = False, self._clock.now().tick
            return
        body = self._redact(trouble or "all is well").encode()[:_BODY_LIMIT] if method == "POST" else None
        headers = {"content-type": "text/plain; charset=utf-8"} if body is not None else {}
        now = self._clock.now()
        try:
            answer = await _http.ask(self._client, method, url, body, headers, seconds=_SECONDS)
            _http.judge(answer, now.at)
        except SendFailed as failed:
            self._on_result(to, word, "refused")
            if not said.refused:
                _log.warning(
                    "deadman.refused", to=to, error=str(failed), effect="it may think that the agent is dead"
                )
            said.refused = True
            return
        self._on_result(to, word, "accepted")
        if said.refused:
            _log.info("deadman.taken_again", to=to)
        if trouble and said.well:
            _log.warning("deadman.trouble_told", to=to, trouble=self._redact(trouble))
        said.well, said.at, said.refused = not trouble, now.tick, False


def _allowed(check: Check) -> float:
    """Seconds that may lie between the begin of its last look and now."""
    return in_seconds(check.every) + in_seconds(check.timeout) + SLACK


def request_of(ping: Ping, *, well: bool) -> tuple[str, str | None]:
    """How it is told: the method and the URL; None: by saying nothing."""
    url = ping.url.reveal()
    match ping.switch:
        case Switch.HEALTHCHECKS:
            return "POST", url if well else _below(url, "fail")
        case Switch.BETTERSTACK:
            return ("GET", url) if well else ("POST", _below(url, "fail"))
        case Switch.HONEYBADGER:  # a report of failure is for some plans only; with others it would say "alive"
            return "GET", url if well else None
        case Switch.URL:
            return "GET", url if well else (ping.fail_url.reveal() if ping.fail_url is not None else None)


def _below(url: str, name: str) -> str:
    """``https://host/path/name?query``"""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))
