"""Bodies by a template of the user's (Jinja2): sandboxed, of bounded size, and without what makes much of little.

Whoever writes checks.yaml is trusted; what a target has written into an event is not. It is a value here, and never
read as a template; `tojson` makes a JSON text of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from monitor.sinks._told import Told
from probes.contract import BadField

if TYPE_CHECKING:
    import jinja2

SOURCE_LIMIT: Final = 20_000
"""Characters."""
BODY_LIMIT: Final = 256 * 1024
"""Bytes."""
_FILTERS: Final = frozenset(
    """abs capitalize count d default dictsort e escape first float int items join last length list lower map max min
    reject rejectattr replace reverse round select selectattr sort string striptags sum title tojson trim truncate
    unique upper urlencode wordcount""".split()  # noqa: SIM905  (a list of them is a page)
)
_WIDE: Final = frozenset({"format", "format_map", "center", "ljust", "rjust", "zfill", "expandtabs"})
"""Methods of texts that make as long a text as one writes."""


class Unusable(Exception):
    """What came of it cannot be sent."""


def check(text: str, *, as_json: bool) -> None:
    """Raises `BadField`, with the line, for a template that cannot be read, or that makes no JSON of an event."""
    import jinja2

    if len(text) > SOURCE_LIMIT:
        raise BadField("template", f"must have at most {SOURCE_LIMIT} characters")
    try:
        made = _rendered(text, _SAMPLE)
    except jinja2.TemplateSyntaxError as error:
        raise BadField("template", f"line {error.lineno}: {error.message}") from None
    except Unusable as error:
        raise BadField("template", str(error)) from None
    if as_json and not _is_json(made):
        raise BadField("template", "makes no JSON of an event: write {{ event.sentence | tojson }}, without quotes")


def render(text: str, told: Told, *, as_json: bool) -> bytes:
    """The body. Raises `Unusable`."""
    names = {"event": told.body, "class": told.cls.value, "key": told.key, "title": told.title}
    made = _rendered(text, names)
    if as_json and not _is_json(made):
        raise Unusable("the template makes no JSON of this event")
    return made.encode()


_MOMENT: Final = "2026-03-02T14:02:15.000Z"
_SAMPLE: Final[Mapping[str, Any]] = {
    "event": {
        "id": "evt_a",
        "version": "1",
        "type": "incident.opened",
        "at": _MOMENT,
        "since": _MOMENT,
        "sentence": 'a "quoted"\nsentence',
        "vantage": "here",
        "state": {"old": "operational", "new": "outage"},
        "reason": "refused",
        "why": "nothing listens",
        "evidence": {},
        "links": {},
        "incident": {"id": "inc_a", "impact": "outage", "root": "home", "checks": ["home"], "services": ["shop"]},
        "service": {"id": "shop", "title": "Web shop"},
        "check": {"id": "home", "name": "home"},
    },
    "class": "outage",
    "key": "brownout:inc_a",
    "title": "Web shop",
}


def _rendered(text: str, names: Mapping[str, Any]) -> str:
    import jinja2

    pieces, size = [], 0
    try:
        for piece in _compiled(text).generate(**names):
            size += len(piece.encode())
            if size > BODY_LIMIT:
                raise Unusable(f"the template makes more than {BODY_LIMIT // 1024} KiB")
            pieces.append(piece)
    except jinja2.TemplateSyntaxError:
        raise
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        told = error.message if isinstance(error, jinja2.TemplateError) else None
        raise Unusable(f"the template fails: {told or type(error).__name__}") from None
    return "".join(pieces)


@lru_cache(maxsize=32)
def _compiled(text: str) -> jinja2.Template:
    return _environment().from_string(text)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    from jinja2 import ChainableUndefined
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"*", "**", "%"})

        def wrap_str_format(self, value: Any) -> None:
            """No text formats others: what else would be let through goes on to be refused."""

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            return attr not in _WIDE and super().is_safe_attribute(obj, attr, value)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "**" or not all(isinstance(item, int | float) for item in (left, right)):
                raise SecurityError(f"{operator} is for figures only, and ** is for none")
            return super().call_binop(context, operator, left, right)

    # What an event does not have is empty, however deep: a page is worth more than a proper template.
    made = Sandbox(undefined=ChainableUndefined, autoescape=False, keep_trailing_newline=False)
    made.filters = {name: made.filters[name] for name in made.filters if name in _FILTERS}
    made.globals.clear()
    return made


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
