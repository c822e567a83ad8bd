"""Bodies by a template of the user's (Jinja2): sandboxed, of bounded size, and without what makes much of little.

Whoever writes checks.yaml is trusted; what a target has written into an event is not. It is a value here, and never
read as a template; `tojson` makes a JSON text of it.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import lru_cache, wraps
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
_WIDE: Final = frozenset(
    ("format", "format_map", "center", "ljust", "rjust", "zfill", "expandtabs", "join", "replace", "translate")
)
"""Methods of texts that make as long a text as one writes; of some there are filters, which are bounded."""
SECONDS: Final = 0.25
"""Of CPU time for one body: it is made on the loop."""


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
        template = _compiled(text)
        _spent.until = time.thread_time() + SECONDS
        for piece in template.generate(**names):
            size += len(piece.encode())
            if size > BODY_LIMIT:
                raise Unusable(f"the template makes more than {BODY_LIMIT // 1024} KiB")
            pieces.append(piece)
    except jinja2.TemplateSyntaxError:
        raise
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        told = error.message if isinstance(error, jinja2.TemplateError) else None
        raise Unusable(f"the template fails: {told or type(error).__name__}") from None
    finally:
        _spent.until = math.inf
    return "".join(pieces)


@lru_cache(maxsize=32)
def _compiled(text: str) -> jinja2.Template:
    return _environment().from_string(text)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    from jinja2 import ChainableUndefined, pass_environment
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"*", "**", "%", "+"})

        def _parse(self, source: str, name: str | None, filename: str | None) -> jinja2.nodes.Template:
            return _watched(super()._parse(source, name, filename))

        def wrap_str_format(self, value: Any) -> None:
            """No text formats others: what else would be let through goes on to be refused."""

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            return attr not in _WIDE and super().is_safe_attribute(obj, attr, value)

        def call(self, *given: Any, **named: Any) -> Any:
            _bounded(None)
            return _bounded(super().call(*given, **named))

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "**" or (
                operator != "+" and not all(isinstance(item, int | float) for item in (left, right))
            ):
                raise _security_error(f"{operator} is for figures only, and ** is for none")
            return _bounded(super().call_binop(context, operator, left, right))

    # What an event does not have is empty, however deep: a page is worth more than a proper template.
    made = Sandbox(undefined=ChainableUndefined, autoescape=False, keep_trailing_newline=False)
    made.filters = {name: _bounding(made.filters[name]) for name in made.filters if name in _FILTERS}
    made.filters |= {_EACH: _each, _JOINED: _joined, "replace": _replaced, "join": pass_environment(_join)}
    made.globals.clear()
    return made


_EACH, _JOINED = "each of them", "joined"
"""Names of filters that nobody can write."""


def _watched(tree: jinja2.nodes.Template) -> jinja2.nodes.Template:
    """With all that repeats, and all that makes a longer text, under the eyes of `_bounded`."""
    from jinja2 import TemplateSyntaxError, nodes
    from jinja2.visitor import NodeTransformer

    class Watcher(NodeTransformer):
        def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
            if node.recursive:
                raise TemplateSyntaxError("a loop cannot be recursive here", node.lineno)
            self.generic_visit(node)
            node.iter = nodes.Filter(node.iter, _EACH, [], [], None, None, lineno=node.lineno)
            return node

        def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
            self.generic_visit(node)
            texts = nodes.List(node.nodes, lineno=node.lineno)
            return nodes.Filter(texts, _JOINED, [], [], None, None, lineno=node.lineno)

    found: jinja2.nodes.Template = Watcher().visit(tree)
    return found


class _Spent(threading.local):
    """Of the rendering under way in this thread: the CPU time at which it has taken too long."""

    until: float = math.inf


_spent = _Spent()


def _security_error(why: str) -> Exception:
    from jinja2.exceptions import SecurityError

    return SecurityError(why)


def _bounded(made: Any) -> Any:
    """What one step has made; unless it is too much, or the steps have taken too long."""
    if time.thread_time() > _spent.until:
        raise _security_error("it takes too long")
    if isinstance(made, Sized) and len(made) > BODY_LIMIT:
        raise _security_error("it makes too much on its way")
    return made


def _bounding(apply: Callable[..., Any]) -> Callable[..., Any]:
    return wraps(apply)(lambda *given, **named: _bounded(apply(*given, **named)))


def _each(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield _bounded(value)


def _joined(texts: Iterable[Any]) -> str:
    return "".join(_short(texts))


def _join(
    environment: jinja2.Environment, values: Iterable[Any], d: object = "", attribute: str | int | None = None
) -> str:
    """Jinja's own filter, but for what it would make too much of."""
    from jinja2.filters import make_attrgetter

    texts = values if attribute is None else map(make_attrgetter(environment, attribute), values)
    return str(d).join(_short(texts, d))


def _short(texts: Iterable[Any], between: object = "") -> list[Any]:
    """As texts, where all of them together are no more than what may be sent."""
    found, size = [], 0
    for text in texts:
        found.append(str(text))
        size += len(found[-1]) + len(str(between))
        if size > BODY_LIMIT:
            raise _security_error("it makes too much on its way")
    return found


def _replaced(value: object, old: object, new: object, count: int | None = None) -> str:
    text, old, new = str(value), str(old), str(new)
    most = -1 if count is None else count
    times = text.count(old) if most < 0 else min(most, text.count(old))
    if len(text) + times * len(new) > BODY_LIMIT:
        raise _security_error("it makes too much on its way")
    return text.replace(old, new, most)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
