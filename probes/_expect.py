"""What an HTTP answer must be: written in `Expect`, compiled once for each text, shared by all checks that say it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Annotated, Any

import re2

from probes._http1 import ResponseReader
from probes._jsonpath import JsonExpectation, parse
from probes._look import Look, visible
from probes.contract import TEXT_LIMIT, BadField, LookFailed, Reason, check_fields

JSON_BYTES = 256 * 1024
"""Parsing JSON holds the loop: 2 MB of it for 440 ms, this for some 10 ms at most."""

_STATUS = re.compile(r"([1-5])xx|([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?", re.IGNORECASE)
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20

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
    headers: Annotated[Mapping[str, str], "Regular expressions (RE2) by header name; each must be found."] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        check_fields(
            lambda: _statuses(self.status),
            lambda: pattern("body", self.body),
            lambda: pattern("body_absent", self.body_absent),
            lambda: _comparisons(self.json),
            *(partial(pattern, f"headers.{name}", text, as_text=True) for name, text in self.headers.items()),
        )


@dataclass(frozen=True, slots=True)
class Expectation:
    """A compiled `Expect`."""

    statuses: frozenset[int]
    body: Any
    body_absent: Any
    json: tuple[JsonExpectation, ...]
    headers: tuple[tuple[str, Any], ...]

    @property
    def needs_body(self) -> bool:
        return self.body is not None or self.body_absent is not None or bool(self.json)

    def check(self, answer: ResponseReader, look: Look) -> None:
        """Raises `LookFailed` for the first thing that is not as expected."""
        if answer.status not in self.statuses:
            raise _unexpected(answer, look)
        for name, pattern in self.headers:
            value = answer.header(name)
            if value is None:
                raise LookFailed(Reason.HEADER, f"header {name} was not sent")
            if not pattern.search(value):
                raise LookFailed(Reason.HEADER, f"header {name} is {look.show(value, 100)}")
        if self.needs_body:
            self._check_body(answer, look)

    def _check_body(self, answer: ResponseReader, look: Look) -> None:
        coding = answer.header("content-encoding")
        if coding is not None and coding.lower() != "identity":
            raise LookFailed(Reason.BODY, f"the body came as {look.show(coding, 40)}, which was not asked for")
        body = answer.body
        if self.json:
            self._check_json(body, look)
        if self.body is None and self.body_absent is None:
            return
        text = _utf8(body, answer.header("content-type"))
        if self.body is not None and not self.body.search(text):
            raise LookFailed(Reason.BODY, f"{shown(self.body, look)} was not found in the body")
        if self.body_absent is not None and self.body_absent.search(text):
            raise LookFailed(Reason.BODY, f"{shown(self.body_absent, look)} was found in the body")

    def _check_json(self, body: bytes, look: Look) -> None:
        if len(body) > JSON_BYTES:
            raise LookFailed(
                Reason.BODY, f"the body is larger than {JSON_BYTES // 1024} KiB, too large to read as JSON"
            )
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise LookFailed(Reason.BODY, f"the body is not JSON: {look.show(str(error), 100)}") from error
        for expectation in self.json:
            complaint = expectation.complaint(document, look.show)
            if complaint is not None:
                raise LookFailed(Reason.BODY, complaint)


def _unexpected(answer: ResponseReader, look: Look) -> LookFailed:
    """A 429 or a bot challenge is no answer about the site, unless it is expected."""
    challenge = answer.header("cf-mitigated") or answer.header("x-amzn-waf-action")
    if answer.status == 429 or challenge:
        said = f", {look.show(challenge, 40)}" if challenge else ""
        return LookFailed(Reason.BLOCKED, f"status {answer.status}{said}")
    return LookFailed(Reason.STATUS, f"status {answer.status}")


def compiled(expect: Expect) -> Expectation:
    """What `expect` says, compiled; checks that say the same share it."""
    headers = tuple((name.lower(), pattern) for name, pattern in expect.headers.items())
    return _compiled(expect.status, expect.body, expect.body_absent, expect.json, headers)


def kept_of(expectation: Expectation, max_bytes: int) -> int:
    """Bytes of a body to keep: what the expectations read, and at least enough for an excerpt, from which secrets are
    taken before it is cut."""
    keep = TEXT_LIMIT
    if expectation.body is not None or expectation.body_absent is not None:
        keep = max_bytes
    elif expectation.json:
        keep = min(max_bytes, JSON_BYTES + 1)
    return max(keep, TEXT_LIMIT)


@lru_cache(maxsize=4096)
def _compiled(
    status: tuple[str, ...],
    body: str | None,
    body_absent: str | None,
    comparisons: tuple[str, ...],
    headers: tuple[tuple[str, str], ...],
) -> Expectation:
    return Expectation(
        _statuses(status),
        pattern("body", body),
        pattern("body_absent", body_absent),
        _comparisons(comparisons),
        tuple((name, pattern(f"headers.{name}", text, as_text=True)) for name, text in headers),
    )


@lru_cache(maxsize=1024)
def _comparisons(written: tuple[str, ...]) -> tuple[JsonExpectation, ...]:
    try:
        return tuple(parse(text) for text in written)
    except ValueError as error:
        raise BadField("json", str(error)) from error


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


@lru_cache(maxsize=4096)
def pattern(field_name: str, text: str | None, *, as_text: bool = False) -> Any:
    """The compiled RE2 pattern, over bytes unless `as_text`; None for None. Raises `BadField` for `field_name`."""
    if text is None:
        return None
    try:
        return re2.compile(text if as_text else text.encode(), _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else "not understood"
        shown = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        shown = shown.partition(":")[0]  # what follows is a part of the pattern, which may be half a secret
        raise BadField(field_name, f"{text!r} is not a regular expression (RE2): {shown}") from error


def shown(pattern: Any, look: Look) -> str:
    """A pattern as the user wrote it. It may hold a variable: cleaned before quoting, which may change the text."""
    written = pattern.pattern
    return visible(repr(look.clean(written.decode() if isinstance(written, bytes) else written)), 120)


def _utf8(body: bytes, content_type: str | None) -> bytes:
    charset = _CHARSET.search(content_type) if content_type else None
    if charset is None or charset[1].lower() not in _CHARSETS:
        return body
    return body.decode(charset[1], "replace").encode()
