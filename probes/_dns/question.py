"""A DNS question and its answer, sans I/O: which bytes answer it, and what they say.

What comes by UDP may be forged, belated or nonsense: `Asked.stranger` tells it by the header and the question alone,
and only what is left is read (`Question.read`), in slices.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.SOA import SOA

from probes._dns.asked import Asked
from probes._dns.message import HEADER, Message, Raw, Section, extended_errors, extended_rcode, is_opt, strings_of
from probes._slices import slices
from probes.contract import LookFailed, Reason

MOST_RECORDS = 250
"""Records of all sections that are read; an honest answer has a few dozen."""

PAYLOAD = 1232
"""Bytes of an answer by UDP that we ask for, as resolvers do: what passes without fragments (DNS flag day 2020)."""

_OPT = 11
"""Bytes of the record at the end of a question that says that we speak EDNS."""

_AT_ONCE = 2
"""Records that are read at a stretch: the slowest that a server can think of take 2 ms each."""

_LONGEST_CHAIN = 16
"""Aliases that are followed, as resolvers do."""

_TEXTS = frozenset({int(dns.rdatatype.TXT), int(dns.rdatatype.SPF)})
_BITMAPS = frozenset({int(dns.rdatatype.from_text(text)) for text in ("NSEC", "NSEC3", "CSYNC", "WKS")})
_LONGEST_BITMAP = 100
"""Bytes of such a record that are shown as what they mean: each byte may be eight words."""
_NAMES = frozenset(
    int(rdtype)
    for rdtype in (
        dns.rdatatype.NS,
        dns.rdatatype.CNAME,
        dns.rdatatype.DNAME,
        dns.rdatatype.SOA,
        dns.rdatatype.PTR,
        dns.rdatatype.MX,
        dns.rdatatype.SRV,
    )
)
"""Records of nothing but names and numbers: case does not matter."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record: as people read it, and in a form in which it is the same however it was written."""

    text: str
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a name server said. Records are those of the asked type, of the name that the aliases lead to."""

    rcode: str
    flags: frozenset[str]
    """As `dig` writes them: AA, RD, RA, AD, ..."""
    records: tuple[Record, ...] = ()
    owner: str = ""
    """The name whose records are meant."""
    aliases: int = 0
    """CNAMEs on the way there."""
    ttl: float | None = None
    """Seconds: the lowest of the records and aliases; None where there are no records."""
    authority: tuple[str, ...] = ()
    """The records of the authority section, as in a zone file."""
    errors: tuple[str, ...] = ()
    """Extended DNS errors (RFC 8914): why, in the server's own words."""
    serial: int | None = None
    """Of a SOA record."""


