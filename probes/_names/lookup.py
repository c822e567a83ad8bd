"""One host name on its way to addresses: which names are asked for, of both families at once, and what it comes
to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from socket import AF_INET
from time import monotonic

from probes._names.address_question import AAAA, A, NameQuestion, NoHostName, Told, wire_name
from probes._names.query import PAUSE, Asking, Failed, Server, worst
from probes._names.resolv_conf import ResolvConf
from probes._wire.address_order import in_order
from probes.contract import Reason

GRACE = 0.05
"""Seconds that one family is waited for once the other one has addresses (RFC 8305, 3: 50 ms)."""
_SILENT = 30.0
"""Seconds for which a server that was silent is asked after the others."""
_WORDS = {A: "an IPv4 address", AAAA: "an IPv6 address"}


class Servers:
    """In which order the name servers are asked: those that were silent just now come last."""

    __slots__ = ("_silent_until", "_turn")

    def __init__(self) -> None:
        self._silent_until: dict[Server, float] = {}
        self._turn = 0

    def in_order(self, servers: Sequence[Server], *, rotate: bool) -> list[Server]:
        self._turn += rotate
        first = self._turn % len(servers)
        now = monotonic()
        turned = (*servers[first:], *servers[:first])
        return sorted(turned, key=lambda server: self._silent_until.get(server, 0.0) > now)

    def heard(self, answered: set[Server], silent: set[Server]) -> None:
        """These have answered a question, and these were asked in vain."""
        for server in answered:
            self._silent_until.pop(server, None)
        for server in silent:
            self._silent_until[server] = monotonic() + _SILENT


@dataclass(frozen=True, slots=True)
class Found:
    """The addresses of a name, in the order in which they are to be tried."""

    hosts: tuple[str, ...]
    ttl: float
    complete: bool = True
    """Whether all families have told what they have."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is no such name, or it has no address of the wanted family; `ttl`: seconds for which that may be kept."""

    why: Failed
    ttl: float


Outcome = Found | Nothing | Failed


