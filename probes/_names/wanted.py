"""Which resolver a look gets: the agent's, or the one that its check asks for."""

from __future__ import annotations

import socket

from probes._names import system_resolver
from probes._names.stub_resolver import KEPT, StubResolver
from probes._names.system_resolver import SystemResolver, TurnedResolver
from probes.contract import Address, Ip, LookFailed, Reason, Resolver, ResolverWanted

_FAMILIES = {Ip.ONLY_4: socket.AF_INET, Ip.ONLY_6: socket.AF_INET6}
_FIRST = {Ip.PREFER_4: socket.AF_INET, Ip.PREFER_6: socket.AF_INET6}


class Resolvers:
    """The resolvers of an agent, for one event loop: checks that want the same share one, and its cache."""

    __slots__ = ("_made", "default")

    def __init__(self, default: ResolverWanted | None = None) -> None:
        self._made: dict[ResolverWanted, SystemResolver | StubResolver] = {}
        self.default = self._of(default or ResolverWanted())

    def of(self, wanted: ResolverWanted) -> Resolver:
        return self._of(wanted)

    def _of(self, wanted: ResolverWanted) -> SystemResolver | StubResolver:
        found = self._made.get(wanted)
        if found is None:
            found = self._made[wanted] = _made(wanted)
        return found

    def close(self) -> None:
        """Ask no more."""
        for resolver in self._made.values():
            resolver.close()


def _made(wanted: ResolverWanted) -> SystemResolver | StubResolver:
    if wanted.system:
        return SystemResolver(
            keep=system_resolver.KEPT if wanted.cache is None else min(wanted.cache, system_resolver.KEPT)
        )
    return StubResolver(wanted.servers, KEPT if wanted.cache is None else wanted.cache)


def fitted(resolver: Resolver, ip: Ip | None, *, again: bool, turn: int) -> Resolver:
    """The resolver as one look wants it. `again`: an extra look, which confirms what others saw; `turn`: its number,
    so that each begins with another address."""
    if ip is not None or again:
        resolver = _Fitted(resolver, ip, again=again)
    return TurnedResolver(resolver, turn) if turn else resolver


class _Fitted:
    """Addresses of the wanted family, and new ones where that is wanted."""

    __slots__ = ("_again", "_ip", "_resolver")

    def __init__(self, resolver: Resolver, ip: Ip | None, *, again: bool) -> None:
        self._resolver = resolver
        self._ip = ip
        self._again = again

    async def resolve(self, host: str, port: int, timeout: float) -> tuple[Address, ...]:
        family = _FAMILIES.get(self._ip, 0) if self._ip is not None else 0
        if isinstance(self._resolver, StubResolver):
            found = await self._resolver.find(host, port, timeout, family=family, again=self._again)
        else:
            found = await self._resolver.resolve(host, port, timeout)
        if family:
            found = tuple(address for address in found if address.family == family)
            if not found:
                raise LookFailed(Reason.DNS_NO_DATA, f"{host} has no address of that family (ip: {self._ip})")
        first = _FIRST.get(self._ip) if self._ip is not None else None
        return tuple(sorted(found, key=lambda address: address.family != first)) if first else found
