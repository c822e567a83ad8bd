"""The head of an HTTP/1 answer: its status line, its headers, and how its body is framed. Pure functions over bytes.

Strict where customers' clients are strict (names, lengths that contradict one another, control characters that split
lines), lenient where RFC 9112 and every client are: lines that end in LF alone (2.2), folded headers (5.2), one
length sent twice (6.3), a length beside chunks (6.3: the chunks count). What was let pass is told as a note.
"""

from __future__ import annotations

import re
from functools import lru_cache

from probes.contract import LookFailed, Reason

HEADER_BYTES = 64 * 1024
"""Of status line and headers."""
HEADER_COUNT = 200

_SCHEME = b"HTTP/"
_STATUS_LINE = r"HTTP/(1\.\d) ([1-9]\d\d)(?: [^\r\n\0]*+)?"
_FIELD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\r\n\0]*+"
_ONE_STATUS_LINE = re.compile(_STATUS_LINE, re.ASCII)
_ONE_FIELD = re.compile(_FIELD)
_LENGTH = re.compile(r"[0-9]{1,18}")

_USUAL = 100
"""Characters of a line that is remembered as it was read. Servers say the same things again and again: a head of
which all lines but the date are known is read in half of the time."""

_COMPRESSIONS = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"})
_FOREIGN = (
    (b"SSH-", "an SSH server"),
    (b"220 ", "an SMTP or FTP server"),
    (b"220-", "an SMTP or FTP server"),
    (b"* OK", "an IMAP server"),
    (b"+OK", "a POP3 server"),
    (b"-ERR", "a Redis or POP3 server"),
    (b"\x15\x03", "a TLS server"),
    (b"\x16\x03", "a TLS server"),
    (b"\x00\x00", "an HTTP/2 server"),
    (b"RFB ", "a VNC server"),
    (b"ICY ", "a SHOUTcast server"),
    (b"AMQP", "an AMQP server"),
    (b"<", "a page without headers (HTTP/0.9)"),
)


Headers = list[tuple[str, str]]


class Head:
    """Status and headers (names in lower case, in order, as sent more than once), and what was let pass."""

    __slots__ = ("by_name", "headers", "notes", "status", "version")

    def __init__(self, version: str, status: int, headers: Headers, notes: list[str]) -> None:
        self.version = version
        self.status = status
        self.headers = headers
        self.by_name = dict(headers)
        """The last value of each name."""
        self.notes = notes

    def all(self, name: str) -> list[str]:
        """The values of a header, its name in lower case."""
        if len(self.by_name) == len(self.headers):
            return [self.by_name[name]] if name in self.by_name else []
        return [value for known, value in self.headers if known == name]


def split(data: bytes, since: int) -> tuple[Head, int] | None:
    """The head that `data` begins with, and where it ends; None when more is needed. Nothing before `since` need be
    searched again. Raises `LookFailed`: protocol, or too_large."""
    end = data.find(b"\r\n\r\n", max(0, since - 3), HEADER_BYTES)
    if end >= 0:
        first, *lines = data[:end].decode("latin-1").split("\r\n")
        begun = _status_line(first) if len(first) <= _USUAL else _status_line.__wrapped__(first)
        if begun is not None and len(lines) <= HEADER_COUNT:
            headers = []
            for line in lines:
                field = _field(line) if len(line) <= _USUAL else _field.__wrapped__(line)
                if field is None:
                    break
                headers.append(field)
            else:
                return Head(*begun, headers, []), end + 4
    return _split_odd(data, since)


@lru_cache(maxsize=256)
def _status_line(line: str) -> tuple[str, int] | None:
    """Its version and status."""
    match = _ONE_STATUS_LINE.fullmatch(line)
    return (match[1], int(match[2])) if match is not None else None


@lru_cache(maxsize=1024)
def _field(line: str) -> tuple[str, str] | None:
    """A header's name, in lower case, and value; None for what is not as it should be."""
    if _ONE_FIELD.fullmatch(line) is None:
        return None
    name, _, value = line.partition(":")
    return name.lower(), value.strip(" \t")


def _split_odd(data: bytes, since: int) -> tuple[Head, int] | None:
    """A head that has not ended, or that is not as it should be."""
    _check_start(data)
    end = _end(data, since)
    if max(end, 0 if end >= 0 else len(data)) > HEADER_BYTES:
        raise LookFailed(Reason.TOO_LARGE, f"more than {HEADER_BYTES // 1024} KiB of headers")
    if end < 0:
        return None
    if data.count(b"\n", 0, end) > HEADER_COUNT + 2:
        raise LookFailed(Reason.TOO_LARGE, f"more than {HEADER_COUNT} headers")
    return _parse_odd(data[:end].decode("latin-1")), end


