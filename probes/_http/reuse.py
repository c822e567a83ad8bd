"""A connection that is kept from look to look, and when it is not."""

from __future__ import annotations

from time import perf_counter

from probes._http.ask import Ask, Hop
from probes._http.http1 import ResponseReader
from probes._kept import RECONNECTED, Kept
from probes._look import Look
from probes._wire.connection import Connection
from probes.contract import LookFailed, Reason

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be sent twice (RFC 9110, 9.2.2)."""

_LONGEST = 600.0
"""Seconds for which a connection is kept."""

_WAITED = 408

KEPT = "connection"
"""The name of the evidence that says whether the connection is new."""


class Reuse(Kept[Connection]):
    """With `reuse: true` a check keeps its connection from look to look, as an application does that talks to an API
    all day: then `response_time` is that of the answer alone, and `connect_time`, `tls_time` and `resolve_time` are
    measured only when there is need of a new one.

    A connection is kept after a whole answer that does not end it, to the URL's own host; what leads away from there
    is asked on another one. Where the server has closed it meanwhile, or has said something that nobody asked for
    (408), a new one is made, and the evidence `connection` says so. A request that gets not a single byte back on a
    kept connection is sent once more on a new one, as servers close idle ones just then, too; but not one that must
    not be sent twice (POST, PATCH). Extra looks, which confirm a failure, always make a new connection, so that a
    kept one that has gone bad is not taken for the target. After ten minutes a kept connection makes way for a new
    one, which goes where the name leads by then, and sees the certificate that is in use.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Connection.quiet, Connection.close)

    def age(self) -> None:
        """Let go of a connection that has been kept for long enough."""
        idle = self._idle
        if idle is not None and perf_counter() - idle.connected > _LONGEST:
            self._idle = None
            idle.close()

    @staticmethod
    def keeps(ask: Ask, hop: Hop) -> bool:
        """Whether the connection for this request may be a kept one."""
        url, own = hop.url, ask.url
        return (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port)

    @staticmethod
    def tell(look: Look, *, fresh: bool) -> None:
        """As evidence; of a look with several requests that of the first new one, if there is any."""
        lost = look.evidence.pop(RECONNECTED, None)
        told = "new, as the server had closed the kept one" if lost else "new" if fresh else "kept"
        if look.evidence.get(KEPT, "kept") == "kept":
            look.evidence[KEPT] = told

    @staticmethod
    def check_asked(reader: ResponseReader, method: str, expected: frozenset[int]) -> None:
        """Raises `LookFailed` for an answer on a kept connection that is none to this request: it has waited for one
        for too long (408), and says so just as one comes. Browsers ask again, too."""
        if reader.status == _WAITED and _WAITED not in expected and method in _REPEATABLE:
            raise LookFailed(Reason.EMPTY_REPLY, "the server had waited for a request for too long (408)")

    @staticmethod
    def once_more(failure: LookFailed, method: str, *, begun: bool) -> bool:
        """Whether a request that failed on a kept connection may be sent on another one; `begun` when something had
        come: its answer, or the end of the connection."""
        unanswered = failure.reason is Reason.EMPTY_REPLY or (failure.reason is Reason.RESET and not begun)
        return unanswered and method in _REPEATABLE


def stays_open(reader: ResponseReader) -> bool:
    """Whether another request may follow this answer (RFC 9112, 9.3); that it is read to its end, too."""
    said = {word.strip().lower() for word in (reader.header("connection") or "").split(",")}
    if not reader.done or "close" in said:
        return False
    return reader.version != "1.0" or "keep-alive" in said
