"""Values that one step of a journey takes out of its answer, and where later steps put them: ``%{name}``."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from probes._expect import JSON_BYTES, pattern
from probes._http1 import ResponseReader
from probes._jsonpath import MISSING, find, parse_path
from probes.contract import BadField, LookFailed, Reason

VALUE_LIMIT = 4096
"""Characters of a captured value."""

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

    def take(self, name: str, answer: ResponseReader) -> str:
        """The value in this answer. Raises `LookFailed` (body, header) when it is not there."""
        found = self._find(answer)
        if found is None:
            where = f"header {self.header}" if self.header is not None else "the body"
            reason = Reason.HEADER if self.header is not None else Reason.BODY
            raise LookFailed(reason, f"there is nothing to capture as {name} in {where}")
        if len(found) > VALUE_LIMIT:
            raise LookFailed(Reason.TOO_LARGE, f"what would be captured as {name} is longer than {VALUE_LIMIT}")
        return found

    def _find(self, answer: ResponseReader) -> str | None:
        if self.header is not None:
            return answer.header(self.header.lower())
        if self.json is not None:
            return _in_json(answer.body, parse_path(self.json))
        match = pattern("body", self.body).search(answer.body)
        if match is None:
            return None
        groups = match.groups()
        taken = (groups[0] if groups else match.group()) or b""
        text: str = taken.decode("utf-8", "replace")
        return html.unescape(text) if "html" in (answer.header("content-type") or "") else text


def _in_json(body: bytes, path: tuple[str | int, ...]) -> str | None:
    if len(body) > JSON_BYTES:
        raise LookFailed(Reason.BODY, f"the body is larger than {JSON_BYTES // 1024} KiB, too large to read as JSON")
    try:
        found: Any = find(json.loads(body), path)
    except (ValueError, RecursionError) as error:
        raise LookFailed(Reason.BODY, "the body is not JSON") from error
    if found is MISSING or found is None or isinstance(found, dict | list):
        return None
    return found if isinstance(found, str) else json.dumps(found)


def placeholders(text: str) -> list[str]:
    """The names that a text wants filled in."""
    return PLACEHOLDER.findall(text)


def filled(text: str, values: Mapping[str, str], quote: Callable[[str], str] = str) -> str:
    """`text` with each placeholder replaced by its value, quoted for the place where it goes."""
    return PLACEHOLDER.sub(lambda found: quote(values[found[1]]), text)
