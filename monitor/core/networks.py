"""What an address says of the network that it is in: this machine, one next door, the internet."""

from __future__ import annotations

import ipaddress

from monitor.core.model import Look


def network_of(look: Look, host: str) -> str:
    """What is one network to the guard: an IPv4 /16, an IPv6 /32; a name that has no address is one by itself."""
    found = _address(look, host)
    if found is None:
        return host
    return str(ipaddress.ip_network((found, 16 if found.version == 4 else 32), strict=False))


def is_far(look: Look, host: str) -> bool:
    """Whether the target has an address of the internet, and none of a private network."""
    found = _address(look, host)
    return found is not None and found.is_global


def _address(look: Look, host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The one that the look has connected to, as far as it says so."""
    address = look.observation.evidence.get("address", "")
    text = address.rpartition(":")[0].strip("[]") if ":" in address else address
    try:
        return ipaddress.ip_address(text or host)
    except ValueError:
        return None


def is_here(host: str) -> bool:
    """Whether a host is this machine itself, which no network of ours is needed for."""
    if host == "localhost" or host.endswith(".localhost") or host.startswith("/"):  # a socket in the file system
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
