"""One connection: how the library's server answers what does not get as far as our routes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from monitor.web.guard import SECURITY_HEADERS
from monitor.web.names import network
from monitor.web.problem import problem

BOUNDS: dict[str, Any] = {
    "access_log": None,
    "keepalive_timeout": 75,
    "max_line_size": 4096,
    "max_field_size": 8190,
    "max_headers": 64,
    "lingering_time": 2.0,
    "auto_decompress": False,  # nobody sends us that much; and nobody sends us bombs
}
"""What a request may be, and how long a connection may be idle."""

_UNREADABLE = "What came is no HTTP request that could be read."
_TOO_LONG = "The first line of the request, or one of its headers, is too long."


class Connection(web.RequestHandler):
    """Answers with problems of ours where the library has pages of its own, which name it and repeat what was sent.

    Of a client that writes no HTTP, or goes away, nothing is logged: any stranger could fill the disk with it.
    """

    __slots__ = ("_admit", "idle_since", "leaving", "remote")

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        logger: logging.Logger,
        admit: Callable[[Connection], bool],
    ) -> None:
        """`admit` says, once the `remote` is known, whether it may come in."""
        super().__init__(server, loop=loop, logger=logger, **BOUNDS)
        self._admit = admit
        self.remote = ""
        """The network that it comes from."""
        self.idle_since: float | None = loop.time()
        """Since when no request is being worked on, by the loop's clock; an answer that nobody takes is none."""
        self.leaving = False
        """Whether it has had to make room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self.remote = network(str(peer[0])) if peer else ""
        if self._admit(self):
            super().connection_made(transport)
        else:
            self.force_close()
            transport.close()

    def make_room(self) -> None:
        """Close at once: what was to be sent is not waited for."""
        self.leaving = True
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  (the library's words)
    ) -> web.StreamResponse:
        if not isinstance(exc, HttpProcessingError | ConnectionError):
            self.logger.error("a request has failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        detail = _TOO_LONG if isinstance(exc, LineTooLong) else _UNREADABLE if status == 400 else ""
        response = problem(status, detail, {**SECURITY_HEADERS, "Cache-Control": "no-store"})
        response.force_close()
        return response


def watch_requests(server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
    """Have connections know whether they are idle; and an unknown ``Expect``, which the library refuses before any
    middleware, answered as all else is."""
    handle = server.request_handler

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)  # noqa: S101  (`Site` makes no others)
        connection.idle_since = None
        try:
            return await handle(request)
        except web.HTTPExpectationFailed:
            return problem(417, "Of Expect, only 100-continue is understood here.")
        finally:
            connection.idle_since = loop.time()

    server.request_handler = answer
