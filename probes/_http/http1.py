"""HTTP/1.1 without I/O: the bytes of a request, and a reader that is fed the bytes of an answer.

The head is read by `_http.head`, chunks by `_http.chunks`, compression by `_http.codings`; here is decided where an
answer ends, and whether it is whole. Nothing grows without bound: headers, framing and body each have a limit. What
follows a complete answer is a fault, too: on a connection that is kept, as browsers and proxies keep theirs, it would
be taken for the beginning of the next answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from probes._http.chunks import Chunks
from probes._http.codings import Inbox, Ration, Stage, named, stages
from probes._http.head import CHUNKED, HEADER_BYTES, HEADER_COUNT, Head, framing, split
from probes.contract import LookFailed, Reason

__all__ = ["HEADER_BYTES", "HEADER_COUNT", "INTERIM", "ResponseReader", "check_header", "check_method", "request"]

INTERIM = 50
"""Answers before the answer; real servers send one or two."""
_TURN = 128 * 1024
"""Bytes that are unpacked before other work has its turn: less than a millisecond."""
_PIECES = 2000
"""Chunks that are read before other work has its turn: a millisecond or two."""
_OUT = 32 * 1024
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

    Keeps the first `keep` bytes of the body and counts the rest; more than `max_bytes` is `Reason.TOO_LARGE`. A body
    in one of the codings that were `asked` for is unpacked. Work is done in bounded parts: while `held`, feed nothing
    (b"") until all is done of what was fed before, and let others have their turn between.
    """

    __slots__ = (
        "_asked",
        "_body",
        "_chunks",
        "_ended",
        "_fed",
        "_head",
        "_inbox",
        "_interim",
        "_keep",
        "_length",
        "_method",
        "_ration",
        "_rest",
        "_searched",
        "_stages",
        "body_size",
        "done",
        "headers",
        "headers_complete",
        "held",
        "max_bytes",
        "notes",
        "packed",
        "recoded",
        "status",
        "transfer_size",
        "version",
    )

    def __init__(self, method: str, *, max_bytes: int, keep: int, asked: frozenset[str] = frozenset()) -> None:
        self._method = method
        self.max_bytes = max_bytes
        self._keep = keep
        self._asked = asked
        self._fed = 0
        self._head: Head | None = None
        self._rest = b""
        self._searched = 0
        self._interim = 0
        self._length: int | None = None
        self._chunks: Chunks | None = None
        self._stages: list[Stage] | None = None
        self._ended = False
        self._body = bytearray()
        self.status = 0
        self.version = ""
        """As in the status line: `1.1` or `1.0`."""
        self.headers: list[tuple[str, str]] = []
        """Names in lower case, in order, as sent more than once."""
        self.headers_complete = False
        self.body_size = 0
        """Bytes of body, unpacked."""
        self.transfer_size = 0
        """Bytes of body as they came: packed, without the framing of chunks."""
        self.packed = False
        """Whether the body came compressed."""
        self.recoded = False
        """Whether the kept body is UTF-8 by now, whatever its headers say."""
        self.done = False
        self.held = False
        self.notes: list[str] = []
        """What was not as it should be, and was let pass, as clients do."""

    @property
    def body(self) -> bytes:
        """The first `keep` bytes of the body, unpacked: a copy."""
        return bytes(self._body)

    @property
    def kept(self) -> bytearray:
        """What `body` copies: to be read, not to be changed."""
        return self._body

    def start(self, limit: int) -> bytes:
        """The first bytes of the body."""
        return bytes(self._body[:limit])

    def take_body(self) -> bytearray:
        """What `body` has, without a copy, which for many MB would hold the loop. The reader has none afterwards."""
        body, self._body = self._body, bytearray()
        return body

    def put_recoded(self, body: bytearray) -> None:
        """The body in another charset, instead of what was kept."""
        self._body, self.recoded = body, True

    def header(self, name: str) -> str | None:
        """The values of a header (its name in lower case), joined as RFC 9110 says; None when it was not sent."""
        values = self._head.all(name) if self._head is not None else None
        return ", ".join(values) if values else None

    def feed(self, data: bytes) -> bool:
        """Take bytes; True when the answer is complete. Raises `LookFailed`, after which nothing may be fed."""
        self._fed += len(data)
        self.held = False
        if self._rest:
            data, self._rest = self._rest + data, b""
        if not self.headers_complete:
            data = self._read_head(data)
            if not self.headers_complete:
                return False
        if data and not self._ended:
            data = self._read_body(data)
        if data and self._ended:
            self._check_surplus(data)
        if self._stages is not None and self._unpack():
            self.held = True
        elif self._ended and not self.done:
            if self._stages is not None:
                self._finish()
            self.done = True
        return self.done

    def eof(self) -> None:
        """The connection has ended. Raises `LookFailed` unless the answer is complete by that."""
        while self.held:
            self.feed(b"")
        if self.done:
            return
        if self._fed == 0:
            raise LookFailed(Reason.EMPTY_REPLY, "the connection was closed before a single byte")
        if not self.headers_complete:
            raise LookFailed(Reason.TRUNCATED, "the connection was closed within the headers")
        if self._chunks is not None or self._length is not None:
            of = "" if self._length is None else f" of {self._length}"
            raise LookFailed(
                Reason.TRUNCATED, f"the connection was closed after {self.transfer_size}{of} bytes of body"
            )
        self._ended = self.done = True
        self._finish()

    def close(self) -> None:
        """Nothing more is fed: lets go what unpacking needs."""
        self._stages, self._rest = None, b""

    def _read_head(self, data: bytes) -> bytes:
        """Heads, interim ones passed over, up to the final one; returns what follows it."""
        while True:
            found = split(data, self._searched)
            if found is None:
                self._rest, self._searched = data, len(data)
                return b""
            head, end = found
            data, self._searched = data[end:], 0
            if head.status >= 200:
                self._begin_body(head)
                return data
            if head.status == 101:
                raise LookFailed(Reason.PROTOCOL, "the server wants to switch protocols")
            self._interim += 1
            if self._interim > INTERIM:
                raise LookFailed(Reason.PROTOCOL, f"more than {INTERIM} interim answers (1xx)")

    def _begin_body(self, head: Head) -> None:
        self._head = head
        self.status, self.version, self.headers, self.notes = head.status, head.version, head.headers, head.notes
        length = framing(self._method, head)
        self.headers_complete = True
        if length >= 0:
            self._length = length
            self._ended = not length
        elif length == CHUNKED:
            self._chunks = Chunks()

    def _read_body(self, data: bytes) -> bytes:
        """The body's part of `data`; returns what is left over, which is none of it once the answer has ended."""
        if self._chunks is not None:
            pieces: list[bytes] = []
            at = self._chunks.feed(data, 0, pieces.append, _PIECES)
            self._ended = self._chunks.done
            self._take(b"".join(pieces))
            if self._ended or at == len(data):
                return data[at:]
            self._rest, self.held = data[at:], True
            return b""
        if self._length is None:
            self._take(data)
            return b""
        left = self._length - self.transfer_size
        self._ended = len(data) >= left
        self._take(data[:left] if len(data) > left else data)
        return data[left:]

    def _take(self, packed: bytes) -> None:
        """A part of the body as it came."""
        if not packed:
            return
        if not self.transfer_size and self._head is not None and "content-encoding" in self._head.by_name:
            self._choose_stages()
        self.transfer_size += len(packed)
        if self._stages is None:
            self._keep_part(packed)
            return
        self._inbox.put(packed)
        # What is packed may be a little larger than what it holds, but empty parts of it must not go on for ever.
        if self.transfer_size > self.max_bytes + self.max_bytes // 64 + 1024:
            raise self._too_large()

    def _choose_stages(self) -> None:
        names = named(self.header("content-encoding") or "", self._asked)
        if names:
            self.packed = True
            self._inbox, self._ration = Inbox(), Ration()
            self._stages = stages(names, self._inbox, self._ration, self.max_bytes)

    def _unpack(self) -> bool:
        """Unpack what has come, as far as the turn allows; True when there may be more to be had."""
        assert self._stages is not None  # noqa: S101  (the caller has looked)
        self._ration.left = _TURN
        last = self._stages[-1]
        while part := last.read(_OUT):
            self._keep_part(part)
        return self._ration.left <= 0

    def _keep_part(self, part: bytes) -> None:
        self.body_size += len(part)
        room = self._keep - len(self._body)
        if room > 0:
            self._body += part[:room] if len(part) > room else part
        if self.body_size > self.max_bytes:
            raise self._too_large()

    def _too_large(self) -> LookFailed:
        return LookFailed(Reason.TOO_LARGE, f"more than {self.max_bytes} bytes of body")

    def _finish(self) -> None:
        for stage in self._stages or ():
            stage.finish()
            if stage.junk:
                self.notes.append(f"bytes follow the end of the body's {stage.name}")

    def _check_surplus(self, data: bytes) -> None:
        """Bytes behind the end of the answer. Empty lines are let pass: old servers write them, clients skip them."""
        rest = data.lstrip(b"\r\n")
        if not rest:
            if "empty lines follow the answer" not in self.notes:
                self.notes.append("empty lines follow the answer")
        elif rest.startswith(b"HTTP/"):
            raise LookFailed(Reason.PROTOCOL, "a second answer follows the first")
        else:
            more = "1 byte follows" if len(data) == 1 else f"{len(data)} bytes follow"
            raise LookFailed(Reason.PROTOCOL, f"the answer is complete, and at least {more} it")