class Lookup:
    """A name that is being looked up. Its task goes on when those who wait have gone, until the question is given up:
    what comes late is of use to the next."""

    __slots__ = (
        "_asking",
        "_came",
        "_conf",
        "_family",
        "_host",
        "_names",
        "_servers",
        "_task",
        "answer",
        "asked",
        "awaited",
    )

    def __init__(
        self,
        host: str,
        family: int,
        conf: ResolvConf,
        names: Servers,
        servers: Sequence[Server],
        came: Callable[[Outcome], None],
        asked: float,
    ) -> None:
        """`family`: AF_INET, AF_INET6, or 0 for both. `came` is told what it came to: twice, when the addresses of
        one family come after the others were told."""
        self._host, self._family, self._conf = host, family, conf
        self._names, self._servers, self._came = names, servers, came
        self._asking: list[Asking] = []
        self.asked = asked
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Outcome] = loop.create_future()
        self.awaited = 0
        """How many wait for it."""
        self._task: asyncio.Task[None] | None = None

    def begin(self, grace: float) -> asyncio.Task[None]:
        """`grace`: seconds that a second family is worth being waited for; 0 where it did not come the last time."""
        task = self._task = asyncio.ensure_future(self._run(grace))
        return task

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def so_far(self) -> Failed | None:
        """What is known of those who have not answered yet."""
        return worst([asking.so_far() for asking in self._asking]) if self._asking else None

    async def _run(self, grace: float) -> None:
        try:
            self._tell(await self._outcome(grace))
        except Exception as error:  # noqa: BLE001  (a bug of ours: told to whoever waits)
            if not self.answer.done():
                self.answer.set_exception(error)
                self.answer.exception()  # nobody may be waiting any longer
        finally:
            self._task = None

    def _tell(self, outcome: Outcome) -> None:
        self._came(outcome)
        if not self.answer.done():
            self.answer.set_result(outcome)

    async def _outcome(self, grace: float) -> Outcome:
        try:
            wire_name(self._host)
        except NoHostName as error:
            return Nothing(Failed(Reason.DNS_NXDOMAIN, str(error)), 0.0)
        failed: Failed | None = None
        nothing: list[Nothing] = []
        names = _candidates(self._host, self._conf)
        for name in names:
            outcome = await self._one(name, wire_name(name), grace)
            if isinstance(outcome, Found) or (isinstance(outcome, Failed) and outcome.reason is Reason.DNS_TIMEOUT):
                return outcome
            if isinstance(outcome, Failed):
                failed = failed or outcome
            else:
                nothing.append(outcome)
        if failed is not None:
            return failed  # it might have been there
        said = next((item for item in nothing if item.why.reason is Reason.DNS_NO_DATA), nothing[0])
        more = f" (tried: {', '.join(names)})" if len(names) > 1 else ""
        why = Failed(said.why.reason, said.why.detail + more)
        return Nothing(why, min(item.ttl for item in nothing))

    async def _one(self, name: str, wire: bytes, grace: float) -> Outcome:
        """One whole name, both families at once."""
        told: dict[int, Told | Failed] = {}
        tasks = {asyncio.ensure_future(self._ask(wire, kind)): kind for kind in self._kinds()}
        waiting = set(tasks)
        try:
            while waiting:
                having = any(isinstance(item, Told) and item.addresses for item in told.values())
                timeout = grace if having and not self.answer.done() else None
                done, waiting = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                told.update((tasks[task], task.result()) for task in done)
                if not done:
                    self._tell(_judged(name, told, complete=False))
        finally:
            for task in waiting:
                task.cancel()
        return _judged(name, told)

    def _kinds(self) -> tuple[int, ...]:
        match self._family:
            case 0:
                return (A,) if self._conf.no_aaaa else (A, AAAA)
            case family:
                return (A,) if family == AF_INET else (AAAA,)

    async def _ask(self, wire: bytes, kind: int) -> Told | Failed:
        conf = self._conf
        servers = self._names.in_order(self._servers, rotate=conf.rotate)
        asking = Asking(NameQuestion(wire, kind), servers)
        self._asking.append(asking)
        try:
            patience = conf.timeout * conf.attempts * len(servers)
            return await asking.told(patience, min(PAUSE, conf.timeout), by_tcp=conf.by_tcp)
        finally:
            asking.close()
            self._asking.remove(asking)
            self._names.heard(asking.answered, asking.silent)


def _judged(name: str, told: dict[int, Told | Failed], *, complete: bool = True) -> Outcome:
    """What the answers for both families come to. Whether there is nothing is told only by who was asked: a family
    that failed may have had addresses. But a name that A does not know, does not exist: some servers fail at AAAA."""
    having = [item for item in told.values() if isinstance(item, Told) and item.addresses]
    if having:
        hosts = in_order(host for item in having for host in item.addresses)
        whole = complete and not any(isinstance(item, Failed) for item in told.values())
        return Found(hosts, min(item.ttl for item in having), whole)
    failures = [item for item in told.values() if isinstance(item, Failed)]
    by_a = told.get(A)
    gone = isinstance(by_a, Told) and not by_a.exists
    if failures and not gone:
        return worst(failures)
    answers = [item for item in told.values() if isinstance(item, Told)]
    ttl = min(item.ttl for item in answers)
    if gone or not any(item.exists for item in answers):
        return Nothing(Failed(Reason.DNS_NXDOMAIN, f"{name} does not exist"), ttl)
    wanted = "an address" if len(told) > 1 else _WORDS[next(iter(told))]
    return Nothing(Failed(Reason.DNS_NO_DATA, f"{name} exists, but does not have {wanted}"), ttl)


def _candidates(host: str, conf: ResolvConf) -> tuple[str, ...]:
    """The whole names to ask for, in order (resolv.conf(5), search and ndots)."""
    if host.endswith("."):
        return (host[:-1],)
    searched = tuple(name for name in (f"{host}.{domain}" for domain in conf.search) if _fits(name))
    return (host, *searched) if host.count(".") >= conf.ndots else (*searched, host)


def _fits(name: str) -> bool:
    try:
        wire_name(name)
    except NoHostName:
        return False
    return True
