"""Whom to ask: the server as people write it."""

from __future__ import annotations

import ipaddress

from probes._wire.endpoint import host_in, port_in
from probes.contract import BadField

PORT, TLS_PORT = 53, 853


def server_of(text: str, port: int) -> tuple[str, int]:
    """The host, without brackets and the final dot, and the port, which is `port` unless one is written. Raises
    `BadField` for `server`."""
    try:
        return str(ipaddress.IPv6Address(text)), port
    except ValueError:
        pass
    try:
        host, written = host_in(text, "write host, host:port or [IPv6 address]:port")
        return host.rstrip(".") or host, port_in(written) if written else port
    except ValueError as error:
        raise BadField("server", f"{text!r} is no server: {error}") from None
