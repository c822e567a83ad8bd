"""Names to addresses by the system's resolver, in threads of its own: a name that hangs holds up no other name.

A lookup that hangs cannot be ended; it sleeps in the system's resolver for as long as that likes. So it happens in
daemon threads, which may be left behind when the process ends, and of which names that do not answer get only a part.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from queue import SimpleQueue
from time import monotonic
from typing import Any, TypeVar

from probes.contract import Address, LookFailed, Reason, Resolver

THREADS = 32
DOUBTFUL_THREADS = THREADS // 2
"""Threads that names may hold whose last question was not answered promptly, or which were never asked."""

PROMPT = 1.0
"""Seconds within which a name has answered promptly; and how long an old answer is held back for a new one."""

KEPT_HANGING = 300.0
"""Seconds for which the last good answer of a name serves while its new lookup hangs."""

_ENTRIES = 16_384
KEPT = 5.0
"""Seconds: long enough for the checks of one host to share an answer, short enough to follow a fail-over."""

_FOR_EVER = float("inf")

_GetAddrInfo = Callable[..., list[Any]]
_Key = tuple[str, int]
_Found = tuple[Address, ...]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True, eq=False)
class _Question:
    """A lookup, waiting for a thread or in one."""

    key: _Key
    answer: asyncio.Future[_Found]
    doubtful: bool
    asked: float = field(default_factory=monotonic)
    began: float = 0.0


class SystemResolver:
    """`socket.getaddrinfo` with a bounded wait and a small cache, for one event loop.

    IP literals cost nothing; failures are not kept. One question a name is under way at a time, and its answer is for
    all who ask. Names that answered promptly the last time are asked first and by all threads; the others share half
    of them, those that were never asked before those that hung. While the lookup of a name hangs, its last good
    answer is given for up to 5 minutes (`Address.age` says how old it is), then `Reason.DNS_TIMEOUT`.
    """

    __slots__ = (
        "_answers",
        "_busy",
        "_busy_doubtful",
        "_closed",
        "_getaddrinfo",
        "_keep",
        "_pending",
        "_prompt",
        "_threads",
        "_waiting",
        "_work",
    )

    def __init__(self, getaddrinfo: _GetAddrInfo = socket.getaddrinfo, keep: float = KEPT) -> None:
        """`keep`: seconds for which an answer is kept; its TTL is not told."""
        self._keep = keep
        self._getaddrinfo = getaddrinfo
        self._answers: dict[_Key, tuple[float, float, _Found]] = {}
        """By name: until when it is fresh, when it came, and what it is."""
        self._prompt: dict[_Key, bool] = {}
        """Whether the last question was answered promptly, by failure too; a name never asked is not in it."""
        self._pending: dict[_Key, _Question] = {}
        self._waiting: tuple[deque[_Question], ...] = (deque(), deque(), deque())
        """Those that answer promptly, those never asked, those that hung."""
        self._work: SimpleQueue[tuple[asyncio.AbstractEventLoop, _Question] | None] = SimpleQueue()
        self._threads = self._busy = self._busy_doubtful = 0
        self._closed = False

    async def resolve(self, host: str, port: int, timeout: float) -> tuple[Address, ...]:
        """Raises `LookFailed` with a dns_* reason; answers within `timeout` seconds."""
        key = (host, port)
        kept = self._answers.get(key)
        now = monotonic()
        if kept is not None and kept[0] > now:
            return kept[2] if kept[0] == _FOR_EVER else _aged(kept[2], now - kept[1])
        written = literal(host, port)
        if written is not None:
            put(self._answers, key, (_FOR_EVER, now, (written,)))
            return (written,)
        try:
            return await self._ask(key, timeout)
        except socket.gaierror as error:
            raise _translated(host, error) from error
        except UnicodeError as error:
            raise LookFailed(Reason.DNS_NXDOMAIN, f"{host!r} cannot be a host name") from error

    def close(self) -> None:
        """Ask no more; a thread that hangs in the system's resolver is left behind."""
        self._closed = True
        for _ in range(self._threads):
            self._work.put(None)

    async def _ask(self, key: _Key, timeout: float) -> _Found:
        question = self._pending.get(key) or self._enqueue(key)
        old = self._old_answer(key)
        hanging = monotonic() - question.asked
        # Whoever has an old answer must not spend on the new one what it needs to connect.
        patience = timeout if old is None else min(PROMPT - hanging, timeout / 2)
        if patience > 0.0 and hanging <= timeout:
            done, _ = await asyncio.wait((question.answer,), timeout=patience)
            if done:
                return question.answer.result()
        if old is not None:
            return old
        raise LookFailed(Reason.DNS_TIMEOUT, f"no answer for {key[0]} within {timeout:.3g} s")

    def _old_answer(self, key: _Key) -> _Found | None:
        kept = self._answers.get(key)
        age = monotonic() - kept[1] if kept is not None else KEPT_HANGING
        return _aged(kept[2], age, stale=True) if kept and age < KEPT_HANGING else None

    def _enqueue(self, key: _Key) -> _Question:
        if not self._threads:
            self._have_thread()  # or raises, before anything waits for it
        prompt = self._prompt.get(key)
        question = _Question(key, asyncio.get_running_loop().create_future(), doubtful=not prompt)
        self._pending[key] = question
        self._waiting[1 if prompt is None else 0 if prompt else 2].append(question)
        self._give_out()
        return question

    def _give_out(self) -> None:
        """Hand questions to threads, as many as may be under way."""
        while not self._closed and self._busy < THREADS:
            waiting = self._next()
            if not waiting or not self._have_thread():
                return
            question = waiting.popleft()
            self._busy += 1
            self._busy_doubtful += question.doubtful
            question.began = monotonic()
            self._work.put((question.answer.get_loop(), question))

    def _next(self) -> deque[_Question] | None:
        """Whose turn it is."""
        prompt, new, hung = self._waiting
        if prompt:
            return prompt
        return (new or hung) if self._busy_doubtful < DOUBTFUL_THREADS else None

    def _have_thread(self) -> bool:
        """Whether there is a thread that has nothing to do; one is made if need be."""
        if self._threads == self._busy:
            thread = threading.Thread(target=self._serve, name=f"resolve {self._threads}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                if self._threads == 0:
                    raise LookFailed(Reason.NO_DESCRIPTORS, f"no thread to resolve names: {error}") from error
                return False  # those that there are come back to it
            self._threads += 1
        return True

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            loop, question = work
            found: _Found | Exception
            try:
                found = self._look_up(question.key)
            except Exception as error:  # noqa: BLE001  (handed to whoever waits)
                found = error
            # A loop that has closed meanwhile has nobody who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._arrived, question, found)

    def _look_up(self, key: _Key) -> _Found:
        found = self._getaddrinfo(*key, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        return tuple(dict.fromkeys(Address(where[0], where[1], int(family)) for family, _, _, _, where in found))

    def _arrived(self, question: _Question, found: _Found | Exception) -> None:
        now = monotonic()
        self._pending.pop(question.key, None)
        self._busy -= 1
        self._busy_doubtful -= question.doubtful
        put(self._prompt, question.key, now - question.began <= PROMPT)
        if isinstance(found, Exception):
            question.answer.set_exception(found)
            question.answer.exception()  # whoever waited may have gone: nobody else asks for it
        else:
            put(self._answers, question.key, (now + self._keep, now, found))
            question.answer.set_result(found)
        self._give_out()


class TurnedResolver:
    """A resolver whose answers begin with another address: the one after `turn` others. The families take turns, so
    that the second look goes by the other one, if there is one."""

    __slots__ = ("_resolver", "_turn")

    def __init__(self, resolver: Resolver, turn: int) -> None:
        self._resolver = resolver
        self._turn = turn

    async def resolve(self, host: str, port: int, timeout: float) -> tuple[Address, ...]:
        found = await self._resolver.resolve(host, port, timeout)
        if len(found) < 2:
            return found
        mixed = _mixed(found)
        first = self._turn % len(mixed)
        return (*mixed[first:], *mixed[:first])


def _mixed(found: _Found) -> _Found:
    """The families in turns, that of the first address first; each in its order."""
    first = [address for address in found if address.family == found[0].family]
    second = [address for address in found if address.family != found[0].family]
    pairs = zip_longest(first, second)
    return tuple(address for pair in pairs for address in pair if address is not None)


def _aged(found: _Found, age: float, *, stale: bool = False) -> _Found:
    return tuple(replace(address, age=age, stale=stale) for address in found)


def put(entries: dict[K, V], key: K, value: V) -> None:
    """Keep a value; the oldest goes when there are too many."""
    entries.pop(key, None)
    if len(entries) >= _ENTRIES:
        entries.pop(next(iter(entries)))
    entries[key] = value


def literal(host: str, port: int) -> Address | None:
    """The address that a host is already; None where it is a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _old_literal(host, port)
    return Address(str(address), port, int(socket.AF_INET if address.version == 4 else socket.AF_INET6))


def _old_literal(host: str, port: int) -> Address | None:
    """``127.1`` and the like, as inet_aton(3) has them: a name never ends with a number."""
    if host.rpartition(".")[2][:1].isdigit() and not any(sign.isspace() for sign in host):
        with suppress(OSError):
            return Address(socket.inet_ntoa(socket.inet_aton(host)), port, int(socket.AF_INET))
    return None


def _translated(host: str, error: socket.gaierror) -> LookFailed:
    if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
        return LookFailed(Reason.DNS_NXDOMAIN, f"{host}: {error.strerror}")
    return LookFailed(Reason.DNS_SERVFAIL, f"{host}: {error.strerror}")
