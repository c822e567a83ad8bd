"""What is asked for behind the question mark: within bounds, or a problem 400."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from aiohttp import web

from monitor.web.problem import Problem

_T = TypeVar("_T")


def whole(request: web.Request, name: str, default: int, most: int) -> int:
    """A whole number from 1 to `most`. Raises `Problem`."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= most):
        raise Problem(400, f"{name} must be a whole number from 1 to {most}.")
    return int(text)


def number(request: web.Request, name: str) -> int | None:
    """A whole number from 1 on; None where none is given. Raises `Problem`."""
    text = request.query.get(name)
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) <= 15 and int(text) >= 1):
        raise Problem(400, f"{name} must be a whole number from 1 on.")
    return None if text is None else int(text)


def words(request: web.Request, name: str, known: Mapping[str, _T]) -> frozenset[_T]:
    """All that are given, each of a closed set; empty when none is. Raises `Problem`."""
    given = request.query.getall(name, [])
    if not all(word in known for word in given):
        raise Problem(400, f"{name} must be one of {', '.join(known)}; it may be given more than once.")
    return frozenset(known[word] for word in given)


def word(request: web.Request, name: str, known: Mapping[str, _T], default: str) -> _T:
    """One of a closed set. Raises `Problem`."""
    given = request.query.get(name, default)
    if given not in known:
        raise Problem(400, f"{name} must be one of {', '.join(known)}.")
    return known[given]


def pairs(request: web.Request, name: str) -> list[tuple[str, str]]:
    """``label=tier=web``, each. Raises `Problem`."""
    given = [text.partition("=") for text in request.query.getall(name, [])]
    if not all(key and sign for key, sign, _ in given):
        raise Problem(400, f"{name} must be written NAME=VALUE, as in {name}=tier=web.")
    return [(key, value) for key, _, value in given]
