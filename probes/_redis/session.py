"""Sessions with Redis and what speaks its protocol (Valkey, KeyDB): for the probe `redis`, and for queues kept there.

redis-py parses and packs; connecting, deadlines, reasons and what is kept between looks are ours. RESP2 is spoken, so
that old and new servers are the same. Nothing is ever tried twice within a look: a retry would hide a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias

from probes._kept import Kept, Server
from probes._look import Look
from probes._redis.url import RedisUrl, parse
from probes._wire.errnos import translated
from probes._wire.streams import Stream, open_tcp, open_unix, secure
from probes.contract import Context, LookFailed, Reason, Secret, TlsWanted
from probes.registry import optional

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

Reply: TypeAlias = "bytes | int | list[Reply] | LookFailed | None"
"""What a command was answered: an error is the failure that it would be, for the caller to raise or to do without."""

Command: TypeAlias = Sequence[str | bytes | int | float]

NAME = "brownout"
"""How the agent's connections are called in CLIENT LIST."""

_BY_CODE = {
    "NOAUTH": Reason.DENIED,
    "WRONGPASS": Reason.DENIED,
    "NOPERM": Reason.DENIED,
    "DENIED": Reason.DENIED,  # protected mode
    "LOADING": Reason.NOT_READY,
    "MASTERDOWN": Reason.NOT_READY,
    "CLUSTERDOWN": Reason.NOT_SERVING,
    "BUSY": Reason.NOT_SERVING,  # a script runs, and nothing else does
    "MISCONF": Reason.NOT_SERVING,
}
_BY_TEXT = (
    ("max number of clients", Reason.TOO_MANY_CONNECTIONS),
    ("invalid password", Reason.DENIED),
    ("invalid username-password", Reason.DENIED),
    ("without any password configured", Reason.DENIED),
    ("no password is set", Reason.DENIED),
    ("wrong number of arguments for 'auth'", Reason.DENIED),  # before Redis 6: there are no users
)

_NO_RIGHT = "no permissions"
"""In the text of NOPERM, by which it is told from other denials."""


class Session:
    """A connection that is ready for commands, during one look. What is answered is bytes and integers."""

    __slots__ = ("_link", "_look")

    def __init__(self, look: Look, link: Any) -> None:
        self._look = look
        self._link = link

    async def ask(self, *command: str | bytes | int | float) -> Reply:
        """One command and its answer. Raises `LookFailed`, for an error of the server too."""
        return settled((await self.pipeline([command]))[0])

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply]:
        """Commands in one round trip; those that the server refused have a `LookFailed` as their answer.

        Raises `LookFailed` when there is no answer: query_timeout, reset, empty_reply, protocol, too_large, and for
        what the server says of the connection as a whole (denied, not_ready, too_many_connections).
        """
        self._link.stream.reader.turn()
        async with self._look.phase("query", Reason.QUERY_TIMEOUT):
            return await _exchange(self._look, self._link, commands)


class RedisServer(Server[RedisUrl, Any]):
    """A Redis by its URL. Raises `BadField`; connects to nothing by itself."""

    __slots__ = ("_ca_file", "_verify")

    def __init__(self, url: Secret, *, field: str = "url", verify: bool = True, ca_file: str | None = None) -> None:
        """`field` is the key of the check that holds the URL, for its faults."""
        optional("redis.asyncio", "redis")
        super().__init__(url, field, parse, Kept(lambda link: bool(link.stream.idle), lambda link: link.drop()))
        self._verify = verify
        self._ca_file = ca_file

    @asynccontextmanager
    async def session(self, look: Look, context: Context) -> AsyncIterator[Session]:
        """A session on the kept connection, or on a new one. Raises `LookFailed`."""
        async with self._kept.take(look, partial(self._connect, look, context)) as link:
            link.stream.reader.turn()
            yield Session(look, link)
            link.stream.reader.turn()

    async def _connect(self, look: Look, context: Context) -> Any:
        url = self.place
        if url.path is not None:
            stream = await open_unix(look, url.path)
        else:
            stream = await open_tcp(look, context, url.host or "", url.port)
        try:
            if url.tls:
                await secure(look, stream, await context.tls.get(TlsWanted(self._verify, self._ca_file)))
        except BaseException:
            stream.drop()
            raise
        link = _link_class()(stream)
        try:
            async with look.phase("login", Reason.FIRST_BYTE_TIMEOUT):
                await _log_in(look, link, url)
        except BaseException:
            link.drop()
            raise
        return link


def settled(reply: Reply) -> Reply:
    """The answer; raises it when it is a failure."""
    if isinstance(reply, LookFailed):
        raise reply
    return reply


def info(reply: Reply) -> dict[str, str]:
    """The answer to INFO as names and values. Raises `LookFailed` (protocol) when it is no such thing."""
    if not isinstance(reply, bytes):
        raise LookFailed(Reason.PROTOCOL, "the answer to INFO is not a text")
    lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in lines if colon and not name.startswith("#")}


