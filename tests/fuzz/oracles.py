"""How others read an HTTP answer."""

from __future__ import annotations

from dataclasses import dataclass

import h11
import httptools


@dataclass(frozen=True)
class Said:
    """An answer that somebody takes for whole; `headers` is None where they are not told as they came."""

    status: int
    headers: list[tuple[str, str]] | None
    body: bytes


def h11_says(data: bytes) -> Said | None:
    """None when it is not whole, or not alone."""
    peer = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    peer.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    peer.send(h11.EndOfMessage())
    status, headers, body = 0, [], b""
    try:
        peer.receive_data(data)
        ended = False
        while True:
            event = peer.next_event()
            if event is h11.NEED_DATA:
                if ended:
                    return None
                ended = True
                peer.receive_data(b"")
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None
    return None if peer.trailing_data[0] else Said(status, headers, body)


class _Heard:
    """What llhttp calls."""

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.complete = 0
        self.begun = 0

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete += 1


def httptools_says(data: bytes) -> Said | None:
    """None when it is not whole by its length or its chunks: llhttp cannot be told that the connection has ended."""
    heard = _Heard()
    parser = httptools.HttpResponseParser(heard)
    try:
        parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    status = parser.get_status_code()
    if (heard.begun, heard.complete) != (1, 1) or status < 200:
        return None  # an interim answer is a message of its own to llhttp
    return Said(status, None, heard.body)
