"""Which bytes answer a DNS question: by the header and the question alone, in a few comparisons, without dnspython.

What comes by UDP may be forged, belated or nonsense; only what `Asked.stranger` lets through is read.
"""

from __future__ import annotations

from probes._dns.message import HEADER

_ANSWER, _OPCODE, _TRUNCATED = 0x80, 0x78, 0x02
"""In the third byte of the header (RFC 1035, 4.1.1)."""

FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 1, 2, 3, 4, 5
"""Response codes (RFC 1035, 4.1.1)."""

_UNREAD = frozenset({FORMERR, SERVFAIL, NOTIMP, REFUSED})
"""With these a server may leave the question out."""


class Asked:
    """One question under way."""

    __slots__ = ("_id", "_question", "wire")

    def __init__(self, number: bytes, rest: bytes, question: bytes) -> None:
        """`number`: the id; `rest`: the message behind it; `question`: name, type and class as they are in there."""
        self._id = number
        self._question = question
        self.wire = number + rest

    def stranger(self, data: bytes) -> str | None:
        """In what these bytes do not answer this question; None when they do, whatever they say."""
        if len(data) < HEADER:
            return "shorter than a header"
        if data[:2] != self._id:
            return "with another id"
        same = self._same_question(data)
        if not data[2] & _ANSWER:
            return "our own question, sent back" if same else "a question"
        if data[2] & _OPCODE:
            return "to no query"
        questions = int.from_bytes(data[4:6], "big")
        if questions == 0 and rcode_of(data) in _UNREAD:
            return None
        return None if same and questions == 1 else "to another question"

    def _same_question(self, data: bytes) -> bool:
        """Names are compared without case, which a length of a label cannot be confused with: it is below 64."""
        mine, other = self._question, data[HEADER : HEADER + len(self._question)]
        return mine[-4:] == other[-4:] and mine[:-4].lower() == other[:-4].lower()


def rcode_of(data: bytes) -> int:
    """The response code in the header; one with EDNS has more bits elsewhere."""
    return data[3] & 0x0F


def without_edns(data: bytes) -> bool:
    """Whether the server may not know EDNS: it could not read the question, and says nothing of EDNS itself."""
    return rcode_of(data) in (FORMERR, NOTIMP) and data[10:12] == b"\0\0"


def truncated(data: bytes) -> bool:
    """Whether there was more to say than the datagram holds (TC)."""
    return bool(data[2] & _TRUNCATED)
