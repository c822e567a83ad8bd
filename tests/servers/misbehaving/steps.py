"""The language in which a server's misbehaviour is written: a script is a row of steps, taken on each connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Do(Enum):
    """Steps that need no more than their name."""

    ASKED = "reads one request to its end"
    HEARD = "reads what comes first, whatever it is"
    HANG = "stays open, and says nothing more"
    RESET = "ends the connection with a reset"
    GOODBYE = "ends TLS as it should be ended"


ASKED, HEARD, HANG, RESET, GOODBYE = Do.ASKED, Do.HEARD, Do.HANG, Do.RESET, Do.GOODBYE


@dataclass(frozen=True, slots=True)
class Drip:
    """Sends some bytes one by one, with so many seconds between them."""

    data: bytes
    every: float


@dataclass(frozen=True, slots=True)
class Again:
    """Sends the same bytes again and again: so many times, or until the client has gone."""

    data: bytes
    times: int | None = None


Step = bytes | float | Do | Drip | Again | Callable[[bytes], bytes]
"""Bytes are sent, a number is seconds of waiting; a function is given the last request and says what to send."""

Script = tuple[Step, ...]
"""What is left at its end is a connection that is closed."""
