"""What an HTTP answer must be: written in `Expect`, compiled once for each text, shared by all checks that say it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Annotated, Any

from probes._http.body_size import SizeExpectation, parse_size
from probes._http.http1 import ResponseReader
from probes._http.jsonpath import JsonExpectation, parse
from probes._http.jsonread import values_at
from probes._look import Look
from probes._patterns import pattern, searched, shown
from probes.contract import TEXT_LIMIT, BadField, LookFailed, Reason, check_fields

_PART = 16 * 1024
"""Bytes of a body that are recoded at a time: four milliseconds where each of them is none of its charset."""

_VERSIONS = ("1.0", "1.1")
_STATUS = re.compile(r"([1-9])xx|([1-9]\d\d)(?:\s*-\s*([1-9]\d\d))?", re.IGNORECASE)

# Only codecs that are cheap and known: a hostile server names the charset, and Python has codecs that unpack.
_CHARSETS = frozenset({"iso-8859-1", "latin-1", "latin1", "iso-8859-15", "windows-1252", "windows-1251", "shift_jis"})
_CHARSET = re.compile(r"charset=\"?([\w-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Expect:
    """What the answer must be; everything that is written must hold."""

    status: Annotated[
        tuple[str, ...],
        "Statuses that are fine: `200`, `200-299` or `2xx`; one that is named here is never followed.",
    ] = ("200-299",)
    body: Annotated[str | None, "A regular expression (RE2) that must be found in the body."] = None
    body_absent: Annotated[str | None, "A regular expression (RE2) that must not be found in the body."] = None
    json: Annotated[
        tuple[str, ...], "Comparisons in a JSON body: `$.queue < 100`, `$.status = pass`, `$.items[0].name != x`."
    ] = ()
    size: Annotated[tuple[str, ...], "Comparisons of the body's size, unpacked: `> 1kB`, `<= 2MiB`."] = ()
    version: Annotated[str | None, "The version of HTTP that must answer: `1.1` or `1.0`."] = None
    headers: Annotated[Mapping[str, str], "Regular expressions (RE2) by header name; each must be found."] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        check_fields(
            lambda: _statuses(self.status),
            lambda: pattern("body", self.body),
            lambda: pattern("body_absent", self.body_absent),
            lambda: _comparisons(self.json),
            lambda: _sizes(self.size),
            lambda: _check_version(self.version),
            *(partial(pattern, f"headers.{name}", text, as_text=True) for name, text in self.headers.items()),
        )


@dataclass(frozen=True, slots=True)
class Expectation:
    """A compiled `Expect`."""

    statuses: frozenset[int]
    body: Any
    body_absent: Any
    json: tuple[JsonExpectation, ...]
    sizes: tuple[SizeExpectation, ...]
    version: str | None
    headers: tuple[tuple[str, Any], ...]
    needs_body: bool = field(init=False)

    def __post_init__(self) -> None:
        needs_body = self.body is not None or self.body_absent is not None or bool(self.json)
        object.__setattr__(self, "needs_body", needs_body)

    async def check(self, answer: ResponseReader, look: Look) -> None:
        """Raises `LookFailed` for the first thing that is not as expected."""
        if answer.status not in self.statuses:
            raise _unexpected(answer, look)
        if self.version is not None and answer.version != self.version:
            raise LookFailed(Reason.VERSION, f"it answers in HTTP/{answer.version}, not in HTTP/{self.version}")
        for name, wanted in self.headers:
            value = answer.header(name)
            if value is None:
                raise LookFailed(Reason.HEADER, f"header {name} was not sent")
            if not wanted.search(value):
                told = f"{shown(wanted, look)} was not found in header {name}: it is {look.show(value, 100)}"
                raise LookFailed(Reason.HEADER, told)
        for size in self.sizes:
            complaint = size.complaint(answer.body_size)
            if complaint is not None:
                raise LookFailed(Reason.BODY, complaint)
        if self.needs_body:
            await self._check_body(answer, look)

    async def _check_body(self, answer: ResponseReader, look: Look) -> None:
        if self.json:
            values = await values_at(look, answer.kept, [expectation.path for expectation in self.json])
            for expectation, found in zip(self.json, values, strict=True):
                complaint = expectation.complaint(found, look.show)
                if complaint is not None:
                    raise LookFailed(Reason.BODY, complaint)
        if self.body is None and self.body_absent is None:
            return
        text = await as_utf8(answer, look)
        if self.body is not None and await searched(look, self.body, text) is None:
            raise LookFailed(Reason.BODY, f"{shown(self.body, look)} was not found in the body")
        if self.body_absent is not None and await searched(look, self.body_absent, text) is not None:
            raise LookFailed(Reason.BODY, f"{shown(self.body_absent, look)} was found in the body")


def _unexpected(answer: ResponseReader, look: Look) -> LookFailed:
    """A 429 or a bot challenge is no answer about the site, unless it is expected."""
    challenge = answer.header("cf-mitigated") or answer.header("x-amzn-waf-action")
    if answer.status == 429 or challenge:
        said = f", {look.show(challenge, 40)}" if challenge else ""
        return LookFailed(Reason.BLOCKED, f"status {answer.status}{said}")
    return LookFailed(Reason.STATUS, f"status {answer.status}")


_SHARED_LIMIT = 4096
_shared: dict[tuple[object, ...], Expect] = {}


def compiled(expect: Expect) -> Expectation:
    """What `expect` says, compiled; checks that say the same share it."""
    headers = tuple((name.lower(), pattern) for name, pattern in expect.headers.items())
    return _compiled(
        expect.status, expect.body, expect.body_absent, expect.json, expect.size, expect.version, headers
    )


def shared(expect: Expect) -> Expect:
    """The first one that was written like this, in the same order: of thousands of checks most expect the same."""
    if len(_shared) >= _SHARED_LIMIT:
        _shared.clear()
    plain = (expect.status, expect.body, expect.body_absent, expect.json, expect.size, expect.version)
    return _shared.setdefault((*plain, *expect.headers.items()), expect)


def kept_of(expectation: Expectation, max_bytes: int) -> int:
    """Bytes of a body to keep: what the expectations read, and at least enough for an excerpt, from which secrets are
    taken before it is cut."""
    return max(max_bytes, TEXT_LIMIT) if expectation.needs_body else TEXT_LIMIT


@lru_cache(maxsize=4096)
def _compiled(
    status: tuple[str, ...],
    body: str | None,
    body_absent: str | None,
    comparisons: tuple[str, ...],
    sizes: tuple[str, ...],
    version: str | None,
    headers: tuple[tuple[str, str], ...],
) -> Expectation:
    return Expectation(
        _statuses(status),
        pattern("body", body),
        pattern("body_absent", body_absent),
        _comparisons(comparisons),
        _sizes(sizes),
        version,
        tuple((name, pattern(f"headers.{name}", text, as_text=True)) for name, text in headers),
    )


@lru_cache(maxsize=1024)
def _comparisons(written: tuple[str, ...]) -> tuple[JsonExpectation, ...]:
    try:
        return tuple(parse(text) for text in written)
    except ValueError as error:
        raise BadField("json", str(error)) from error


@lru_cache(maxsize=1024)
def _sizes(written: tuple[str, ...]) -> tuple[SizeExpectation, ...]:
    try:
        return tuple(parse_size(text) for text in written)
    except ValueError as error:
        raise BadField("size", str(error)) from error


def _check_version(version: str | None) -> None:
    if version is not None and version not in _VERSIONS:
        raise BadField("version", f"{version!r} is not a version that is spoken here: write 1.1 or 1.0")


@lru_cache(maxsize=1024)
def _statuses(written: tuple[str, ...]) -> frozenset[int]:
    found: set[int] = set()
    for entry, text in ((whole, part.strip()) for whole in written for part in whole.split(",")):
        match = _STATUS.fullmatch(text)
        if match is None:
            # The whole entry: a part of what a variable held would not be recognised as a secret.
            raise BadField("status", f"{entry!r} is not a status: write 200, 200-299 or 2xx")
        group, first, last = match.groups()
        low = int(group) * 100 if group else int(first)
        high = low + 99 if group else int(last or first)
        if high < low:
            raise BadField("status", f"{text!r} is the wrong way round")
        found.update(range(low, high + 1))
    if not found:
        raise BadField("status", "no status is named: write 200, 200-299 or 2xx")
    return frozenset(found)


async def as_utf8(answer: ResponseReader, look: Look) -> bytearray:
    """What is kept of a body, as UTF-8; of another charset it is made so in place, in parts, so that it is never held
    twice, and others have their turn between. Raises `LookFailed`: too_large when it would take more than a body may,
    late when the time limit strikes meanwhile."""
    charset = _CHARSET.search(answer.header("content-type") or "")
    if charset is None or answer.recoded or charset[1].lower() not in _CHARSETS:
        return answer.kept
    look.begin(Reason.LATE)
    decoder = codecs.getincrementaldecoder(charset[1])("replace")
    body, text = answer.take_body(), bytearray()
    try:
        while body and len(text) <= answer.max_bytes:
            part = bytes(body[:_PART])
            del body[:_PART]
            text += decoder.decode(part, final=not body).encode()
            if body:
                await look.turn()
    finally:
        answer.put_recoded(text)
    if len(text) > answer.max_bytes:
        limit = answer.max_bytes
        raise LookFailed(Reason.TOO_LARGE, f"the body is more than {limit} bytes as UTF-8; it came as {charset[1]}")
    return text
