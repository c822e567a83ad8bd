"""One HTTP exchange on a connection of its own, and the way through redirects to the final answer."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from time import perf_counter

from probes._http.ask import Ask, Headers, Hop, check_written
from probes._http.cookies import Cookies
from probes._http.http1 import ResponseReader
from probes._http.proxy import check_in_place
from probes._http.redirects import Trail, location_of, shown_location
from probes._http.reuse import Reuse, stays_open
from probes._http.tunnel import open_way
from probes._look import Look
from probes._wire.connection import Connection
from probes._wire.reach import note_certificate, reach
from probes.contract import TEXT_LIMIT, Context, LookFailed, Reason

__all__ = ["Ask", "Headers", "check_written", "fetch", "note_excerpt", "note_headers"]

_EXCERPT = 200
_SHORTEST_SESSION = 8
"""Characters of a cookie that may prove who somebody is; shorter ones (``lang=english``) are words."""
_TOLD = frozenset(
    {
        "server", "content-type", "location", "retry-after", "via", "age", "x-cache", "x-served-by", "x-request-id",
        "cf-ray",
    }
)  # fmt: skip
"""Headers that help to find out who answered, and why so: they are told of failed looks."""


async def fetch(
    look: Look,
    context: Context,
    ask: Ask,
    figures: dict[str, float],
    cookies: Cookies | None = None,
    kept: Reuse | None = None,
) -> ResponseReader:
    """The final answer. Raises `LookFailed`; adds what TLS tells to `figures`.

    Cookies are kept from hop to hop; those in `cookies` go along from the beginning, and it learns the new ones. A
    connection is taken from `kept`, and left there, where there is one.
    """
    trail: Trail | None = None
    look.server = 0.0
    hop = ask.start
    sent = cookies.header(hop.url) if cookies is not None else ""
    data = ask.first if not sent else ask.request(hop, sent)
    while True:
        since = perf_counter()
        if kept is not None and kept.keeps(ask, hop):
            reader = await _Talk(look, context, ask, hop, data, figures).on_kept(kept)
        else:
            with await _connect(look, context, ask, hop, figures) as connection:
                reader = await _asked(look, connection, ask, hop, data)
        if ask.proxy is not None and not ask.tunnelled(hop.url):
            check_in_place(ask.proxy, reader)
        location = location_of(reader, ask.final) if ask.follow and reader.status >= 300 else None
        look.evidence["status"] = str(reader.status)
        if cookies is not None or location is not None:
            cookies = _taken(look, cookies, hop, reader, more=location is not None)
        if location is None:
            if reader.notes:
                look.evidence["note"] = "; ".join(reader.notes)
            return reader
        trail = trail or Trail(ask, look)
        hop, sent = trail.follow(reader.status, location, perf_counter() - since, cookies)
        data = ask.request(hop, sent)


def _taken(look: Look, cookies: Cookies | None, hop: Hop, reader: ResponseReader, *, more: bool) -> Cookies | None:
    """What the answer sets, if anybody is going to ask again; a target may show it to whoever comes with it."""
    if cookies is None:
        if not more or reader.header("set-cookie") is None:
            return None
        cookies = Cookies()
    for value in cookies.take(hop.url, reader.headers):
        if len(value) >= _SHORTEST_SESSION:
            look.learn(value)
    return cookies


def note_excerpt(look: Look, answer: ResponseReader) -> None:
    """The beginning of a failed look's body as evidence."""
    if answer.body_size:
        start = answer.start(TEXT_LIMIT)
        text = start.decode("utf-8", "replace")
        look.evidence["excerpt"] = look.show(text, _EXCERPT, cut=answer.body_size > len(start))


def note_headers(look: Look, answer: ResponseReader, *, few: bool = False) -> None:
    """What an answer says of itself as evidence, by the names of its headers; `few`: but for the server's name."""
    if few:
        server = answer.header("server")
        if server:
            look.evidence["server"] = look.show(server, 80)
        return
    for name in dict.fromkeys(name for name, _ in answer.headers if name in _TOLD):
        value = answer.header(name) or ""
        look.evidence[name] = shown_location(look, value) if name == "location" else look.show(value, 80)


