"""Names to addresses by a resolver of our own, on the loop: no threads, so a name that hangs holds up no other.

It asks what the C library would ask: /etc/hosts, then the servers of /etc/resolv.conf, by its search domains and
options. Unlike that one it knows for how long an answer may be kept, and who would not answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic

from probes._names.lookup import GRACE, Found, Lookup, Nothing, Outcome, Servers
from probes._names.query import Failed, Server
from probes._names.resolv_conf import ResolvConf, Watched, hosts, resolv_conf
from probes._names.system_resolver import KEPT_HANGING, PROMPT, literal, put
from probes._wire.address_order import in_order
from probes.contract import Address, LookFailed, Reason

KEPT = 300.0
"""Seconds for which an answer is kept at most, whatever its TTL: a fail-over should be seen sooner than in a day."""
SHORTEST = 1.0
"""Seconds for which each answer is kept, so that the checks of one host share it."""
KEPT_NOTHING = 5.0
"""Seconds for which it is kept at most that there is no such name."""
NEW = 5.0
"""Seconds: what is younger is new to an extra look, which confirms what others saw."""

_PORT = 53
_MOST_RUNNING = 500
"""Lookups that may be under way before those are given up that nobody waits for any longer."""
_ORDERED = 10.0
"""Seconds for which the order of the addresses of /etc/hosts is kept: a way to them may come and go."""
_LOOPBACK = ("::1", "127.0.0.1")


@dataclass(slots=True)
class _Known:
    """What is known of a name: its addresses, or why it has none."""

    came: float
    until: float
    """Until when it is fresh."""
    hosts: tuple[str, ...]
    why: Failed | None = None
    complete: bool = True
    _made: tuple[int, int] = (-1, -1)
    _addresses: tuple[Address, ...] = ()

    def addresses(self, port: int, age: float, *, stale: bool = False) -> tuple[Address, ...]:
        """`age`: seconds since it came. Made once for each second and port, as many checks share a host."""
        if stale:
            return tuple(_address(host, port, age, stale=True) for host in self.hosts)
        if self._made != (port, int(age)):
            self._made = (port, int(age))
            self._addresses = tuple(_address(host, port, age, stale=False) for host in self.hosts)
        return self._addresses


def _address(host: str, port: int, age: float, *, stale: bool) -> Address:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Address(host, port, int(family), age, stale)


class StubResolver:
    """Asks name servers itself, keeps what they say for as long as they say, for one event loop.

    One lookup a name is under way at a time, and its outcome is for all who ask. While the servers are silent, the
    last good answer is given for up to 5 minutes beyond its time (`Address.stale`), then `Reason.DNS_TIMEOUT`; what
    the servers say is believed at once. That there is no such name is kept for 5 seconds, other failures are not
    kept."""

    __slots__ = (
        "_clock",
        "_conf",
        "_grace",
        "_hosts",
        "_keep",
        "_known",
        "_literals",
        "_local",
        "_names",
        "_pending",
        "_running",
        "_servers",
    )

    def __init__(
        self,
        servers: tuple[Server, ...] = (),
        keep: float = KEPT,
        conf: Watched[ResolvConf] | None = None,
        known_hosts: Watched[Mapping[str, tuple[str, ...]]] | None = None,
        clock: Callable[[], float] = monotonic,
        grace: float = GRACE,
    ) -> None:
        """`servers`: instead of those of resolv.conf; the search domains and options are its. `keep`: seconds that an
        answer is kept at most; 0: each look asks for itself. `clock`: seconds, by which the cache goes.
        `grace`: seconds that one family is waited for once the other one has come."""
        self._grace = grace
        self._clock = clock
        self._servers = servers
        self._keep = keep
        self._conf = conf or resolv_conf()
        self._hosts = known_hosts or hosts()
        self._hosts.now()  # before looks are under way: a block list of 100,000 names takes a tenth of a second
        self._names = Servers()
        self._local: dict[tuple[str, int], tuple[Mapping[str, tuple[str, ...]], float, tuple[str, ...]]] = {}
        """Of /etc/hosts: as which it was read, until when the order holds, and the addresses."""
        self._literals: dict[tuple[str, int], tuple[Address, ...]] = {}
        self._known: dict[tuple[str, int], _Known] = {}
        self._pending: dict[tuple[str, int], Lookup] = {}
        self._running: dict[Lookup, tuple[str, int]] = {}
        """The oldest first."""

    async def resolve(self, host: str, port: int, timeout: float) -> tuple[Address, ...]:
        """Raises `LookFailed` with a dns_* reason; answers within `timeout` seconds."""
        found = self._literals.get((host, port))
        return found if found is not None else await self.find(host, port, timeout)

    async def find(
        self, host: str, port: int, timeout: float, *, family: int = 0, again: bool = False
    ) -> tuple[Address, ...]:
        """As `resolve`. `family`: AF_INET or AF_INET6 and no other, 0 for both. `again`: for an extra look, that is
        to tell whether what others saw is true: it takes nothing from the cache that is not new, and no failure."""
        key = (host.lower(), family)
        known = self._known.get(key)
        written = literal(host, port) if known is None and key not in self._local else None
        if written is not None:
            if family in (0, written.family):
                put(self._literals, (host, port), (written,))
                return (written,)
            raise LookFailed(Reason.DNS_NO_DATA, f"{host} is not an address of that family (ip:)")
        local = self._here(key)
        if local:
            return _fresh(local, port)
        now = self._clock()
        if known is not None and now < known.until:
            if known.why is None and not (again and now - known.came > NEW):
                return known.addresses(port, max(now - known.came, 1e-3))
            if known.why is not None and not again:
                raise known.why.error()
        return await self._wait(key, port, timeout, known)

    def close(self) -> None:
        """Ask no more."""
        for lookup in self._running:
            lookup.cancel()

    def _here(self, key: tuple[str, int]) -> tuple[str, ...]:
        """Its addresses by /etc/hosts; and this machine's own by its own name (RFC 6761, 6.3)."""
        name, family = key
        name = name.removesuffix(".")
        file = self._hosts.now()
        written = file.get(name, _LOOPBACK if name == "localhost" or name.endswith(".localhost") else ())
        if not written:
            return ()
        now = self._clock()
        known = self._local.get(key)
        if known is None or known[0] is not file or now > known[1]:
            fit = _of_family(written, family) or (_of_family(_LOOPBACK, family) if name == "localhost" else ())
            known = (file, now + _ORDERED, in_order(fit))
            put(self._local, key, known)
        return known[2]

    async def _wait(
        self, key: tuple[str, int], port: int, timeout: float, known: _Known | None
    ) -> tuple[Address, ...]:
        lookup = self._pending.get(key) if self._keep else None
        if lookup is None or lookup.answer.done():
            lookup = self._begin(key, known)
        now = self._clock()
        old = known if known is not None and known.hosts and now < known.until + KEPT_HANGING else None
        # Whoever has an old answer must not spend on the new one what it needs to connect.
        patience = timeout if old is None else min(max(PROMPT - (now - lookup.asked), 0.0), timeout / 2)
        if patience > 0.0 and not lookup.answer.done():
            lookup.awaited += 1
            try:
                await asyncio.wait((lookup.answer,), timeout=patience)
            finally:
                lookup.awaited -= 1
        outcome = lookup.answer.result() if lookup.answer.done() else None
        if isinstance(outcome, Found):
            return _fresh(outcome.hosts, port)
        if isinstance(outcome, Nothing):
            raise outcome.why.error()
        if old is not None and (outcome is None or outcome.reason is Reason.DNS_TIMEOUT):
            return old.addresses(port, self._clock() - old.came, stale=True)
        raise _failure(key[0], timeout, lookup.so_far() if outcome is None else outcome, given_up=outcome is None)

    def _begin(self, key: tuple[str, int], known: _Known | None) -> Lookup:
        if len(self._running) >= _MOST_RUNNING:
            self._give_one_up()
        conf = self._conf.now()
        servers = self._servers or tuple((host, _PORT) for host in conf.servers)
        name, family = key
        lookup = Lookup(name, family, conf, self._names, servers, partial(self._came, key), self._clock())
        if self._keep:
            self._pending[key] = lookup
        task = lookup.begin(self._grace if known is None or known.complete else 0.0)
        self._running[lookup] = key
        task.add_done_callback(lambda _: self._forget(lookup))
        return lookup

    def _give_one_up(self) -> None:
        """The oldest that nobody waits for any longer: each holds sockets until its servers are given up."""
        found = next((lookup for lookup in self._running if not lookup.awaited), None)
        if found is not None:
            self._forget(found)
            found.cancel()

    def _forget(self, lookup: Lookup) -> None:
        key = self._running.pop(lookup, None)
        if key is not None and self._pending.get(key) is lookup:
            del self._pending[key]

    def _came(self, key: tuple[str, int], outcome: Outcome) -> None:
        now = self._clock()
        match outcome:
            case Found(hosts=found, ttl=ttl, complete=complete):
                kept = min(max(ttl, SHORTEST), self._keep)
                put(self._known, key, _Known(now, now + kept, found, complete=complete))
            case Nothing(why=why, ttl=ttl):
                kept = min(ttl, KEPT_NOTHING, self._keep)
                put(self._known, key, _Known(now, now + kept, (), why))
            case _:
                pass  # failures are not kept; the last good answer is


def _of_family(found: tuple[str, ...], family: int) -> tuple[str, ...]:
    return tuple(host for host in found if family in (0, socket.AF_INET6 if ":" in host else socket.AF_INET))


def _fresh(found: tuple[str, ...], port: int) -> tuple[Address, ...]:
    return tuple(_address(host, port, 0.0, stale=False) for host in found)


def _failure(name: str, timeout: float, known: Failed | None, *, given_up: bool) -> LookFailed:
    """`given_up`: by the look, before the question was."""
    if known is None:
        return LookFailed(Reason.DNS_TIMEOUT, f"no answer for {name} within {timeout:.3g} s")
    within = f" within {timeout:.3g} s" if given_up else ""
    return LookFailed(known.reason, f"{name}: {known.detail}{within}")
