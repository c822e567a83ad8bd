"""A conversation by lines of text, as a check writes it: what to send, what must come; sans I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from probes._capture import filled, placeholders
from probes._clean import sent
from probes._look import Look
from probes._patterns import pattern, shown
from probes.contract import BadField, LookFailed, Reason, Secret, check_fields

LONGEST_LINE = 8192
MOST_BYTES = 262_144
"""That are read of one conversation."""
MOST_LINES = 2000
"""That are searched of one conversation: each costs some microseconds, in which the loop stands still."""
MOST_STEPS = 50
_SHOWN_LINES = 5
_VALUE_LIMIT = 1024
_ENDS: Mapping[str, bytes] = {"crlf": b"\r\n", "lf": b"\n", "none": b""}

LineEnd = Literal["crlf", "lf", "none"]


@dataclass(frozen=True, slots=True)
class Step:
    """One turn: what is sent, then what must come."""

    send: Annotated[Secret | None, "A line to send, never shown; `%{name}` is what an earlier step has captured."] = (
        None
    )
    expect: Annotated[
        str | None,
        "A regular expression (RE2); lines are read until it is found in one. Its named groups are captured:"
        " `^250 id=(?P<id>\\w+)`.",
    ] = None
    fail: Annotated[str | None, "A regular expression (RE2); the look fails at once when a line has it."] = None

    def __post_init__(self) -> None:
        check_fields(
            self._check_use,
            lambda: pattern("expect", self.expect, as_text=True),
            lambda: pattern("fail", self.fail, as_text=True),
        )

    def _check_use(self) -> None:
        if self.send is None and self.expect is None:
            raise BadField("expect", "write what to send, or what to expect, or both")
        if self.fail is not None and self.expect is None:
            raise BadField("fail", "needs expect: lines are read until that is found")


class Script:
    """Steps, compiled: made once a check."""

    __slots__ = ("_end", "_steps")

    def __init__(self, steps: tuple[Step, ...], line_end: LineEnd) -> None:
        """Raises `BadField` for ``script``."""
        if len(steps) > MOST_STEPS:
            raise BadField("script", f"has {len(steps)} steps; {MOST_STEPS} are the most")
        self._end = _ENDS[line_end]
        self._steps = tuple(
            (step.send, pattern("expect", step.expect, as_text=True), pattern("fail", step.fail, as_text=True))
            for step in steps
        )
        known: set[str] = set()
        for number, step in enumerate(steps, 1):
            for name in placeholders(step.send.reveal()) if step.send is not None else ():
                if name not in known:
                    raise BadField("script", f"step {number} sends %{{{name}}}, which no step before it captures")
            known |= set(self._steps[number - 1][1].groupindex) if step.expect is not None else set()

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is sent, for who cleans answers: a server may echo it."""
        return tuple(sent(send.reveal().strip() for send, _, _ in self._steps if send is not None))

    def run(self, look: Look) -> Generator[bytes, bytes, bytes]:
        """Yields what is to be sent and is sent what came, b"" for the end; returns what is to be sent at last.

        Raises `LookFailed`. Evidence ``step`` tells where it ended, ``answer`` the last lines that came, ``captured``
        the values.
        """
        lines, values = _Lines(), dict[str, str]()
        send = b""
        try:
            for number, (written, expect, fail) in enumerate(self._steps, 1):
                look.evidence["step"] = f"{number} of {len(self._steps)}"
                if written is not None:
                    lines.pass_over()
                    text = written.reveal()
                    _check_sent({name: values[name] for name in placeholders(text)}, number)
                    send += self._line(filled(text, values))
                if expect is not None:
                    found = yield from self._expect(look, lines, send, expect, fail, number)
                    send = b""
                    values |= _captured(found, number)
        finally:
            if lines.anything:
                look.evidence["answer"] = look.show("\n".join((*lines.last, *lines.rest())))
            if values:
                told = ", ".join(f"{name}={value}" for name, value in values.items())
                look.evidence["captured"] = look.show(told)
        del look.evidence["step"]
        return send

    def _line(self, text: str) -> bytes:
        data = text.encode("utf-8", "replace")
        return data if data.endswith(b"\n") else data + self._end

    @staticmethod
    def _expect(
        look: Look, lines: _Lines, send: bytes, expect: Any, fail: Any, number: int
    ) -> Generator[bytes, bytes, Any]:
        read = 0
        if send:
            lines.take((yield send))
        while True:
            while (line := lines.next()) is not None:
                read += 1
                if fail is not None and fail.search(line):
                    raise LookFailed(Reason.ANSWER, f"step {number}: {shown(fail, look)} was found in an answer")
                found = expect.search(line)
                if found:
                    return found
            if lines.ended:
                raise _closed(number, read, shown(expect, look), anything=lines.anything)
            lines.take((yield b""))


class _Lines:
    """What has come, by lines; the last of them are kept to be shown."""

    __slots__ = ("_buffer", "_lines", "_taken", "ended", "last")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._taken = self._lines = 0
        self.ended = False
        self.last: deque[str] = deque(maxlen=_SHOWN_LINES)

    @property
    def anything(self) -> bool:
        return self._taken > 0

    def take(self, data: bytes) -> None:
        self.ended = not data
        self._taken += len(data)
        if self._taken > MOST_BYTES:
            raise LookFailed(Reason.TOO_LARGE, f"the answers are larger than {MOST_BYTES >> 10} KiB")
        self._buffer += data

    def pass_over(self) -> None:
        """What has come is no answer to what is sent now."""
        while self.next() is not None:
            pass

    def rest(self) -> tuple[str, ...]:
        """What came last and is no line yet, such as a prompt."""
        return (self._buffer[:LONGEST_LINE].decode("utf-8", "replace"),) if self._buffer else ()

    def next(self) -> str | None:
        """The next line without its end; one without an end only when nothing more will come. None: not yet."""
        at = self._buffer.find(b"\n")
        if at < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise LookFailed(Reason.TOO_LARGE, f"a line is longer than {LONGEST_LINE} bytes")
            if not self.ended or not self._buffer:
                return None
            at = len(self._buffer)
        line = self._buffer[:at].decode("utf-8", "replace").removesuffix("\r")
        del self._buffer[: at + 1]
        self._lines += 1
        if self._lines > MOST_LINES:
            raise LookFailed(Reason.TOO_LARGE, f"the answers have more than {MOST_LINES} lines")
        self.last.append(line)
        return line


def _captured(found: Any, number: int) -> dict[str, str]:
    values = {name: value or "" for name, value in found.groupdict().items()}
    for name, value in values.items():
        if len(value) > _VALUE_LIMIT:
            raise LookFailed(Reason.TOO_LARGE, f"step {number}: %{{{name}}} is longer than {_VALUE_LIMIT}")
    return values


def _check_sent(values: Mapping[str, str], number: int) -> None:
    """A line that was read may have these in it, and a server would take what follows them for another order."""
    for name, value in values.items():
        if not {"\r", "\n", "\0"}.isdisjoint(value):
            detail = f"step {number}: %{{{name}}} has a line break or a NUL in it, and is not sent"
            raise LookFailed(Reason.ANSWER, detail)


def _closed(number: int, read: int, wanted: str, *, anything: bool) -> LookFailed:
    if not anything:
        return LookFailed(Reason.EMPTY_REPLY, f"step {number}: the server closed the connection without a word")
    if not read:
        return LookFailed(Reason.TRUNCATED, f"step {number}: the server closed the connection instead of answering")
    return LookFailed(Reason.ANSWER, f"step {number}: {wanted} was not found before the server closed the connection")
