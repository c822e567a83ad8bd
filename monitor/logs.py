"""Log lines: JSON for journald and files, pretty on a terminal; every line passes the redactor as its last step.

Whoever logs never waits: a thread of its own writes, and a log that nobody reads or that takes nothing costs lines
and not the agent.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import select
import sys
import threading
from collections.abc import Callable, MutableMapping
from typing import Any, Final, TextIO

import structlog

from monitor import journald

LINES_LIMIT: Final = 10_000
"""Lines that may wait to be written; what comes on top is dropped and counted."""
FLUSH_LIMIT: Final = 1.0
"""Seconds that the last lines get when the process ends."""


def configure_logs(
    redact: Callable[[str], str], *, stream: TextIO | None = None, quiet: bool = False
) -> Callable[[], None]:
    """Set up structlog for the process. `redact` sees each finished line, tracebacks included. What is returned lets
    the last lines be written, for a process that ends without Python's own end.

    What libraries log goes the same way, from WARNING up: by itself it would be written at once and unredacted.
    """
    out = stream or sys.stderr
    terminal = out is not None and out.isatty()  # None: the process was started with stderr closed
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if terminal
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    before = [] if terminal else [structlog.processors.format_exc_info]
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal)

    marked = journald.reads(out)

    def render(logger: Any, name: str, event: MutableMapping[str, Any]) -> str:
        priority = f"<{journald.PRIORITIES.get(str(event.get('level')), 6)}>" if marked else ""
        return priority + redact(str(renderer(logger, name, event)))

    def dropped(lines: int) -> str:
        return render(None, "warning", stamp(None, "warning", _dropped(lines)))

    lines = Lines(out, dropped)
    atexit.register(lines.close)
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, *before, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    _adopt_libraries()
    return lines.close


class Lines:
    """A logger for structlog whose lines wait for a thread to write them to `out`.

    More than `limit` lines are dropped until half of them are written; then `dropped` makes a line of their number.
    """

    def __init__(self, out: TextIO | None, dropped: Callable[[int], str], limit: int = LINES_LIMIT) -> None:
        self._write = _writer(out)
        self._tell = dropped
        self._limit = limit
        self._dropped = 0
        # Not queue.Queue: its lock is not reentrant, and the garbage collector may log (asyncio's lost exceptions).
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def msg(self, message: str) -> None:
        """Put a line down; never waits, never fails."""
        waiting = self._waiting.qsize()
        if waiting >= self._limit or (self._dropped and waiting > self._limit // 2):
            self._dropped += 1
            return
        self._tell_dropped()
        self._waiting.put(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg

    def close(self, timeout: float = FLUSH_LIMIT) -> None:
        """Let what waits be written, for up to `timeout` seconds."""
        self._tell_dropped()
        self._waiting.put(None)
        self._thread.join(timeout)

    def _tell_dropped(self) -> None:
        if self._dropped:
            lines, self._dropped = self._dropped, 0
            self._waiting.put(self._tell(lines))

    def _work(self) -> None:
        while (line := self._waiting.get()) is not None:
            with contextlib.suppress(OSError, ValueError):  # a full disk, a reader that has gone, a closed file
                self._write(f"{line}\n")


def _writer(out: TextIO | None) -> Callable[[str], None]:
    stderr: TextIO | None = sys.__stderr__
    if stderr is not None and out is stderr:
        # Past Python's buffer: a thread that hangs in it keeps its lock, and the interpreter aborts when it ends.
        descriptor, encoding = stderr.fileno(), stderr.encoding
        return lambda text: _write_all(descriptor, text.encode(encoding, "backslashreplace"))

    def write(text: str) -> None:
        if out is not None:
            out.write(text)
            out.flush()

    return write


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # somebody who shares the pipe or terminal has made it so
            ready = select.poll()
            ready.register(descriptor, select.POLLOUT)
            ready.poll()


def _dropped(lines: int) -> dict[str, Any]:
    return {
        "event": "log.dropped",
        "level": "warning",
        "lines": lines,
        "error": "the log was not read fast enough: these lines are lost",
    }


class _Libraries(logging.Handler):
    """Hands what libraries log to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        with contextlib.suppress(Exception):  # a message whose arguments do not fit must not fail its caller
            log.log(record.levelno, record.getMessage(), exc_info=record.exc_info)


def _adopt_libraries() -> None:
    root = logging.getLogger()
    for handler in [*root.handlers]:
        if isinstance(handler, _Libraries):
            root.removeHandler(handler)
    root.addHandler(_Libraries(logging.WARNING))
