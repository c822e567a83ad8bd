"""Names and types of records as people write them."""

from __future__ import annotations

import ipaddress
import re

import dns.exception
import dns.name
import dns.rdatatype
import dns.reversename

from probes._dns.question import why
from probes.contract import BadField

_NO_NAME = re.compile(r"[\s:@?#]|//")


def name_of(text: str) -> dns.name.Name:
    """The name that is meant, absolute, in its ASCII form (IDNA 2008). Raises `BadField` for `query`."""
    if not text:
        raise BadField("query", "write the name to ask for, such as shop.example.com; the root is a dot")
    _refuse_address(text)
    if _NO_NAME.search(text):
        raise BadField("query", f"{text!r} is no name: write one such as shop.example.com, without scheme or port")
    try:
        return dns.name.from_text(text, idna_codec=dns.name.IDNA_2008_Practical)
    except dns.name.EmptyLabel:
        raise BadField("query", f"{text!r} has two dots in a row, or begins with one") from None
    except dns.name.LabelTooLong:
        raise BadField("query", "a part between two dots is longer than 63 bytes") from None
    except dns.name.NameTooLong:
        raise BadField("query", "the name is longer than 255 bytes") from None
    except (dns.exception.DNSException, UnicodeError) as error:
        raise BadField("query", f"{text!r} cannot be a name: {why(error)}") from None


def _refuse_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return
    name = dns.reversename.from_address(text).to_text(omit_final_dot=True)
    raise BadField("query", f"is an address; its name is asked for with type: PTR and query: {name}")


def type_of(text: str) -> dns.rdatatype.RdataType:
    """Raises `BadField` for `type`."""
    try:
        found = dns.rdatatype.from_text(text.strip())
    except (dns.exception.DNSException, ValueError):
        raise BadField("type", f"{text!r} is no type of record: write A, AAAA, MX, TXT ..., or TYPE65") from None
    if found == dns.rdatatype.NONE or dns.rdatatype.is_metatype(found):
        raise BadField("type", f"{text!r} stands for no records of its own: name one type, such as A or SOA")
    return found
