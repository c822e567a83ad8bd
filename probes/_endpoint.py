"""``host:port`` as people write it."""

from __future__ import annotations

import re

from probes.contract import BadField

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@]+)):(\d{1,5})")


def host_and_port(text: str, field: str = "address") -> tuple[str, int]:
    """The host, lower case and without brackets, and the port. Raises `BadField` for `field`."""
    match = _ADDRESS.fullmatch(text)
    if match is not None and not 0 < int(match[3]) < 65_536:
        raise BadField(field, f"the port of {text!r} is out of range: write one from 1 to 65535")
    if match is None:
        raise BadField(field, f"{text!r} is not host:port, such as mail.example.com:25 or [::1]:25")
    return (match[1] or match[2]).lower(), int(match[3])
