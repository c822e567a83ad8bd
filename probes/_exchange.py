"""One HTTP exchange on a connection of its own, and the way through redirects to the final answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

from probes import _url
from probes._http1 import ResponseReader, check_header, request
from probes._look import Look, visible
from probes._net import Connection
from probes._reach import Endpoint, reach
from probes._url import Url
from probes.contract import TEXT_LIMIT, BadField, Context, LookFailed, Reason

_EXCERPT = 200
_OURS = frozenset({"content-length", "transfer-encoding", "connection"})
_FOLLOWED = (301, 302, 303, 307, 308)

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, repr=False)
class Ask:
    """What to ask for, and how to take the answer: made once a check. No repr, as `written` and `first` hold secrets.

    `written` are the user's own headers; `first` is the request to `url`, as bytes.
    """

    url: Url
    method: str
    written: Headers
    body: bytes | None
    follow: int
    final: frozenset[int]
    """Statuses that are an answer even if they redirect."""
    max_bytes: int
    keep: int
    server_name: str | None
    verify: bool
    ca_file: str | None
    first: bytes = field(init=False)

    def __post_init__(self) -> None:
        headers = _headers(self.url, self.written, self.url)
        object.__setattr__(self, "first", request(self.method, self.url.target, headers, self.body))


class CookieJar(Protocol):
    """What the answers to earlier requests have asked to be sent along."""

    def header(self, url: Url) -> str:
        """The value of the Cookie header of a request; empty without cookies."""

    def take(self, url: Url, headers: Headers) -> None:
        """Remember what an answer from `url` sets."""


async def fetch(
    look: Look, context: Context, ask: Ask, figures: dict[str, float], cookies: CookieJar | None = None
) -> ResponseReader:
    """The final answer. Raises `LookFailed`; adds what TLS tells to `figures`."""
    url, method, body = ask.url, ask.method, ask.body
    seen = {(method, url.target, url.authority, url.scheme)}
    hops = 0
    data = ask.first if cookies is None else _with_cookies(ask, cookies)
    while True:
        reader = ResponseReader(method, max_bytes=ask.max_bytes, keep=ask.keep)
        location = await _exchange(look, context, ask, url, data, reader, figures, follow=ask.follow > 0)
        if cookies is not None:
            cookies.take(url, reader.headers)
        look.evidence["status"] = str(reader.status)
        if location is None:
            return reader
        hops += 1
        if hops > ask.follow:
            raise LookFailed(
                Reason.REDIRECT, f"more than {ask.follow} redirects, the last to {_shown(look, location)}"
            )
        url, method, body = _next(look, url, method, body, reader.status, location, ask)
        look.evidence["final_url"] = _shown_url(look, url)
        key = (method, url.target, url.authority, url.scheme)
        if key in seen:
            raise LookFailed(Reason.REDIRECT, f"the redirects go round in a circle at {_shown_url(look, url)}")
        seen.add(key)
        trusted = ask.url.trusts(url)
        headers = _headers(url, ask.written if trusted else [], ask.url if trusted else None)
        data = request(method, url.target, headers + _cookie(cookies, url), body)


def _with_cookies(ask: Ask, cookies: CookieJar) -> bytes:
    headers = _headers(ask.url, ask.written, ask.url) + _cookie(cookies, ask.url)
    return request(ask.method, ask.url.target, headers, ask.body)


def _cookie(cookies: CookieJar | None, url: Url) -> Headers:
    value = cookies.header(url) if cookies is not None else ""
    return [("Cookie", value)] if value else []


def note_excerpt(look: Look, answer: ResponseReader) -> None:
    """The beginning of a failed look's body as evidence."""
    if answer.body_size:
        start = answer.body[:TEXT_LIMIT]
        text = start.decode("utf-8", "replace")
        look.evidence["excerpt"] = look.show(text, _EXCERPT, cut=answer.body_size > len(start))


