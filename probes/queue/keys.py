"""Queues that live in Redis: what their back ends share. Each reads a few keys a queue, however long the queue is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes._look import Look
from probes._redis.session import Command, RedisServer, Reply, Session
from probes.contract import BadField, Context, LookFailed, Reason
from probes.queue.backend import Backend, Backlog
from probes.queue.payload import age

if TYPE_CHECKING:
    from probes.queue.probe import Queue

MOST_QUEUES = 100
"""Queues that one check looks at."""
MOST_WORKERS = 500
"""Workers that one check looks at, of those that the queue lists."""

MOST_CLIENTS = 5000
"""Clients of the server beyond which they are not listed: that would be megabytes at every look."""


class Keys:
    """The keys of one look. Whatever is wrong with one raises `LookFailed` that names the key."""

    __slots__ = ("look", "now", "session")

    def __init__(self, session: Session, look: Look, now: float) -> None:
        self.session = session
        self.look = look
        self.now = now
        """Seconds of the server's clock."""

    async def ask(self, *commands: Command) -> list[Reply]:
        """The answers to commands, in one round trip."""
        replies = await self.session.pipeline(commands)
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, LookFailed):
                raise self._named(command, reply)
        return replies

    async def one(self, *command: str | bytes | int | float) -> Reply:
        """The answer to one command, which may be large: several in one round trip share a limit."""
        try:
            return (await self.ask(command))[0]
        except LookFailed as failure:
            if failure.reason is Reason.TOO_LARGE:  # no fault of the target's: a big job is a job
                raise LookFailed(Reason.UNSUPPORTED, f"{self._key(command)}: {failure.detail}") from None
            raise

    async def counts(self, *commands: Command) -> list[int]:
        """Answers that are all whole numbers."""
        replies = await self.ask(*commands)
        return [self.whole(command, reply) for command, reply in zip(commands, replies, strict=True)]

    async def names(self, command: str, key: str, most: int) -> list[str]:
        """The members of a set by alphabet, at most `most`; the evidence says when there are more."""
        reply = await self.one(command, key)
        if not isinstance(reply, list):
            raise self._strange((command, key))
        found = sorted(each.decode("utf-8", "replace") for each in reply if isinstance(each, bytes))
        if len(found) > most:
            self.look.evidence["left_out"] = f"{self._key((command, key))}: {len(found) - most} of {len(found)}"
        return found[:most]

    async def timed(self, key: str, scale: float = 1.0) -> Timed:
        """A sorted set of jobs by when they are to run; a score divided by `scale` is seconds of the clock."""
        due = self.now * scale
        overdue, later = await self.counts(("ZCOUNT", key, "-inf", due), ("ZCOUNT", key, f"({due}", "+inf"))
        first = await self.one("ZRANGE", key, 0, 0, "WITHSCORES") if overdue else None
        if not isinstance(first, list) or len(first) != 2:
            return Timed(0, later, 0.0, b"")  # run meanwhile
        try:
            since = float(first[1]) / scale  # type: ignore[arg-type]  # whatever else it is, is refused here
        except (ValueError, TypeError):
            raise self._strange(("ZRANGE", key)) from None
        return Timed(overdue, later, age(since, self.now), first[0] if isinstance(first[0], bytes) else b"")

    async def clients(self) -> list[bytes] | None:
        """The lines of CLIENT LIST; None where that is not allowed, or too many to be asked for at every look."""
        count = (await self.session.pipeline([("INFO", "clients")]))[0]
        if not isinstance(count, bytes) or _connected(count) > MOST_CLIENTS:
            return None
        listed = (await self.session.pipeline([("CLIENT", "LIST")]))[0]
        return listed.splitlines() if isinstance(listed, bytes) else None

    def whole(self, command: Command, reply: Reply) -> int:
        """An answer that must be a whole number; a counter kept as a text is one, and a key that is missing is 0."""
        if reply is None:
            return 0
        try:
            return int(reply)  # type: ignore[arg-type]  # whatever else it is, is refused here
        except (ValueError, TypeError):
            raise self._strange(command) from None

    def _named(self, command: Command, failure: LookFailed) -> LookFailed:
        return LookFailed(failure.reason, f"{self._key(command)}: {failure.detail}")

    def _strange(self, command: Command) -> LookFailed:
        return LookFailed(Reason.QUERY, f"{self._key(command)} holds something else than such a queue keeps there")

    def _key(self, command: Command) -> str:
        key = command[1] if len(command) > 1 else command[0]
        return self.look.show(key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key), 100)


