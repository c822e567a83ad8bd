"""Events as lines on the agent's own terminal."""

from __future__ import annotations

import io
import os
import select
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, TextIO

from monitor.sinks._message import harmless as harmless  # commands write to terminals, too
from monitor.sinks._told import read
from monitor.sinks.contract import Nature, SendFailed, Sink, SinkContext
from monitor.store.contract import Delivery

_LOOK = {
    "up": ("✔", "+", "32"),
    "operational": ("✔", "+", "32"),
    "degraded": ("▲", "!", "33"),
    "degradation": ("▲", "!", "33"),
    "down": ("✖", "X", "31"),
    "outage": ("✖", "X", "31"),
    "unknown": ("?", "?", "90"),
}
"""Symbol, the same in ASCII, and colour (SGR), by new state."""
_PLAIN = ("•", "*", "0")
_LINE_LIMIT = 400
"""Characters of the sentence: the whole line stays below the 4096 bytes that a pipe takes at once."""


@dataclass(frozen=True, slots=True)
class Console(Sink):
    """Writes every event as one line: the time, a symbol for the new state, the sentence.

    ```yaml
    sinks:
      terminal: {type: console}
    ```

    Coloured on a terminal, unless `NO_COLOR` is set. It writes to the agent's standard output; under systemd that is
    the journal. A terminal that does not read makes the line wait, never the agent.
    """

    kind: ClassVar[str] = "console"
    nature: ClassVar[Nature] = Nature.LOG

    colour: Annotated[bool | None, "yes or no; left out: on a terminal, unless NO_COLOR is set"] = None

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        terminal = context.terminal
        if not _writable(terminal):
            raise SendFailed("the terminal does not read")
        try:
            coloured = _wants_colour(terminal) if self.colour is None else self.colour
            line = render(delivery, coloured=coloured, ascii_only=not _knows_symbols(terminal))
            terminal.write(line + "\n")
            terminal.flush()
        except (OSError, ValueError) as error:  # ValueError: closed
            raise SendFailed(f"cannot write to the terminal: {error}") from error


def render(delivery: Delivery, *, coloured: bool = False, ascii_only: bool = False) -> str:
    """One line for an event, in local time."""
    told = read(delivery)
    symbol, plain, colour = _LOOK.get(str(told.part("state").get("new")), _PLAIN)
    sentence = harmless(told.sentence)[:_LINE_LIMIT]
    if ascii_only:
        symbol, sentence = plain, sentence.encode("ascii", "replace").decode()
    at: datetime = delivery.at.astimezone()
    line = f"{symbol} {sentence}"
    return f"{at:%H:%M:%S} " + (f"\x1b[{colour}m{line}\x1b[0m" if coloured else line)


def _wants_colour(terminal: TextIO) -> bool:
    return terminal.isatty() and not os.environ.get("NO_COLOR")


def _knows_symbols(terminal: TextIO) -> bool:
    return (getattr(terminal, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf8")


def _writable(terminal: TextIO) -> bool:
    """Whether a line can be written without waiting. What has no descriptor (a test's buffer) always can."""
    try:
        descriptor = terminal.fileno()
    except (io.UnsupportedOperation, OSError, ValueError, AttributeError):
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
