"""HTTP/1.1 without I/O: the bytes of a request, and a reader that is fed the bytes of an answer.

llhttp (through httptools) parses; where an answer *ends* is decided here, as httptools cannot be told that it is for
HEAD, nor that the connection has ended. Nothing grows without bound: headers, framing and body each have a limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import httptools

from probes.contract import LookFailed, Reason

HEADER_BYTES = 64 * 1024
HEADER_COUNT = 200
_FRAMING = 8
"""Bytes on the wire a byte of body may cost: a chunk of one byte takes six."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSAFE_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNSAFE_TARGET = re.compile(r"[^\x21-\x7e]")


def check_header(name: str, value: str) -> None:
    """Raises ValueError for what would break out of a header line; the text never shows the value."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a header name")
    if _UNSAFE_VALUE.search(value):
        raise ValueError(f"the value of header {name} has a line break or control character")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"the value of header {name} has a character outside Latin-1") from None


def check_method(method: str) -> None:
    """Raises ValueError for what cannot be a method."""
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"{method!r} cannot be a method")


def request(method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None = None) -> bytes:
    """The bytes of a request. Raises ValueError for a method, target or header that could smuggle another line."""
    check_method(method)
    if not target or _UNSAFE_TARGET.search(target):
        raise ValueError("the request target has a space, control or non-ASCII character")
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in headers:
        check_header(name, value)
        lines.append(f"{name}: {value}")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    lines.append("\r\n")
    head = "\r\n".join(lines).encode("latin-1")
    return head + body if body else head


class ResponseReader:
    """Fed the bytes of one answer; `done` when it is complete. Interim 1xx answers are passed over.

    Keeps the first `keep` bytes of the body and counts the rest; more than `max_bytes` is `Reason.TOO_LARGE`.
    """

    __slots__ = (
        "_body",
        "_fed",
        "_header_bytes",
        "_keep",
        "_max_bytes",
        "_method",
        "_parser",
        "_problem",
        "_until_close",
        "body_size",
        "done",
        "headers",
        "headers_complete",
        "status",
    )

    def __init__(self, method: str, *, max_bytes: int, keep: int) -> None:
        self._method = method
        self._max_bytes = max_bytes
        self._keep = keep
        self._fed = 0
        self._header_bytes = 0
        self._body = bytearray()
        self._problem: LookFailed | None = None
        self._until_close = False
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        """Names in lower case, in order, as sent more than once."""
        self.headers_complete = False
        self.body_size = 0
        self.done = False
        self._parser = httptools.HttpResponseParser(self)

    @property
    def body(self) -> bytes:
        """The first `keep` bytes of the body."""
        return bytes(self._body)

    def take_body(self) -> bytearray:
        """What `body` has, without a copy, which for many MB would hold the loop. The reader has none afterwards."""
        body, self._body = self._body, bytearray()
        return body

    def header(self, name: str) -> str | None:
        """The values of a header (its name in lower case), joined as RFC 9110 says; None when it was not sent."""
        values = [value for known, value in self.headers if known == name]
        return ", ".join(values) if values else None

    def feed(self, data: bytes) -> bool:
        """Take bytes; True when the answer is complete. Raises `LookFailed`."""
        if self.done:
            return True
        self._fed += len(data)
        self._parse(data)
        return self.done

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise LookFailed(Reason.PROTOCOL, "the server wants to switch protocols") from None
        except httptools.HttpParserError as error:
            # What follows a complete answer is nobody's business; a problem of our own says more than the parser.
            if self._problem is None and not self.done:
                raise LookFailed(Reason.PROTOCOL, f"not an HTTP answer: {error}") from error
        if self._problem is not None:
            raise self._problem
        if not self.done and self._fed - _FRAMING * self.body_size > HEADER_BYTES + _FRAMING:
            raise LookFailed(Reason.PROTOCOL, f"more than {HEADER_BYTES // 1024} KiB around the body")

    def eof(self) -> None:
        """The connection has ended. Raises `LookFailed` unless the answer is complete by that."""
        if self.done:
            return
        if self._fed == 0:
            raise LookFailed(Reason.EMPTY_REPLY, "the connection was closed before a single byte")
        if not (self.headers_complete and self._until_close):
            where = f"after {self.body_size} bytes of body" if self.headers_complete else "within the headers"
            raise LookFailed(Reason.TRUNCATED, f"the connection was closed {where}")
        self.done = True

    def close(self) -> None:
        """Nothing more is fed. The parser holds this reader, as this holds it: only the collector would free both."""
        del self._parser

    # What the parser calls. It passes on no exception as it is, so problems are kept until it returns.

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.headers_complete:
            return  # a trailer
        self._header_bytes += len(name) + len(value)
        if len(self.headers) >= HEADER_COUNT or self._header_bytes > HEADER_BYTES:
            self._refuse(Reason.PROTOCOL, f"more than {HEADER_COUNT} headers or {HEADER_BYTES // 1024} KiB of them")
        elif self._problem is None:
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if self.done:
            return
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                self._refuse(Reason.PROTOCOL, "the server wants to switch protocols")
            self.headers.clear()
            return
        self.status = status
        self.headers_complete = True
        if self._method == "HEAD" or status in (204, 304):
            self.done = True
            return
        names = {name for name, _ in self.headers}
        if "transfer-encoding" in names:
            coding = (self.header("transfer-encoding") or "").lower()
            self._until_close = not coding.rstrip().endswith("chunked")
        else:
            self._until_close = "content-length" not in names

    def on_body(self, data: bytes) -> None:
        if self.done:
            return
        self.body_size += len(data)
        room = self._keep - len(self._body)
        if room > 0:
            self._body += data[:room]
        if self.body_size > self._max_bytes:
            self._refuse(Reason.TOO_LARGE, f"more than {self._max_bytes} bytes of body")

    def on_message_complete(self) -> None:
        # Interim answers are messages of their own; one that ends with the connection is not complete until eof().
        if self.headers_complete and not self._until_close:
            self.done = True

    def _refuse(self, reason: Reason, detail: str) -> None:
        if self._problem is None:
            self._problem = LookFailed(reason, detail)