async def _log_in(look: Look, link: Any, url: RedisUrl) -> None:
    """One round trip: who we are, and which database. Whether the name is taken does not matter."""
    commands: list[Command] = []
    if url.password is not None:
        user = [url.username] if url.username else []
        commands.append(["AUTH", *user, url.password.reveal()])
    if url.db:
        commands.append(["SELECT", url.db])
    # Last, as an older server may refuse it; it also finds out that nobody answers before a figure is taken.
    commands.append(["CLIENT", "SETNAME", NAME])
    replies = await _exchange(look, link, commands)
    for reply in replies[:-1]:
        settled(reply)
    named = replies[-1]
    # Only that it is an unknown command, or not permitted to this user, says nothing of the rest.
    if isinstance(named, LookFailed) and named.reason is not Reason.QUERY and _NO_RIGHT not in named.detail:
        raise named


async def _exchange(look: Look, link: AbstractConnection, commands: Sequence[Command]) -> list[Reply]:
    from redis.exceptions import RedisError, ResponseError

    replies: list[Reply] = []
    try:
        await link.send_packed_command(link.pack_commands(commands), check_health=False)
        for _ in commands:
            try:
                replies.append(await link.read_response(disable_decoding=True))
            except ResponseError as error:
                replies.append(_refused(look, error))
    except (LookFailed, asyncio.CancelledError, TimeoutError):
        raise
    except RedisError as error:
        # What it said before it hung up is why it did, as in protected mode.
        said = next((reply for reply in replies if isinstance(reply, LookFailed)), None)
        raise said or _broken(look, error) from error
    except Exception as error:  # the library's parsers raise whatever a garbled answer makes them raise
        raise LookFailed(Reason.PROTOCOL, f"the answer is not Redis's: {look.show(str(error), 120)}") from error
    return replies


def _refused(look: Look, error: Exception) -> LookFailed:
    """An error that the server answers, in the words of `Reason`; the library takes some codes off the text."""
    from redis.exceptions import ClusterDownError, MasterDownError, MovedError, NoPermissionError

    text = look.show(str(error), 200)
    if isinstance(error, MovedError):
        where = look.show(f"{error.host}:{error.port}", 80)
        return LookFailed(
            Reason.QUERY, f"the key is kept by another node of the cluster, {where}: name that node in the URL"
        )
    named: tuple[tuple[type[Exception], Reason], ...] = (
        (NoPermissionError, Reason.DENIED),
        (MasterDownError, Reason.NOT_READY),
        (ClusterDownError, Reason.NOT_SERVING),
    )
    by_class = next((reason for kind, reason in named if isinstance(error, kind)), None)
    reason = by_class or _BY_CODE.get(text.partition(" ")[0]) or _by_text(text) or Reason.QUERY
    return LookFailed(reason, f"the server answers: {text}")


def _broken(look: Look, error: Exception) -> LookFailed:
    """The end of a connection, or an answer that ends it."""
    from redis.exceptions import AuthenticationError, BusyLoadingError, InvalidResponse

    text = look.show(str(error), 200)
    if isinstance(error, AuthenticationError):
        return LookFailed(Reason.DENIED, f"the server answers: {text}")
    if isinstance(error, BusyLoadingError):
        return LookFailed(Reason.NOT_READY, f"the server answers: {text}")
    if isinstance(error, InvalidResponse):
        return LookFailed(Reason.PROTOCOL, f"the answer is not Redis's: {look.show(str(error), 120)}")
    reason = _by_text(text)
    if reason is not None:
        return LookFailed(reason, f"the server answers: {text}")
    below = error.__cause__ or error.__context__
    if isinstance(below, OSError) and below.errno is not None:
        return translated(below.errno, look.evidence.get("address", "the server"), Reason.RESET)
    return LookFailed(Reason.EMPTY_REPLY, "the server closed the connection without an answer")


def _by_text(text: str) -> Reason | None:
    lower = text.lower()
    return next((reason for part, reason in _BY_TEXT if part in lower), None)


@cache
def _link_class() -> Callable[[Stream], Any]:
    """redis-py's connection over a stream of ours: made when first used, as the library is optional."""
    from redis.asyncio.connection import AbstractConnection

    class Link(AbstractConnection):
        """Never connects by itself: a connection that is gone stays gone."""

        def __init__(self, stream: Stream) -> None:
            super().__init__(protocol=2, socket_timeout=None, socket_connect_timeout=None)
            self.stream = stream
            self._reader, self._writer = stream.reader, stream.writer
            self._parser.on_connect(self)  # type: ignore[no-untyped-call]  # the library's

        async def _connect(self) -> None:
            raise ConnectionResetError("the connection is closed")

        def _host_error(self) -> str:
            return self.stream.name

        def repr_pieces(self) -> list[tuple[str, str]]:
            return [("to", self.stream.name)]

        def drop(self) -> None:
            self._parser.on_disconnect()  # type: ignore[no-untyped-call]  # the library's
            self._reader = self._writer = None
            self.stream.drop()

    return Link
