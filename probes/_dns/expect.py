"""What a DNS answer must be: written in `Expect`, compiled for the type of record that is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import dns.exception
import dns.rcode
import dns.rdatatype

from probes._dns.question import Answer, Record, record_of
from probes._look import Look
from probes._patterns import pattern, shown
from probes.contract import BadField, LookFailed, Reason, check_fields

_COUNT = re.compile(r"(\d{1,4})(?:\s*(-)\s*(\d{1,4})?)?")
_EXAMPLES = {"A": "203.0.113.7", "AAAA": "2001:db8::7", "MX": "10 mail.example.com", "SRV": "0 5 443 a.example.com"}


@dataclass(frozen=True, slots=True)
class Expect:
    """What the answer must be; everything that is written must hold."""

    rcode: Annotated[tuple[str, ...], "Codes that are fine, such as `NXDOMAIN` for a name that must not exist."] = (
        "NOERROR",
    )
    answers: Annotated[
        tuple[str, ...], "Records that must all be there, as in a zone file: `203.0.113.7`, `10 mail.example.com`."
    ] = ()
    exact: Annotated[bool, "Whether there may be no other records than those in `answers`."] = False
    matching: Annotated[tuple[str, ...], "Regular expressions (RE2); each must be found in one of the records."] = ()
    absent: Annotated[tuple[str, ...], "Regular expressions (RE2) that must not be found in any of the records."] = ()
    count: Annotated[
        str | None, "How many records there must be: `2`, `2-4`, `2-` for at least two; none: at least one."
    ] = None
    authority: Annotated[
        tuple[str, ...], "Regular expressions (RE2); each must be found in a record of the authority section."
    ] = ()
    authoritative: Annotated[bool | None, "Whether the answer must be the zone's own (AA), or must not be."] = None
    authenticated: Annotated[
        bool | None, "Whether the server must say that it has validated it by DNSSEC (AD), or must not."
    ] = None

    def __post_init__(self) -> None:
        check_fields(
            lambda: _rcodes(self.rcode),
            lambda: _range(self.count),
            self._check_exact,
            *(partial(pattern, "matching", text, as_text=True) for text in self.matching),
            *(partial(pattern, "absent", text, as_text=True) for text in self.absent),
            *(partial(pattern, "authority", text, as_text=True) for text in self.authority),
        )

    def _check_exact(self) -> None:
        if self.exact and not self.answers:
            raise BadField("exact", "needs answers: name the records that may be there")


class Expectation:
    """A compiled `Expect`."""

    __slots__ = ("_absent", "_answers", "_authority", "_expect", "_matching", "_range", "_rcodes", "_type")

    def __init__(self, expect: Expect, rdtype: dns.rdatatype.RdataType) -> None:
        """Raises `BadField` for ``expect.answers``."""
        self._expect = expect
        self._type = dns.rdatatype.to_text(rdtype)
        self._rcodes = _rcodes(expect.rcode)
        self._answers = tuple(self._record(rdtype, text) for text in expect.answers)
        self._range = _range(expect.count)
        self._matching = _patterns(expect.matching)
        self._absent = _patterns(expect.absent)
        self._authority = _patterns(expect.authority)

    def _record(self, rdtype: dns.rdatatype.RdataType, text: str) -> Record:
        try:
            return record_of(rdtype, text)
        except ValueError as error:
            example = _EXAMPLES.get(self._type)
            such = f", such as {example}" if example else ""
            raise BadField("expect.answers", f"{text!r} is no {self._type} record{such}: {error}") from None

    def check(self, answer: Answer, look: Look) -> None:
        """Raises `LookFailed` (dns_nxdomain, rcode, answer) for the first thing that is not as expected."""
        self._check_code(answer, look)
        self._check_flag("AA", answer, wanted=self._expect.authoritative, meant="the zone's own")
        self._check_flag("AD", answer, wanted=self._expect.authenticated, meant="validated by DNSSEC")
        self._check_count(answer, look)
        self._check_records(answer, look)
        for wanted in self._authority:
            if not any(wanted.search(text) for text in answer.authority):
                raise _unlike(f"{shown(wanted, look)} was not found in the authority section")

    def _check_code(self, answer: Answer, look: Look) -> None:
        if answer.rcode in self._rcodes:
            return
        why = f": {look.show(answer.errors[0], 120)}" if answer.errors else ""
        if answer.rcode == "NXDOMAIN":
            raise LookFailed(Reason.DNS_NXDOMAIN, f"{look.show(answer.owner, 120)} does not exist{why}")
        raise LookFailed(Reason.RCODE, f"the answer is {answer.rcode}, not {' or '.join(self._expect.rcode)}{why}")

    @staticmethod
    def _check_flag(flag: str, answer: Answer, *, wanted: bool | None, meant: str) -> None:
        if wanted is not None and (flag in answer.flags) is not wanted:
            raise _unlike(f"the answer is {'not ' if wanted else ''}{meant} ({flag})")

    def _check_count(self, answer: Answer, look: Look) -> None:
        """Unless said otherwise an answer has records; one that says that there is no such name has none."""
        low, high = self._range or ((1, None) if answer.rcode == "NOERROR" else (0, None))
        found = len(answer.records)
        if found < low or (high is not None and found > high):
            of = f"{look.show(answer.owner, 120) or 'the name'} has {found or 'no'} {self._type} {_records(found)}"
            wanted = f", not {self._expect.count}" if self._expect.count else ""
            raise _unlike(f"{of}{wanted}")

    def _check_records(self, answer: Answer, look: Look) -> None:
        found = {record.key for record in answer.records}
        for record in self._answers:
            if record.key not in found:
                raise _unlike(f"{look.show(record.text, 120)} is not among the records")
        if self._expect.exact:
            known = {record.key for record in self._answers}
            for record in answer.records:
                if record.key not in known:
                    raise _unlike(f"{look.show(record.text, 120)} is among the records, and was not expected")
        for wanted in self._matching:
            if not any(wanted.search(record.text) for record in answer.records):
                raise _unlike(f"{shown(wanted, look)} was not found in any record")
        for unwanted in self._absent:
            for record in answer.records:
                if unwanted.search(record.text):
                    raise _unlike(f"{shown(unwanted, look)} was found in {look.show(record.text, 120)}")


def _unlike(detail: str) -> LookFailed:
    return LookFailed(Reason.ANSWER, detail)


def _records(count: int) -> str:
    return "record" if count < 2 else "records"


def _patterns(texts: Iterable[str]) -> tuple[Any, ...]:
    return tuple(pattern("", text, as_text=True) for text in texts)


def _rcodes(written: tuple[str, ...]) -> frozenset[str]:
    if not written:
        raise BadField("rcode", "no code is named: write NOERROR, NXDOMAIN ...")
    found = set()
    for text in written:
        try:
            found.add(dns.rcode.to_text(dns.rcode.from_text(text.strip())))
        except (dns.exception.DNSException, ValueError):
            wrong = f"{text!r} is no code of an answer: write NOERROR, NXDOMAIN, SERVFAIL, REFUSED ..."
            raise BadField("rcode", wrong) from None
    return frozenset(found)


def _range(written: str | None) -> tuple[int, int | None] | None:
    if written is None:
        return None
    match = _COUNT.fullmatch(written.strip())
    if match is None:
        raise BadField("count", f"{written!r} is no number of records: write 2, 2-4, or 2- for at least two")
    low = int(match[1])
    high = int(match[3]) if match[3] else None if match[2] else low
    if high is not None and high < low:
        raise BadField("count", f"{written!r} is the wrong way round")
    return low, high
