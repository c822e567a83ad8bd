"""In which order the addresses of a name are tried (RFC 6724, 6), as getaddrinfo has them.

Those that this machine has no way to come last; then those whose source fits; then by the table, which prefers IPv6.
What is equal stays as the name server has it, so that its turns count (rule 9 is left out, as it would undo them).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_TABLE = tuple(
    (IPv6Network(prefix), precedence, label)
    for prefix, precedence, label in (
        ("::1/128", 50, 0),
        ("::ffff:0:0/96", 35, 4),
        ("::/96", 1, 3),
        ("2001::/32", 5, 5),
        ("2002::/16", 30, 2),
        ("3ffe::/16", 1, 12),
        ("fec0::/10", 1, 11),
        ("fc00::/7", 3, 13),
        ("::/0", 40, 1),
    )
)
"""RFC 6724, 2.1, the most precise first."""

_LINK, _SITE, _GLOBAL = 2, 5, 14
_MAPPED = 0xFFFF << 32


def source_for(host: str) -> str | None:
    """From which address this machine would go there; None where it has no way. Nothing is sent."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((host, 9))
            return str(sock.getsockname()[0])
    except OSError:
        return None


def in_order(hosts: Iterable[str], source: Callable[[str], str | None] = source_for) -> tuple[str, ...]:
    """The addresses (texts), the one to try first in front."""
    found = tuple(hosts)
    return found if len(found) < 2 else tuple(sorted(found, key=lambda host: _rank(host, source(host))))


def _rank(host: str, source: str | None) -> tuple[bool, bool, bool, int, int]:
    """The lower, the sooner."""
    to = _wide(host)
    precedence, label = _row(to)
    if source is None:
        return True, True, True, -precedence, 0
    from_ = _wide(source)
    return False, _scope(to) != _scope(from_), label != _row(from_)[1], -precedence, _scope(to)


def _row(address: IPv6Address) -> tuple[int, int]:
    return next((precedence, label) for network, precedence, label in _TABLE if address in network)


def _wide(host: str) -> IPv6Address:
    """As an IPv6 address, without its zone; one of IPv4 as a mapped one."""
    address = ip_address(host.partition("%")[0])
    return IPv6Address(_MAPPED | int(address)) if isinstance(address, IPv4Address) else address


def _scope(address: IPv6Address) -> int:
    """RFC 6724, 3.1 and 3.2."""
    narrow = address.ipv4_mapped
    if narrow is not None:
        return _LINK if narrow.is_loopback or narrow.is_link_local else _GLOBAL
    if address.is_loopback or address.is_link_local:
        return _LINK
    return _SITE if address.is_site_local else _GLOBAL
