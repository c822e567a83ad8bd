"""What a name server says of a zone of the test's own: a script for `tests.servers.name_server`."""

from __future__ import annotations

from collections.abc import Iterable

import dns.message
import dns.rdatatype

from tests.servers.name_server import Script, Step, framed, reply

SOA = "example.com. {ttl} SOA ns1.example.com. hostmaster.example.com. 1 7200 3600 1209600 {ttl}"


def zone(*records: str, negative: int | None = None, cut: bool = False, on_connection: bool = False) -> Script:
    """Records as `name ttl type text`, names whole, aliases followed. What is not there is said with a SOA record
    that has it kept for `negative` seconds; None: without. `cut`: by UDP only that there is more than fits."""
    kept = [tuple(record.split(" ", 3)) for record in records]
    authority = [SOA.format(ttl=negative)] if negative is not None else []

    def script(question: bytes) -> Iterable[Step]:
        asked = dns.message.from_wire(question).question[0]
        name, kind = asked.name.to_text().lower(), dns.rdatatype.to_text(asked.rdtype)
        if cut:
            return [reply(question, flags="QR TC RD RA")]
        found: list[str] = []
        here = [record for record in kept if record[0] == name]
        while alias := next((record for record in here if record[2] == "CNAME"), None):
            found.append(" ".join(alias))
            here = [record for record in kept if record[0] == alias[3]]
        meant = [" ".join(record) for record in here if record[2] == kind]
        exists = bool(here) or bool(found)
        said = [] if meant else authority
        rcode = "NOERROR" if exists else "NXDOMAIN"
        message = reply(question, *found, *meant, rcode=rcode, authority=said)
        return [framed(message) if on_connection else message]

    return script


def kind_of(question: bytes) -> str:
    """``A``, ``AAAA`` ..."""
    return dns.rdatatype.to_text(dns.message.from_wire(question).question[0].rdtype)


def name_of(question: bytes) -> str:
    return dns.message.from_wire(question).question[0].name.to_text()
