"""Answers that begin wrong: lines, statuses, versions, no HTTP at all; connections that break; redirects."""

from __future__ import annotations

import re

from tests.servers.misbehaving.case import HELLO, UP, Case, answering, said, unasked
from tests.servers.misbehaving.steps import ASKED, HANG, RESET

_FIVE = "Content-Length: 5"


def _with(line: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + line + b"\r\n\r\nhello"


LINES: tuple[Case, ...] = (
    answering(
        "line ends without CR",
        UP,
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        why="RFC 9112, 2.2 lets a recipient take it, every browser does, and the evidence has a note of it.",
    ),
    answering(
        "a space in a header's name",
        "protocol",
        _with(b"X Y: z"),
        why="It is no name (RFC 9110, 5.1): behind nginx as a proxy, customers have a 502 instead of the page.",
        others="Both let it pass.",
    ),
    answering(
        "a space between a header's name and its colon",
        "protocol",
        _with(b"X : z"),
        why="Two readers would see two headers (RFC 9112, 5.1): behind nginx as a proxy, customers have a 502.",
        others="Both let it pass.",
    ),
    answering(
        "a control character in a header's name",
        "protocol",
        _with(b"X\x01Y: z"),
        why="It is no name (RFC 9110, 5.1): behind nginx as a proxy, customers have a 502 instead of the page.",
        others="Both let it pass.",
    ),
    answering(
        "a header without a name",
        "protocol",
        _with(b": z"),
        why="It is no header (RFC 9110, 5.1): behind nginx as a proxy, customers have a 502 instead of the page.",
        others="Both let it pass.",
    ),
    answering(
        "a line without a colon",
        "protocol",
        _with(b"no header at all"),
        why="It is no header: mostly it is output of a program that should have been in the body.",
    ),
    answering(
        "a zero byte in a header",
        "protocol",
        _with(b"X: a\0b"),
        why="RFC 9110, 5.5 calls it invalid and dangerous: some readers end there, others do not.",
        others="Go lets it pass.",
    ),
    answering(
        "a header over two lines",
        UP,
        _with(b"X: a\r\n  b"),
        why="A client has to take it as a space, obsolete as it is (RFC 9112, 5.2); the evidence has a note of it.",
    ),
)

STATUSES: tuple[Case, ...] = (
    answering(
        "interim answers 100, 102 and 103 first",
        UP,
        said("100 Continue")
        + said("102 Processing")
        + said("103 Early Hints", "Link: </a.css>; rel=preload")
        + HELLO,
        why="They are allowed at any time before the answer (RFC 9110, 15.2).",
    ),
    answering(
        "101: another protocol",
        "protocol",
        said("101 Switching Protocols", "Upgrade: x", "Connection: upgrade"),
        HANG,
        why="Nobody asked for another protocol, and after this there will be no HTTP on the connection.",
        others="blackbox_exporter waits for the end of a body that never comes, and goes on when its time is up.",
    ),
    answering(
        "status 999",
        "status",
        said("999 No", _FIVE, body=b"hello"),
        why="It is no success, and RFC 9110, 15 knows nothing above 599; who wants it can expect it.",
    ),
    answering(
        "status 503",
        "status",
        said("503 Service Unavailable", _FIVE, body=b"sorry"),
        why="The server itself says that it does not serve.",
    ),
    answering(
        "status 429",
        "blocked",
        said("429 Too Many Requests", _FIVE, body=b"later"),
        why="It is the agent that asks too often: customers may well be served, so nobody is paged for it.",
        others="Both call the site down.",
    ),
    answering(
        "a bot challenge",
        "blocked",
        said("403 Forbidden", "cf-mitigated: challenge", _FIVE, body=b"robot"),
        why="The site's guard refuses the agent, and says nothing about the site behind it.",
        others="Both call the site down.",
    ),
    answering(
        "a status without its phrase",
        UP,
        said("200", _FIVE, body=b"hello"),
        why="The phrase may be missing, and no client needs it (RFC 9112, 4).",
    ),
    answering(
        "a status of two digits",
        "protocol",
        said("20 OK", _FIVE, body=b"hello"),
        why="A status has three digits (RFC 9112, 4).",
    ),
)

NOT_HTTP: tuple[Case, ...] = (
    answering(
        "HTTP/2.0 in text",
        "protocol",
        b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        why="HTTP/2 is binary: in text there is no such version, and nobody knows by what rules its body ends.",
        others="Both read it as if it said 1.1.",
    ),
    answering(
        "HTTP/0.9: a body and nothing else",
        "protocol",
        b"<html>hello</html>",
        why="No browser has taken it for years: mostly a program prints its error where an answer should be.",
    ),
    answering(
        "an SSH server",
        "protocol",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        HANG,
        why="Another program listens on the port.",
    ),
    unasked(
        "a mail server that speaks first",
        "protocol",
        b"220 mail.example.com ESMTP\r\n",
        ASKED,
        b"500 what?\r\n",
        HANG,
        why="Another program listens on the port.",
    ),
    answering(
        "TLS on a port for plain HTTP",
        "protocol",
        bytes.fromhex("15030100020246"),
        HANG,
        why="The port speaks TLS, and the URL does not say so.",
    ),
    answering(
        "bytes at random",
        "protocol",
        bytes.fromhex("00ff1b5b334100deadbeef0d0a0d0a"),
        HANG,
        why="It is no HTTP.",
    ),
    unasked(
        "an answer before the request",
        "protocol",
        HELLO,
        ASKED,
        HANG,
        early=True,
        why="Whoever answers before he is asked has not read the question: it is left from somebody else, and no"
        " fast answer.",
        others="Neither looks when it came.",
    ),
)

BROKEN: tuple[Case, ...] = (
    answering(
        "no answer",
        "empty_reply",
        why="The connection is closed without a byte: mostly the program has died of the request.",
    ),
    answering(
        "a reset before the answer",
        "reset",
        RESET,
        why="The program has crashed, or a proxy has given up.",
    ),
    answering(
        "a reset within the headers",
        "reset",
        b"HTTP/1.1 200 OK\r\nContent-",
        0.05,
        RESET,
        why="The program has crashed while it answered.",
    ),
    answering(
        "a reset after the headers",
        "reset",
        said("200 OK", "Content-Length: 20"),
        0.05,
        RESET,
        why="The program has crashed before the page came.",
    ),
    answering(
        "a reset within the body",
        "reset",
        said("200 OK", "Content-Length: 20", body=b"hello"),
        0.05,
        RESET,
        why="The customer has a page that is cut off.",
    ),
    answering(
        "a reset after the whole answer",
        UP,
        HELLO,
        0.05,
        RESET,
        why="The customer has the whole page; how the server hangs up then is its own affair.",
    ),
)


def _hop(request: bytes) -> bytes:
    """On to the next of many places."""
    number = int(request.split(b" ", 2)[1].rpartition(b"/")[2] or b"0")
    return said("302 Found", f"Location: /hop/{number + 1}", "Content-Length: 0")


def _to_another_host(request: bytes) -> bytes:
    """The same server by its other name; who comes by that has an answer."""
    host = re.search(rb"\r\nhost: ([^:]+):(\d+)", request, re.IGNORECASE)
    if host is None or host[1] == b"localhost":
        return HELLO
    return said("307 Temporary Redirect", f"Location: http://localhost:{host[2].decode()}/", "Content-Length: 0")


REDIRECTS: tuple[Case, ...] = (
    answering(
        "a redirect to itself",
        "redirect",
        said("302 Found", "Location: /", "Content-Length: 0"),
        why="It leads nowhere.",
    ),
    answering(
        "two redirects in a circle",
        "redirect",
        lambda asked: said(
            "302 Found", f"Location: /{'b' if asked.startswith(b'GET /a ') else 'a'}", "Content-Length: 0"
        ),
        why="They lead nowhere, and that can be said at the first place seen twice.",
    ),
    answering(
        "redirects without end",
        "redirect",
        _hop,
        why="After 5 redirects somebody is lost; browsers give up at 20.",
    ),
    answering(
        "a redirect to ftp:",
        "redirect",
        said("302 Found", "Location: ftp://127.0.0.1/", "Content-Length: 0"),
        why="No browser follows it any more.",
    ),
    answering(
        "a redirect to file:",
        "redirect",
        said("302 Found", "Location: file:///etc/hostname", "Content-Length: 0"),
        why="A server must never make a client read the client's own files.",
    ),
    answering(
        "a redirect without a place",
        "status",
        said("302 Found", "Content-Length: 0"),
        why="It is no redirect without Location, and 302 is not among the statuses that are fine.",
        others="curl takes every status below 400 for success.",
    ),
    answering(
        "a redirect to a closed port",
        "refused",
        said("302 Found", "Location: http://127.0.0.1:1/", "Content-Length: 0"),
        why="The customer does not come to the page.",
    ),
    answering(
        "a redirect of a body to another host",
        "redirect",
        _to_another_host,
        fields={"method": "POST", "body": "secret"},
        why="A body may hold a password, and another host has no right to it; follow it with a check of its own.",
        others="Both send the body there.",
    ),
)
