"""Names of hosts, as they stand in URLs and in the headers Host and Origin."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def hostname(url: str) -> str | None:
    """The host of a URL, lower case and without a final dot; None if there is none or it cannot be read."""
    try:
        name = urlsplit(url).hostname
    except ValueError:
        return None
    return name.rstrip(".") if name else None


def is_loopback_name(name: str) -> bool:
    """``localhost``, its subdomains, and loopback addresses."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_address(name: str) -> bool:
    """An address stands for itself: nobody can point it at another machine, as a name can be."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def network(remote: str | None) -> str:
    """An address; of IPv6 the network of one customer, within which addresses cost nothing."""
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return remote or ""
    if isinstance(address, ipaddress.IPv6Address) and not address.is_loopback:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