class Question:
    """What is asked, the same at each look."""

    __slots__ = ("_asked", "_owner", "_plain", "_rest", "name", "rdtype")

    def __init__(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, recursion: bool, dnssec: bool, ad: bool
    ) -> None:
        """`dnssec`: with signatures (DO). `ad`: whether the server has validated is to be told."""
        self.name, self.rdtype = name, rdtype
        flags = (dns.flags.RD if recursion else 0) | (dns.flags.AD if ad else 0)
        message = dns.message.make_query(
            name, rdtype, use_edns=0, payload=PAYLOAD, want_dnssec=dnssec, id=0, flags=flags
        )
        wire = message.to_wire()
        self._owner = name.to_digestable()
        self._rest = wire[2:]
        self._plain = wire[2:10] + b"\0\0" + wire[12:-_OPT]
        self._asked = wire[HEADER : HEADER + len(self._owner) + 4]

    def ask(self, *, edns: bool = True) -> Asked:
        """The question under an id of its own."""
        return Asked(secrets.token_bytes(2), self._rest if edns else self._plain, self._asked)

    async def read(self, data: bytes, left: Callable[[], float]) -> Answer:
        """What an answer says that is no stranger's; `left`: seconds that there are for it. Raises `LookFailed`
        (answer, protocol, too_large, query_timeout)."""
        message = Message(data, HEADER + (len(self._asked) if data[4:6] != b"\0\0" else 0))
        if sum(message.counts) > MOST_RECORDS:
            raise LookFailed(
                Reason.TOO_LARGE, f"an answer of {sum(message.counts)} records; read are up to {MOST_RECORDS}"
            )
        try:
            return await self._understood(message, left)
        except (dns.exception.DNSException, ValueError, struct.error) as error:
            raise LookFailed(Reason.PROTOCOL, f"the answer cannot be read: {why(error)}") from None

    async def _understood(self, message: Message, left: Callable[[], float]) -> Answer:
        data = message.data
        raws: list[Raw] = []
        async for part in slices(message.records(), _AT_ONCE):
            _within(left)
            raws += part
        opt = next((raw for raw in raws if is_opt(raw)), None)
        code = extended_rcode(opt, data[3] & 0x0F) if opt is not None else data[3] & 0x0F
        errors = tuple(_error(*found) for found in extended_errors(data, opt)) if opt is not None else ()
        rcode = dns.rcode.to_text(dns.rcode.Rcode.make(code))
        flags = frozenset(dns.flags.to_text(int.from_bytes(data[2:4], "big")).split())
        answers = [raw for raw in raws if raw.section is Section.ANSWER and raw.rdclass == dns.rdataclass.IN]
        owner, aliases = self._followed(message, answers)
        meant = [raw for raw in answers if raw.rdtype == self.rdtype and raw.owner == owner]
        if meant and code == dns.rcode.NXDOMAIN:
            raise ValueError("it says NXDOMAIN, and has records")
        records: dict[str, Record] = {}
        serial = None
        async for part in slices(meant, _AT_ONCE):
            _within(left)
            for raw in part:
                text, serial = _read(data, raw)
                records.setdefault(key_of(raw.rdtype, text), Record(text, key_of(raw.rdtype, text)))
        authority: list[str] = []
        async for part in slices([raw for raw in raws if raw.section is Section.AUTHORITY], _AT_ONCE):
            _within(left)
            authority += (_line(data, raw) for raw in part)
        ttl = float(min(raw.ttl for raw in (*aliases, *meant))) if meant else None
        found = tuple(records.values())
        return Answer(rcode, flags, found, _name(owner), len(aliases), ttl, tuple(authority), errors, serial)

    def _followed(self, message: Message, answers: list[Raw]) -> tuple[bytes, list[Raw]]:
        """The name that the aliases lead to, and those that do."""
        owner, passed = self._owner, []
        if self.rdtype == dns.rdatatype.CNAME:
            return owner, []
        aliases = {raw.owner: raw for raw in answers if raw.rdtype == dns.rdatatype.CNAME}
        while (alias := aliases.get(owner)) is not None:
            passed.append(alias)
            if len(passed) > _LONGEST_CHAIN:
                raise LookFailed(Reason.ANSWER, "the aliases (CNAME) go in a circle, or on for too long")
            owner, _ = message.name(alias.start)
        return owner, passed


# --- records as people read them ----------------------------------------------------------------------------------


def _read(data: bytes, raw: Raw) -> tuple[str, int | None]:
    """The record as `dig +short` writes it, the strings of a TXT record as one; and the serial of a SOA record."""
    if raw.rdtype in _TEXTS:
        return b"".join(strings_of(data, raw)).decode("utf-8", "backslashreplace"), None
    rdtype = dns.rdatatype.RdataType.make(raw.rdtype)
    if raw.rdtype in _BITMAPS and raw.end - raw.start > _LONGEST_BITMAP:
        return dns.rdata.GenericRdata(dns.rdataclass.IN, rdtype, data[raw.start : raw.end]).to_text(), None
    record = dns.rdata.from_wire(dns.rdataclass.IN, rdtype, data, raw.start, raw.end - raw.start)
    return record.to_text(), record.serial if isinstance(record, SOA) else None


def key_of(rdtype: int, text: str) -> str:
    """The same for the same record."""
    return text.lower() if rdtype in _NAMES else text


def record_of(rdtype: dns.rdatatype.RdataType, text: str) -> Record:
    """A record as it is read, or as a zone file has it. Raises ValueError; what it says is about the text."""
    if rdtype in _TEXTS:
        return Record(text, text)
    try:
        found = dns.rdata.from_text(dns.rdataclass.IN, rdtype, text, dns.name.root, relativize=False).to_text()
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(why(error)) from None
    return Record(found, key_of(rdtype, found))


def _line(data: bytes, raw: Raw) -> str:
    kind = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(raw.rdtype))
    return f"{_name(raw.owner)}. {raw.ttl} IN {kind} {_read(data, raw)[0]}"


def _name(wire: bytes) -> str:
    return dns.name.from_wire(wire, 0)[0].to_text(omit_final_dot=True)


def _error(number: int, text: str) -> str:
    return f"EDE {number}: {text}" if text else f"EDE {number}"


def _within(left: Callable[[], float]) -> None:
    if left() <= 0.0:
        raise LookFailed(Reason.QUERY_TIMEOUT, "the answer could not be read in the time that was left")


def why(error: Exception) -> str:
    """In one line, as some of dnspython's texts have several."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
