"""Calendars of who is on call: fetched every few minutes, and kept in the state directory.

The last good copy serves when the calendar is gone, or is none any more, for as long as it takes, also over restarts:
who was on call yesterday is a better guess than nobody.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx
import structlog

from monitor import almanac
from monitor.clock import Clock
from monitor.config.model import Calendar, Config
from monitor.core.rota import Shift

TIME_LIMIT = 30.0
"""Seconds that fetching one may take."""
RETRY = 60.0
"""Seconds until one is asked again that could not be fetched."""
MOST_REDIRECTS = 5

_log = structlog.get_logger("brownout.calendars")


class Unfetched(Exception):
    """Why a calendar could not be had; holds no address, as that is a secret. `again`: another try is worth
    nothing for so many seconds."""

    def __init__(self, why: str, again: float = 0.0) -> None:
        super().__init__(why)
        self.again = again


@dataclass(slots=True)
class _Kept:
    """What is known of one calendar."""

    calendar: Calendar
    text: bytes | None = None
    read: tuple[bytes, dict[str, str], date] | None = None
    """What was read, for whom and on which day: the weeks that are looked at move on slowly."""
    stale: bool = False
    due: float = 0.0
    """The tick at which it is fetched next."""


class Calendars:
    """`shifts` are those of calendars by the rota's name; the plan's roster reads them there."""

    def __init__(self, config: Config, client: httpx.AsyncClient, clock: Clock) -> None:
        self.shifts: dict[str, Sequence[Shift]] = {}
        self._client = client
        self._clock = clock
        self._config = config
        self._kept: dict[str, _Kept] = {}
        self._changed = asyncio.Event()
        self.adopt(config)

    def adopt(self, config: Config) -> None:
        """Another configuration is in force. What is known of a calendar goes on, unless it has another address."""
        self._config = config
        wanted = config.oncall.calendars
        for name in [name for name, kept in self._kept.items() if kept.calendar != wanted.get(name)]:
            del self._kept[name]
            self.shifts.pop(name, None)
        for name, calendar in wanted.items():
            self._kept.setdefault(name, _Kept(calendar)).due = 0.0
        self._changed.set()

    async def run(self) -> None:
        """For ever: first what was kept, then what can be fetched."""
        while True:
            self._changed.clear()
            for name, kept in list(self._kept.items()):
                if kept.text is None and (text := self._load(kept.calendar)) is not None:
                    with suppress(Unfetched):
                        await self._read(name, kept, text)
                if kept.due <= self._clock.now().tick:
                    await self._refresh(name, kept)
            now = self._clock.now().tick
            waits = [max(kept.due - now, 0.0) for kept in self._kept.values()]
            with suppress(TimeoutError):
                async with asyncio.timeout(min(waits, default=None)):
                    await self._changed.wait()

    async def _refresh(self, name: str, kept: _Kept) -> None:
        try:
            text = await self._fetch(kept.calendar)
            await self._read(name, kept, text)
        except Unfetched as error:
            retry = max(min(RETRY, kept.calendar.refresh.total_seconds()), error.again)
            kept.due = self._clock.now().tick + retry
            if not kept.stale:
                serves = (
                    "the last good copy serves" if kept.text is not None else "the rotation serves, or all are told"
                )
                _log.warning("calendar_stale", rota=name, why=str(error), advice=serves)
            kept.stale = True
            if kept.text is not None:
                with suppress(Unfetched):  # the weeks that are looked at go on
                    await self._read(name, kept, kept.text)
            return
        kept.due = self._clock.now().tick + kept.calendar.refresh.total_seconds()
        if kept.stale:
            _log.info("calendar_fetched", rota=name, shifts=len(self.shifts[name]))
        kept.stale = False
        self._store(kept.calendar, text)

    async def _read(self, name: str, kept: _Kept, text: bytes) -> None:
        """Raises `Unfetched` for what is no calendar."""
        names, now = almanac.known_names(self._config.people), self._clock.now().at
        if kept.read == (text, names, now.date()):
            return
        try:
            page = await almanac.read_apart(text, names, kept.calendar.zone, now)
        except almanac.Laborious as error:
            raise Unfetched(str(error), again=kept.calendar.refresh.total_seconds()) from None
        except almanac.Unreadable as error:
            raise Unfetched(str(error)) from None
        if page.strange and text != kept.text:
            _log.info("calendar_strangers", rota=name, entries=page.strange, advice="see known_as, under people")
        if self._kept.get(name) is kept:
            kept.text, kept.read = text, (text, names, now.date())
            self.shifts[name] = page.shifts

    async def _fetch(self, calendar: Calendar) -> bytes:
        try:
            async with asyncio.timeout(TIME_LIMIT):
                url: str | httpx.URL = calendar.url.reveal()
                for _ in range(MOST_REDIRECTS + 1):
                    async with self._client.stream("GET", url, headers={"accept-encoding": "identity"}) as answer:
                        if answer.next_request is None:
                            return await _text_of(answer)
                        url = answer.next_request.url
                raise Unfetched("it sends from one address to the next")
        except TimeoutError:
            raise Unfetched(f"nothing came within {TIME_LIMIT:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise Unfetched(f"it cannot be reached ({type(error).__name__})") from None

    # --- the last good copy --------------------------------------------------------------------------------

    def _path(self, calendar: Calendar) -> Path:
        """By its address, so that another one does not serve in its place."""
        name = hashlib.sha256(calendar.url.reveal().encode()).hexdigest()[:16]
        return self._config.agent.state_dir / f"calendar-{name}.ics"

    def _load(self, calendar: Calendar) -> bytes | None:
        try:
            descriptor = os.open(self._path(calendar), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                return file.read(almanac.MOST_BYTES + 1)
        except OSError:
            return None

    def _store(self, calendar: Calendar, text: bytes) -> None:
        """On a disk that is full, the copy in memory serves."""
        path = self._path(calendar)
        fresh = path.with_suffix(".new")
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(text)
            fresh.replace(path)


async def _text_of(answer: httpx.Response) -> bytes:
    """Raises `Unfetched`."""
    if answer.status_code != httpx.codes.OK:
        raise Unfetched(f"it answered {answer.status_code}")
    if answer.headers.get("content-encoding", "identity") != "identity":  # a little may be gigabytes
        raise Unfetched("it sends packed what was asked for unpacked")
    found = bytearray()
    async for part in answer.aiter_raw():
        found += part
        if len(found) > almanac.MOST_BYTES:
            raise Unfetched(f"it is larger than {almanac.MOST_BYTES // 1_000_000} MB")
    return bytes(found)
