"""Tokens of the API: who may do what. Pure values; the web asks them, the config makes them."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

SHORTEST_TOKEN = 16
"""Characters: what is shorter could be guessed."""
TOKEN_FORM = f"{SHORTEST_TOKEN} to 256 letters, digits and -._~+/="
_TOKEN = re.compile(rf"[A-Za-z0-9._~+/=-]{{{SHORTEST_TOKEN},256}}")


def is_token(text: str) -> bool:
    """Whether it has the form of a token, `TOKEN_FORM`: what has not goes into no header and no message."""
    return _TOKEN.fullmatch(text) is not None


class Scope(StrEnum):
    """What a token allows. None includes another: a token has the scopes that are written for it."""

    READ = "read"
    """To read what `agent.protected` keeps from others."""
    OPERATE = "operate"
    """What people on call do: announce maintenance."""
    ADMIN = "admin"
    """To change what is watched: reload."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, by its digest: the text itself is kept nowhere."""

    name: str
    digest: bytes
    scopes: frozenset[Scope]

    @classmethod
    def of(cls, name: str, text: str, scopes: Iterable[Scope]) -> Token:
        return cls(name, _digest(text), frozenset(scopes))


def find_token(tokens: Iterable[Token], text: str) -> Token | None:
    """The token that `text` is. Takes as long for one that is nearly right as for any other."""
    digest, found = _digest(text), None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