def _end(data: bytes, since: int) -> int:
    """The position behind the empty line that ends the head, whose lines may end in LF alone; or -1."""
    since = max(0, since - 2)
    end = data.find(b"\n\r\n", since)
    bare = data.find(b"\n\n", since, end + 1 if end >= 0 else len(data))
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else -1


def _check_start(data: bytes) -> None:
    """Refuse at its first bytes what can never become an HTTP answer: it might hang after its greeting."""
    if not _SCHEME.startswith(data[: len(_SCHEME)]):
        who = next((name for begin, name in _FOREIGN if data.startswith(begin)), None)
        said = f": it looks like {who}" if who else ""
        raise LookFailed(Reason.PROTOCOL, f"not an HTTP answer{said}")


def _parse_odd(text: str) -> Head:
    """A head with what RFC 9112 lets pass, or with a word on what is wrong."""
    notes = []
    lines = text.split("\n")
    if any(line and not line.endswith("\r") for line in lines):
        notes.append("lines end in LF alone")
    lines = [line.removesuffix("\r") for line in lines]
    begun = _status_line.__wrapped__(lines[0])
    if begun is None:
        raise LookFailed(Reason.PROTOCOL, _wrong_status_line(lines[0]))
    headers: Headers = []
    for number, line in enumerate(lines[1:], 1):
        if not line:
            break
        if line[0] in " \t" and headers and "\r" not in line and "\0" not in line:
            name, value = headers[-1]
            folded = line.strip(" \t")
            headers[-1] = (name, f"{value} {folded}".strip())
            if "a header is folded" not in notes:
                notes.append("a header is folded")
        elif (field := _field.__wrapped__(line)) is not None:
            headers.append(field)
        else:
            raise LookFailed(Reason.PROTOCOL, _wrong_field(number, line))
    return Head(*begun, headers, notes)


def _wrong_status_line(line: str) -> str:
    # What stands there is not quoted: cut, it could show half a secret; whoever has the look shows it whole.
    version = re.match(r"HTTP/(\d{1,3}(?:\.\d{1,3})?)(?= |$)", line)
    if version and not version[1].startswith("1."):
        return f"it answers in HTTP/{version[1]}, which was not asked for"
    return "not an HTTP answer: its status line is broken"


def _wrong_field(number: int, line: str) -> str:
    if "\0" in line or "\r" in line:
        return f"header {number} has a {'NUL' if chr(0) in line else 'carriage return'} in it"
    if ":" not in line:
        return f"header {number} has no colon"
    return f"header {number} has a name that cannot be one"


CHUNKED = -1
UNTIL_CLOSE = -2


def framing(method: str, head: Head) -> int:
    """The bytes of body, or how else it ends, by RFC 9112, 6.3: `CHUNKED`, or `UNTIL_CLOSE` of the connection.

    Adds to the head's notes. Raises `LookFailed` (protocol, encoding).
    """
    length = UNTIL_CLOSE
    if "content-length" in head.by_name:
        length = _length(head)
    if method == "HEAD" or head.status in (204, 304):
        return 0
    if "transfer-encoding" in head.by_name:
        if length >= 0:
            head.notes.append("both Transfer-Encoding and Content-Length: the latter is ignored")
        return _transfer(head)
    return length


def _length(head: Head) -> int:
    lengths = head.all("content-length")
    if len(lengths) == 1 and _LENGTH.fullmatch(lengths[0]):
        return int(lengths[0])
    values = [part.strip(" \t") for value in lengths for part in value.split(",")]
    if not all(_LENGTH.fullmatch(value) for value in values):
        raise LookFailed(Reason.PROTOCOL, "the Content-Length is no number")
    different = sorted({int(value) for value in values})
    if len(different) > 1:
        raise LookFailed(Reason.PROTOCOL, f"contradictory lengths: {different[0]} and {different[1]}")
    head.notes.append("Content-Length was sent more than once")
    return different[0]


def _transfer(head: Head) -> int:
    codings = ",".join(head.all("transfer-encoding")).lower().split(",")
    codings = [coding for coding in (coding.strip() for coding in codings) if coding]
    if not _COMPRESSIONS.isdisjoint(codings):
        raise LookFailed(Reason.ENCODING, "it came compressed by Transfer-Encoding, which was not asked for")
    chunked = codings.count("chunked")
    if chunked > 1 or (chunked and codings[-1] != "chunked"):
        raise LookFailed(Reason.PROTOCOL, "chunked is not the last transfer coding, or not the only one")
    if any(coding not in ("chunked", "identity") for coding in codings):
        head.notes.append("a Transfer-Encoding other than chunked is passed over")
    return CHUNKED if chunked else UNTIL_CLOSE
