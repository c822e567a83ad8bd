"""TLS that does not come about, or that nobody should trust."""

from __future__ import annotations

from typing import Any

from tests.servers.misbehaving.case import HELLO, UP, Case, answering, said, unasked
from tests.servers.misbehaving.steps import HANG, HEARD, RESET

_FATAL_HANDSHAKE_FAILURE = bytes.fromhex("15030300020228")
_HALF_A_SERVER_HELLO = bytes.fromhex("160303007a020000760303") + b"\x01" * 40


def _with(name: str, says: str, certificate: str, why: str, **site: Any) -> Case:
    return answering(name, says, HELLO, why=why, certificate=certificate, **site)


CERTIFICATES: tuple[Case, ...] = (
    _with("a good certificate", UP, "good", "Nothing is wrong with it."),
    _with("a certificate by an intermediate, sent along", UP, "chained", "This is how it should be."),
    _with("a certificate that has expired", "tls_expired", "expired", "Browsers refuse it."),
    _with(
        "a certificate that is not valid yet", "tls_not_yet", "not_yet",
        "Browsers refuse it; that the agent's own clock is wrong is likelier than with one that has expired, so the"
        " advice begins there.",
    ),
    _with("a certificate for another name", "tls_name", "other", "Browsers refuse it."),
    _with(
        "a certificate whose name is only its CN", "tls_name", "cn_only",
        "Browsers have not looked at the common name since 2017 (RFC 9110, 4.3.4).",
        host="localhost",
        others="curl leaves the question to OpenSSL, which still does.",
    ),
    _with("a certificate signed by itself", "tls_self_signed", "self_signed", "Browsers refuse it."),
    _with(
        "an intermediate certificate that is missing", "tls_chain", "no_chain",
        "Some browsers fetch it or know it from elsewhere, programs and phones do not: it works for whoever"
        " installed it and fails for customers.",
    ),
    _with("an authority that nobody knows", "tls_untrusted", "stranger", "Browsers refuse it."),
)  # fmt: skip

HANDSHAKES: tuple[Case, ...] = (
    _with("TLS 1.0 and no later", "tls_version", "good", "Browsers have refused it since 2020.", newest="TLSv1"),
    _with("TLS 1.1 and no later", "tls_version", "good", "Browsers have refused it since 2020.", newest="TLSv1_1"),
    _with("TLS 1.2 and no later", UP, "good", "It is in use and good enough.", newest="TLSv1_2"),
    _with(
        "a certificate of the client's is wanted, by TLS 1.3", "tls_client", "good",
        "The server is there and turns away whoever has no certificate: nobody is paged for what the check lacks.",
        clients=True,
        others="Both call the site down.",
    ),
    _with(
        "a certificate of the client's is wanted, by TLS 1.2", "tls_client", "good",
        "The server is there and turns away whoever has no certificate: nobody is paged for what the check lacks.",
        clients=True, newest="TLSv1_2",
        others="Both call the site down.",
    ),
    unasked(
        "a handshake that is refused", "tls_protocol", HEARD, _FATAL_HANDSHAKE_FAILURE, https=True,
        why="The server says that it wants other ciphers or names, and no customer comes in.",
    ),
    unasked(
        "a handshake that hangs", "tls_timeout", HEARD, HANG, https=True,
        why="The customer's browser waits.",
    ),
    unasked(
        "a handshake that hangs in the middle", "tls_timeout", HEARD, _HALF_A_SERVER_HELLO, HANG, https=True,
        why="The customer's browser waits.",
    ),
    unasked(
        "a handshake that is closed at once", "tls_closed", HEARD, https=True,
        why="A proxy that knows no such host does so, or a program that has crashed.",
    ),
    unasked(
        "a handshake that is closed in the middle", "tls_closed", HEARD, _HALF_A_SERVER_HELLO, https=True,
        why="The program has crashed in the handshake, or something on the way forbids it.",
    ),
    unasked(
        "a handshake that is reset", "tls_closed", HEARD, RESET, https=True,
        why="A proxy that knows no such host does so, or a firewall that reads names.",
    ),
    unasked(
        "plain HTTP on a port for TLS", "tls_plaintext", HEARD,
        said("400 Bad Request", "Content-Length: 0", "Connection: close"), https=True,
        why="The port does not speak TLS.",
    ),
    unasked(
        "an SSH server on a port for TLS", "tls_plaintext", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", HANG, https=True,
        why="Another program listens on the port.",
    ),
)  # fmt: skip