@dataclass(frozen=True, slots=True)
class Timed:
    """Jobs that wait for their time. Those whose time has come wait for whoever puts them into their queue: when
    nobody does, they are as late as any other job."""

    overdue: int
    later: int
    lag: float | None
    """Seconds since the time of the first one; None when that is no time."""
    first: bytes
    """The member that is overdue for longest."""


@dataclass(frozen=True, slots=True)
class Line:
    """One queue as it stands. `lag` is None when its oldest job does not say since when it waits."""

    name: str
    depth: int
    lag: float | None
    oldest: str = ""
    """What kind of job that is."""


class OnRedis(Backend):
    """A back end whose queues are keys. `survey` does the reading."""

    extra = "redis"
    common = frozenset({"queues", "verify", "ca_file"})

    def __init__(self, queue: Queue) -> None:
        assert queue.url is not None  # noqa: S101  (it is needed: the probe has seen to it)
        self.server = RedisServer(queue.url, verify=queue.verify, ca_file=queue.ca_file)
        self.written = tuple(dict.fromkeys(queue.queues))
        if len(self.written) > MOST_QUEUES:
            raise BadField("queues", f"at most {MOST_QUEUES} queues in one check: write a second check")
        if not all(self.written):
            raise BadField("queues", "one of the names is empty")

    @property
    def target(self) -> str:
        return " ".join((self.server.target, ", ".join(self.written))).rstrip()

    @property
    def host(self) -> str | None:
        return self.server.host

    @property
    def secrets(self) -> Iterable[str]:
        return self.server.secrets

    async def read(self, look: Look, context: Context) -> Backlog:
        async with self.server.session(look, context) as session:
            return await self.survey(Keys(session, look, await _server_time(session)))

    @abstractmethod
    async def survey(self, keys: Keys) -> Backlog:
        """What stands in the queues now. Raises `LookFailed`."""

    def close(self) -> None:
        self.server.close()


async def _server_time(session: Session) -> float:
    """The server's clock, as jobs and agent may be on machines whose clocks differ; it is asked first."""
    reply = await session.ask("TIME")
    if not isinstance(reply, list) or len(reply) != 2:
        raise LookFailed(Reason.PROTOCOL, "the answer to TIME is no time")
    try:
        seconds, micros = (int(part) for part in reply if isinstance(part, bytes))
    except ValueError:
        raise LookFailed(Reason.PROTOCOL, "the answer to TIME is no time") from None
    return seconds + micros / 1e6


def _connected(info: bytes) -> int:
    value = info.partition(b"connected_clients:")[2].split(b"\r", 1)[0]
    return int(value) if value.isdigit() else 0


def never_used(names: Iterable[str], existing: Sequence[str]) -> frozenset[str]:
    """Those of `names` that are not among the queues that were ever used, when all of these are known."""
    return frozenset() if len(existing) >= MOST_QUEUES else frozenset(names) - frozenset(existing)


def worst_lag(lines: Iterable[Line]) -> float | None:
    """The lag of the worst queue; 0 when nothing waits, None when jobs wait and none says since when."""
    waiting = [line for line in lines if line.depth]
    known = [line.lag for line in waiting if line.lag is not None]
    return max(known) if known else (None if waiting else 0.0)


def told(look: Look, lines: Sequence[Line], *, unused: frozenset[str] = frozenset()) -> dict[str, str]:
    """The queue that is worst, for people; and `unused` queues, which nobody has ever put a job into: a slip of the
    pen looks like a queue that is always empty."""
    evidence = {"never_used": look.show(", ".join(sorted(unused)))} if unused else {}
    waiting = [line for line in lines if line.depth]
    if not waiting:
        return evidence
    worst = max(waiting, key=lambda line: (line.lag or 0.0, line.depth))
    lag = "of unknown age" if worst.lag is None else f"{worst.lag:.1f} s old"
    oldest = f", the oldest {lag}" + (f", {worst.oldest}" if worst.oldest else "")
    evidence["worst_queue"] = look.show(f"{worst.name}: {worst.depth} waiting{oldest}")
    mute = [line.name for line in waiting if line.lag is None]
    if mute and len(mute) < len(waiting):
        evidence["no_age"] = look.show(", ".join(mute))
    return evidence