@dataclass(slots=True, repr=False)
class _Talk:
    """One request and its answer, on a connection that is kept. No repr, as `data` holds secrets."""

    look: Look
    context: Context
    ask: Ask
    hop: Hop
    data: bytes
    figures: dict[str, float]

    async def on_kept(self, kept: Reuse) -> ResponseReader:
        """On a connection that is kept, or will be."""
        look, fresh = self.look, False

        async def connect() -> Connection:
            nonlocal fresh
            fresh = True
            return await _connect(look, self.context, self.ask, self.hop, self.figures)

        before = dict(look.phases)
        kept.age()
        try:
            async with kept.take(look, connect) as connection:
                kept.tell(look, fresh=fresh)
                if not fresh:
                    self._take_over(connection)
                reader = await _asked(look, connection, self.ask, self.hop, self.data)
                if not fresh:
                    kept.check_asked(reader, self.hop.method, self.ask.final)
                if stays_open(reader):
                    connection.rest()
                else:
                    connection.close()
                return reader
        except LookFailed as failure:
            begun = look.phases.get("first_byte") != before.get("first_byte")
            if fresh or not kept.once_more(failure, self.hop.method, begun=begun):
                raise
        look.phases.clear()
        look.phases.update(before)
        return await self.on_kept(kept)  # which has none now, and so makes one

    def _take_over(self, connection: Connection) -> None:
        """A kept connection: what is known of it is told as of a new one."""
        look = self.look
        look.trace = self.context.trace
        connection.serve(look)
        look.evidence["address" if self.ask.proxy is None else "proxy"] = connection.where
        if connection.tls is not None:
            note_certificate(connection.tls, look, self.figures)


def _connect(look: Look, context: Context, ask: Ask, hop: Hop, figures: dict[str, float]) -> Awaitable[Connection]:
    endpoint = ask.endpoint(hop)
    if ask.proxy is None:
        return reach(look, context, endpoint, figures)
    return open_way(look, context, endpoint, figures, ask.proxy, tunnel=ask.tunnelled(hop.url))


async def _asked(look: Look, connection: Connection, ask: Ask, hop: Hop, data: bytes) -> ResponseReader:
    reader = ResponseReader(hop.method, max_bytes=ask.max_bytes, keep=ask.keep, asked=ask.codings(hop))
    try:
        await connection.send(data)
        await _receive(look, connection, ask, reader)
    finally:
        reader.close()
    return reader


def _leads_on(ask: Ask, reader: ResponseReader) -> bool:
    """Whether it is a redirect that will be followed, whose body is for nobody: browsers do not look at it."""
    return ask.follow > 0 and reader.headers_complete and location_of(reader, ask.final) is not None


def _came_early(look: Look, connection: Connection) -> bool:
    """Whether what came just now had come before the request, and not only by a clock that was set meanwhile."""
    ahead = connection.asked - connection.arrived
    return ahead > 0.0 and ahead > abs(look.clock_step())


def _end(look: Look, connection: Connection, reader: ResponseReader, *, closed: bool) -> None:
    """Nothing more is awaited. Raises `LookFailed` when that is too early, or when there is more."""
    if reader.done:
        if more := connection.beyond():
            reader.feed(more)
    elif closed:
        reader.eof()
        if connection.tls is not None and connection.tls.broken_off:
            reader.notes.append("TLS was broken off where the body ends: nothing says that it is whole")
        look.trust("transfer", connection.arrived - connection.sent, connection.doubt)


async def _receive(look: Look, connection: Connection, ask: Ask, reader: ResponseReader) -> None:
    """The answer to its end; of a redirect that will be followed only the headers."""
    look.begin(Reason.FIRST_BYTE_TIMEOUT, "first_byte")
    head = chunk = await connection.receive()
    first = connection.arrived
    early = first < connection.asked and _came_early(look, connection)
    look.spend("first_byte", max(0.0, first - connection.sent), first)
    try:
        more = chunk and not reader.feed(chunk)
        if more:  # most answers are whole by now
            look.begin(Reason.TRANSFER_TIMEOUT, "transfer")
        while more:
            if _leads_on(ask, reader):
                break
            while reader.held:
                await look.turn()
                reader.feed(b"")
            if reader.done:
                break
            chunk = await connection.receive()
            if len(head) < TEXT_LIMIT:
                head += chunk
            more = chunk and not reader.feed(chunk)
        _end(look, connection, reader, closed=not chunk)
        if early and reader.status < 400:  # a server that is full may say so at once
            raise LookFailed(Reason.PROTOCOL, "the server spoke before it was asked")
    except LookFailed as failure:
        if _leads_on(ask, reader) and not early:
            reader.done = False  # the connection is not to be kept
            return
        _note_broken(look, reader, failure, head)
        raise
    finally:
        if not look.struck:
            look.spend("transfer", max(0.0, connection.arrived - first), connection.arrived)


def _note_broken(look: Look, reader: ResponseReader, failure: LookFailed, head: bytes) -> None:
    """What came of an answer that is not as it should be, as evidence; `head` is its beginning."""
    if failure.reason is Reason.PROTOCOL:
        # From its beginning: a later part may begin in the middle of a secret, which nobody then recognises.
        start = head[:TEXT_LIMIT].decode("latin-1")
        look.evidence["answer"] = look.show(start, 200, cut=len(head) > TEXT_LIMIT)
    elif reader.headers_complete:
        look.evidence["status"] = str(reader.status)
        note_headers(look, reader)
