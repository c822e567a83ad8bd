"""Bodies that do not end where they should: by length, by chunks, by time, by size."""

from __future__ import annotations

import gzip

from tests.servers.misbehaving.case import HELLO, UP, Case, answering, said, unasked
from tests.servers.misbehaving.steps import GOODBYE, HANG, Again, Drip

_CHUNKED = said("200 OK", "Transfer-Encoding: chunked")
_LONG = "Content-Length: 20"

LENGTHS: tuple[Case, ...] = (
    answering(
        "a good answer",
        UP,
        HELLO,
        why="Nothing is wrong with it: the other rows differ from this one by what their servers do.",
    ),
    answering(
        "a body that ends with the connection",
        UP,
        said() + b"hello",
        why="An answer without a length ends with its connection (RFC 9112, 6.3).",
    ),
    answering(
        "a body shorter than its length",
        "truncated",
        said("200 OK", _LONG) + b"hello",
        why="The customer has a page that is cut off.",
    ),
    answering(
        "a body that ends within a chunk",
        "truncated",
        _CHUNKED + b"a\r\nhello",
        why="The customer has a page that is cut off.",
    ),
    answering(
        "chunks without the last one",
        "truncated",
        _CHUNKED + b"5\r\nhello\r\n",
        why="Only the empty chunk says that the body is whole: without it a crash looks like an end.",
    ),
    answering(
        "headers that are cut off",
        "truncated",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        why="The server said 200 and then died; nobody has an answer.",
        others="curl takes the end of the connection for the end of the headers.",
    ),
    answering(
        "a body that ends with TLS broken off",
        UP,
        said() + b"hello",
        certificate="good",
        why="Nothing says that the body is whole (RFC 9112, 9.8), but some sites end so, and browsers show them:"
        " the evidence has a note of it.",
    ),
    answering(
        "a body that ends with TLS and its goodbye",
        UP,
        said() + b"hello",
        GOODBYE,
        certificate="good",
        why="The end of the connection is the end of the body, and TLS vouches for it.",
    ),
    answering(
        "a body longer than its length",
        "protocol",
        said("200 OK", "Content-Length: 5") + b"hello world",
        why="The customer sees the first 5 bytes of a longer page, and whoever reuses the connection takes the rest"
        " for the next answer.",
        others="Both stop reading at the length, and never see the rest.",
    ),
    answering(
        "two answers at once",
        "protocol",
        HELLO + HELLO,
        why="One was asked for: the second would be taken for the answer to what is asked next (response splitting).",
        others="Both stop reading after the first, and never see the other.",
    ),
    answering(
        "a body where there is none",
        "protocol",
        said("204 No Content") + b"hello",
        why="A 204 has no body (RFC 9110, 15.3.5): what is there would be taken for the next answer.",
        others="Both stop reading behind the headers, and never see the rest.",
    ),
    answering(
        "two lengths that differ",
        "protocol",
        said("200 OK", "Content-Length: 5", "Content-Length: 6", body=b"hello!"),
        why="One of them is a lie, and each proxy picks its own: so requests are smuggled (RFC 9112, 6.3).",
        others="curl picks one of them.",
    ),
    answering(
        "two lengths that agree",
        UP,
        said("200 OK", "Content-Length: 5", "Content-Length: 5", body=b"hello"),
        why="RFC 9110, 8.6 lets a recipient take it as one, browsers do, and the evidence has a note of it.",
    ),
    answering(
        "a length beside chunks",
        UP,
        said("200 OK", "Content-Length: 9", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        why="Chunks win (RFC 9112, 6.3), as with browsers: the customer has the page, and the evidence has a note.",
    ),
    answering(
        "a length below zero",
        "protocol",
        said("200 OK", "Content-Length: -5", body=b"hello"),
        why="Nobody can know where the body ends.",
    ),
    answering(
        "a length that is no number",
        "protocol",
        said("200 OK", "Content-Length: five", body=b"hello"),
        why="Nobody can know where the body ends.",
    ),
    answering(
        "a transfer coding called identity",
        UP,
        said("200 OK", "Transfer-Encoding: identity", body=b"hello"),
        why="It means none, was allowed once (RFC 2616, 3.6), and the body ends with its connection.",
        others="Go knows the word no longer.",
    ),
    answering(
        "a body compressed by its transfer coding",
        "encoding",
        said("200 OK", "Transfer-Encoding: gzip", body=gzip.compress(b"hello", mtime=0)),
        why="Nobody asked for it (RFC 9110, 10.1.4), and no browser unpacks it.",
        others="curl unpacks it without having asked for it.",
    ),
    answering(
        "a transfer coding that nobody knows",
        UP,
        said("200 OK", "Transfer-Encoding: x-own", body=b"hello"),
        why="Browsers and nginx pass over a word that they do not know, and the evidence has a note of it.",
        others="Both refuse it.",
    ),
)

CHUNKS: tuple[Case, ...] = (
    answering(
        "chunks with extensions and trailers",
        UP,
        _CHUNKED + b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
        why="Both are allowed (RFC 9112, 7.1).",
    ),
    answering(
        "a chunk whose size is no number",
        "protocol",
        _CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
        why="Nobody can know where the body ends.",
    ),
    answering(
        "a chunk whose size is below zero",
        "protocol",
        _CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
        why="Nobody can know where the body ends.",
    ),
    answering(
        "a chunk with a size of 17 digits",
        "protocol",
        _CHUNKED + b"11111111111111111\r\nhello\r\n0\r\n\r\n",
        why="It is more than any computer can send, and such a number has been wrapped around in attacks.",
    ),
    answering(
        "a chunk that is longer than its size",
        "protocol",
        _CHUNKED + b"5\r\nhello world\r\n0\r\n\r\n",
        why="After a chunk comes a line end: what else is there belongs to no chunk.",
    ),
)

SLOW: tuple[Case, ...] = (
    answering(
        "headers one byte at a time",
        "transfer_timeout",
        Drip(HELLO, 0.2),
        why="It would take the customer a minute; the limit is for the whole look, not for each byte.",
    ),
    answering(
        "a body one byte at a time",
        "transfer_timeout",
        said("200 OK", "Content-Length: 100"),
        Drip(b"x" * 100, 0.2),
        why="It began at once and never ends: the limit is for the whole look, and the body is part of it.",
    ),
    answering(
        "a body that stops in the middle",
        "transfer_timeout",
        said("200 OK", _LONG, body=b"hello"),
        HANG,
        why="The customer waits for the rest.",
    ),
    answering(
        "silence",
        "first_byte_timeout",
        HANG,
        why="The request was taken, and nothing came.",
    ),
    unasked(
        "a server that does not read",
        "send_timeout",
        60.0,
        fields={"method": "POST", "body": "x" * 6_000_000},
        why="It accepts connections and leaves the request in the network: its workers hang.",
    ),
)

SIZES: tuple[Case, ...] = (
    answering(
        "a body without end",
        "too_large",
        said(),
        Again(b"x" * 65_536),
        why="Who never ends serves no page, and the limit of 2 MB keeps the agent alive.",
    ),
    answering(
        "headers without end",
        "too_large",
        b"HTTP/1.1 200 OK\r\n",
        Again(b"X-More: and more\r\n" * 100),
        why="Who never comes to the body serves no page; ours is a limit of 64 KiB and 200 lines.",
    ),
    answering(
        "10,000 headers",
        "too_large",
        said("200 OK", *["X: y"] * 10_000, "Content-Length: 5", body=b"hello"),
        why="It is past our limit of 200 lines: a browser may show it, a proxy such as nginx gives up at 8 KiB.",
        others="Both read them all: their limits are hundreds of kilobytes and more.",
    ),
    answering(
        "a header of 1 MB",
        "too_large",
        said("200 OK", "X: " + "y" * 1_000_000, "Content-Length: 5", body=b"hello"),
        why="It is past our limit of 64 KiB; Chrome ends at 256 KiB, and a proxy such as nginx at 8.",
        others="Go reads up to 10 MB of headers.",
    ),
    answering(
        "interim answers without end",
        "protocol",
        Again(b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
        why="It promises an answer a thousand times and gives none.",
    ),
)
