"""Log lines: JSON for journald and files, pretty on a terminal; every line passes the redactor as its last step."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog


def configure_logs(redact: Callable[[str], str], *, stream: TextIO | None = None, quiet: bool = False) -> None:
    """Set up structlog for the process. `redact` sees each finished line, tracebacks included."""
    out = stream or sys.stderr
    terminal = out.isatty()
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if terminal
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    before = [] if terminal else [structlog.processors.format_exc_info]

    def render(logger: Any, name: str, event: MutableMapping[str, Any]) -> str:
        return redact(str(renderer(logger, name, event)))

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
            *before,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
