"""How a conversation in plain text becomes one by TLS, in each protocol that does so: sans I/O.

A talk is a generator: it yields what is to be sent, is sent what came, and returns when the server awaits the
handshake. What came along with the answer, before any TLS, is refused: whoever sits in between could have written it,
and a client that reads it later takes it for something said in secret (CVE-2011-0411).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Generator

from probes._look import visible
from probes.contract import LookFailed, Reason

LONGEST_LINE = 8192
MOST_BYTES = 65_536
"""That a server may send before TLS."""
SSL_REQUEST = struct.pack("!ll", 8, 80877103)
"""PostgreSQL's question for TLS: protocol documentation, 55.7."""
_LDAP_REQUEST = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"  # RFC 4511, 4.14
_LDAP_ANSWER = 0x78
_CODE = re.compile(r"\d{3}(?:[ -]|$)")

Talk = Generator[bytes, bytes, None]
Asked = Generator[bytes, bytes, str]


class Plain:
    """What has come and was not read yet."""

    __slots__ = ("_buffer", "_taken")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._taken = 0

    def line(self, send: bytes = b"") -> Asked:
        """The next line, without its end, after `send` is sent. Raises `LookFailed`."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > LONGEST_LINE:
                raise LookFailed(Reason.TOO_LARGE, f"a line is longer than {LONGEST_LINE} bytes")
            self._take((yield send))
            send = b""
        at = self._buffer.index(b"\n")
        line = self._buffer[:at].decode("utf-8", "replace").rstrip("\r")
        del self._buffer[: at + 1]
        return line

    def exactly(self, count: int, send: bytes = b"") -> Generator[bytes, bytes, bytes]:
        """So many bytes. Raises `LookFailed`."""
        while len(self._buffer) < count:
            self._take((yield send))
            send = b""
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    def nothing(self) -> None:
        """Raises `LookFailed` when something has come that was not asked for."""
        if self._buffer:
            text = visible(self._buffer[:60].decode("latin-1"))
            raise LookFailed(Reason.PROTOCOL, f"more came along with the last answer before TLS: {text}")

    def _take(self, data: bytes) -> None:
        if not data:
            if not self._taken:
                raise LookFailed(Reason.EMPTY_REPLY, "the server closed the connection without a word")
            raise LookFailed(Reason.TRUNCATED, "the server closed the connection before TLS was agreed upon")
        self._taken += len(data)
        if self._taken > MOST_BYTES:
            raise LookFailed(Reason.TOO_LARGE, f"more than {MOST_BYTES} bytes came before TLS")
        self._buffer += data


def talk(protocol: str) -> Talk:
    """Of one of `PROTOCOLS`. Raises `LookFailed`."""
    plain = Plain()
    yield from PROTOCOLS[protocol](plain)
    plain.nothing()


def _smtp(plain: Plain) -> Talk:  # RFC 3207
    yield from _reply(plain, "220")
    plain.nothing()
    offered = yield from _reply(plain, "250", b"EHLO brownout.invalid\r\n")
    if not any(line[4:].strip().upper() == "STARTTLS" for line in offered):
        raise _not_spoken("it does not offer STARTTLS")
    plain.nothing()
    yield from _reply(plain, "220", b"STARTTLS\r\n")


def _ftp(plain: Plain) -> Talk:  # RFC 4217
    yield from _reply(plain, "220")
    plain.nothing()
    yield from _reply(plain, "234", b"AUTH TLS\r\n")


def _reply(plain: Plain, code: str, send: bytes = b"") -> Generator[bytes, bytes, list[str]]:
    """An answer of three digits, on one line or several (RFC 5321, 4.2.1; RFC 959, 4.2)."""
    first = yield from plain.line(send)
    if not _CODE.match(first):
        raise LookFailed(Reason.PROTOCOL, f"this is no answer with a code: {visible(first, 100)}")
    lines = [first]
    # Up to a line that has the code and no hyphen; FTP lets those in between begin as they like.
    while first[3:4] == "-" and not f"{lines[-1]} ".startswith(f"{first[:3]} "):
        lines.append((yield from plain.line()))
    if first.startswith(code):
        return lines
    if not send:
        raise LookFailed(Reason.NOT_SERVING, f"the server greets with {visible(first, 100)}")
    raise _not_spoken(f"it says {visible(first, 100)}")


def _imap(plain: Plain) -> Talk:  # RFC 9051, 6.2.1
    greeting = yield from plain.line()
    if greeting[:6].upper() == "* BYE ":
        raise LookFailed(Reason.NOT_SERVING, f"the server greets with {visible(greeting, 100)}")
    if greeting[:5].upper() != "* OK ":
        raise LookFailed(Reason.PROTOCOL, f"this is no greeting of IMAP: {visible(greeting, 100)}")
    plain.nothing()
    line = yield from plain.line(b"b1 STARTTLS\r\n")
    while line.startswith("* "):
        line = yield from plain.line()
    if line[:6].upper() != "B1 OK ":
        raise _not_spoken(f"it says {visible(line, 100)}")


def _pop3(plain: Plain) -> Talk:  # RFC 2595, 4
    greeting = yield from plain.line()
    if greeting.startswith("-ERR"):
        raise LookFailed(Reason.NOT_SERVING, f"the server greets with {visible(greeting, 100)}")
    if not greeting.startswith("+OK"):
        raise LookFailed(Reason.PROTOCOL, f"this is no greeting of POP3: {visible(greeting, 100)}")
    plain.nothing()
    line = yield from plain.line(b"STLS\r\n")
    if not line.startswith("+OK"):
        raise _not_spoken(f"it says {visible(line, 100)}")


def _postgres(plain: Plain) -> Talk:
    answer = yield from plain.exactly(1, SSL_REQUEST)
    if answer == b"N":
        raise _not_spoken("it answers N")
    if answer == b"E":
        # Its text is not to be believed: nobody knows yet who speaks (CVE-2024-10977).
        raise LookFailed(Reason.NOT_SERVING, "an error when asked for TLS; see the server's log")
    if answer != b"S":
        raise LookFailed(Reason.PROTOCOL, f"what answers is not PostgreSQL: {visible(answer.decode('latin-1'))}")


def _ldap(plain: Plain) -> Talk:
    head = yield from plain.exactly(2, _LDAP_REQUEST)
    if head[0] != 0x30:
        raise LookFailed(Reason.PROTOCOL, f"what answers is not LDAP: {visible(head.decode('latin-1'))}")
    length = head[1]
    if length & 0x80:
        size = length & 0x7F
        if not 0 < size <= 4:
            raise LookFailed(Reason.PROTOCOL, "the answer has a length that BER does not have")
        length = int.from_bytes((yield from plain.exactly(size)), "big")
    if length > LONGEST_LINE:
        raise LookFailed(Reason.TOO_LARGE, f"the answer is longer than {LONGEST_LINE} bytes")
    message = yield from plain.exactly(length)
    code = _ldap_code(message)
    if code is None:
        raise LookFailed(Reason.PROTOCOL, "the answer is none to a question for TLS")
    if code:
        raise _not_spoken(f"its result code is {code}")


def _ldap_code(message: bytes) -> int | None:
    """The resultCode (RFC 4511, 4.1.9) of an extended answer to message 1."""
    if message[:3] != b"\x02\x01\x01" or message[3:4] != bytes([_LDAP_ANSWER]) or len(message) < 8:
        return None
    at = 5 + (message[4] & 0x7F if message[4] & 0x80 else 0)
    return message[at + 2] if message[at : at + 2] == b"\x0a\x01" and len(message) > at + 2 else None


def _not_spoken(why: str) -> LookFailed:
    return LookFailed(Reason.TLS_PLAINTEXT, f"the server does not begin TLS: {why}")


PROTOCOLS: dict[str, Callable[[Plain], Talk]] = {
    "smtp": _smtp,
    "imap": _imap,
    "pop3": _pop3,
    "ftp": _ftp,
    "postgres": _postgres,
    "ldap": _ldap,
}