async def _exchange(
    look: Look,
    context: Context,
    ask: Ask,
    url: Url,
    data: bytes,
    reader: ResponseReader,
    figures: dict[str, float],
    *,
    follow: bool,
) -> str | None:
    """One request and its answer; the Location to go on to, or None when this is the final answer."""
    name = None
    if url.scheme == "https":
        name = ask.server_name if ask.server_name and ask.url.trusts(url) else url.host
    endpoint = Endpoint(url.host, url.port, name, ask.verify, ask.ca_file)
    try:
        with await reach(look, context, endpoint, figures) as connection:
            await connection.send(data)
            await _receive(look, connection, ask, reader, follow=follow)
    finally:
        reader.close()
    return _location(reader, ask.final) if follow else None


async def _receive(look: Look, connection: Connection, ask: Ask, reader: ResponseReader, *, follow: bool) -> None:
    """The answer to its end; of a redirect that will be followed only the headers, as its body is for nobody."""
    look.begin(Reason.FIRST_BYTE_TIMEOUT, "first_byte")
    sent = perf_counter()
    head = chunk = await connection.receive()
    first = connection.arrived
    look.spend("first_byte", max(0.0, first - sent))
    look.begin(Reason.TRANSFER_TIMEOUT, "transfer")
    try:
        while chunk and not reader.feed(chunk):
            if follow and reader.headers_complete and _location(reader, ask.final) is not None:
                break
            chunk = await connection.receive()
            if len(head) < TEXT_LIMIT:
                head += chunk
        if not chunk:
            reader.eof()
    except LookFailed as failure:
        if failure.reason is Reason.PROTOCOL:
            # From its beginning: a later part may begin in the middle of a secret, which nobody then recognises.
            start = head[:TEXT_LIMIT].decode("latin-1")
            look.evidence["answer"] = look.show(start, 200, cut=len(head) > TEXT_LIMIT)
        elif reader.headers_complete:
            look.evidence["status"] = str(reader.status)
        raise
    finally:
        if not look.struck:
            look.spend("transfer", max(0.0, connection.arrived - first))


def check_written(name: str, value: str) -> None:
    """A header that a user has written. Raises `BadField` for `headers.NAME`; the text never shows the value."""
    if name.lower() in _OURS:
        raise BadField(f"headers.{name}", "this header is written by the probe itself")
    try:
        check_header(name, value)
    except ValueError as error:
        raise BadField(f"headers.{name}", str(error)) from None


def _location(reader: ResponseReader, final: frozenset[int]) -> str | None:
    if reader.status not in _FOLLOWED or reader.status in final:
        return None
    return next((value for name, value in reader.headers if name == "location"), None)


def _next(
    look: Look, url: Url, method: str, body: bytes | None, status: int, location: str, ask: Ask
) -> tuple[Url, str, bytes | None]:
    try:
        to = _url.join(url, location)
    except ValueError as error:
        raise LookFailed(Reason.REDIRECT, f"to {_shown(look, location)}: {look.show(str(error), 120)}") from error
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        return to, "GET", None
    if body is not None and not ask.url.trusts(to):
        raise LookFailed(Reason.REDIRECT, f"the body would go to another host: {_shown_url(look, to)}")
    return to, method, body


def _headers(url: Url, written: Headers, own: Url | None) -> Headers:
    """The headers of one request; what is written wins over what is usual. `own` is the URL whose password may go."""
    names = {name.lower() for name, _ in written}
    usual = [("Host", url.authority), ("User-Agent", "brownout/0.1"), ("Accept", "*/*"), ("Connection", "close")]
    if own is not None and own.authorization is not None:
        usual.append(("Authorization", own.authorization.reveal()))
    return [pair for pair in usual if pair[0].lower() not in names] + written


def _shown(look: Look, location: str) -> str:
    """A Location for people: bounded, and without the query, where tokens live; cleaned before it is taken apart."""
    path = re.split(r"[?#]", look.clean(location), maxsplit=1)[0]
    return visible(path.rpartition("@")[2], 120)


def _shown_url(look: Look, url: Url) -> str:
    """`Url.shown` for a URL that the target has named."""
    path, question, _ = look.clean(f"{url.scheme}://{url.authority}{url.target}").partition("?")
    return visible(path, 200) + ("?…" if question else "")
