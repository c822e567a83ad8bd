"""Values that one step of a journey takes out of its answer, and where later steps put them: ``%{name}``."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from probes._http.expect import as_utf8
from probes._http.http1 import ResponseReader
from probes._http.jsonpath import parse_path
from probes._http.jsonread import values_at
from probes._http.jsonscan import MISSING, Extract
from probes._look import Look
from probes._patterns import pattern, searched
from probes.contract import BadField, LookFailed, Reason

VALUE_LIMIT = 4096
"""Characters of a captured value."""

_LONGEST_MATCH = 64 * VALUE_LIMIT
"""Bytes of what is found that are read: what is longer is too long for a value, however many characters of HTML
(`&CounterClockwiseContourIntegral;`) make one."""

NAME = re.compile(r"[a-z_][a-z0-9_]*")
PLACEHOLDER = re.compile(r"%\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Capture:
    """What to take from an answer; write one of these."""

    body: Annotated[str | None, "A regular expression (RE2); its first group, else the whole match, is taken."] = None
    json: Annotated[str | None, "A path in a JSON body, such as `$.order.id`."] = None
    header: Annotated[str | None, "The name of a header, whose value is taken."] = None

    def __post_init__(self) -> None:
        written = [name for name in ("body", "json", "header") if getattr(self, name) is not None]
        if len(written) != 1:
            raise BadField(written[1] if written else "body", "write one of body, json and header")
        pattern("body", self.body)
        if self.json is not None:
            try:
                parse_path(self.json)
            except ValueError as error:
                raise BadField("json", str(error)) from None

    @property
    def reads_body(self) -> bool:
        return self.header is None

    async def take(self, name: str, answer: ResponseReader, look: Look) -> str:
        """The value in this answer. Raises `LookFailed` (body, header) when it is not there."""
        found = await self._find(answer, look)
        if found is None:
            where = f"header {self.header}" if self.header is not None else "the body"
            reason = Reason.HEADER if self.header is not None else Reason.BODY
            raise LookFailed(reason, f"there is nothing to capture as {name} in {where}")
        try:
            found.encode()
        except UnicodeEncodeError:
            raise LookFailed(Reason.BODY, f"what would be captured as {name} has half a character in it") from None
        if len(found) > VALUE_LIMIT:
            raise LookFailed(Reason.TOO_LARGE, f"what would be captured as {name} is longer than {VALUE_LIMIT}")
        return found

    async def _find(self, answer: ResponseReader, look: Look) -> str | None:
        if self.header is not None:
            return answer.header(self.header.lower())
        if self.json is not None:
            (found,) = await values_at(look, answer.kept, [parse_path(self.json)])
            if found is MISSING or found is None or isinstance(found, dict | list | Extract):
                return None
            return found if isinstance(found, str) else json.dumps(found)
        match = await searched(look, pattern("body", self.body), await as_utf8(answer, look))
        if match is None:
            return None
        groups = match.groups()
        taken = (groups[0] if groups else match.group()) or b""
        text: str = taken[:_LONGEST_MATCH].decode("utf-8", "replace")
        return html.unescape(text) if "html" in (answer.header("content-type") or "") else text


def placeholders(text: str) -> list[str]:
    """The names that a text wants filled in."""
    return PLACEHOLDER.findall(text)


def filled(text: str, values: Mapping[str, str], quote: Callable[[str], str] = str) -> str:
    """`text` with each placeholder replaced by its value, quoted for the place where it goes."""
    return PLACEHOLDER.sub(lambda found: quote(values[found[1]]), text)
