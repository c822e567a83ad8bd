"""Which statuses are bad, as it is written: ``5xx, 429``, ``500-503``, ``error, fatal``."""

from __future__ import annotations

import re

from probes.contract import BadField

USUAL = "5xx"
_STATUS = re.compile(r"(\d)xx|(\d{1,3})(?:\s*-\s*(\d{1,3}))?|([a-z][a-z0-9_-]*)", re.IGNORECASE)


def bad_statuses(written: str) -> frozenset[bytes]:
    """Every status that is bad, in lower case. Raises `BadField`."""
    found: set[bytes] = set()
    for part in filter(None, map(str.strip, written.split(","))):
        match = _STATUS.fullmatch(part)
        if match is None:
            raise BadField("bad", f"{written!r} names no statuses: write 5xx, or 5xx, 429, or 500-503")
        group, first, last, word = match.groups()
        if word is not None:
            found.add(word.lower().encode())
        elif group is not None:
            found.update(b"%d" % status for status in range(int(group) * 100, int(group) * 100 + 100))
        elif last is not None and int(last) < int(first):
            raise BadField("bad", f"{part!r} is the wrong way round")
        else:
            found.update(
                b"%03d" % n if len(first) == 3 else b"%d" % n for n in range(int(first), int(last or first) + 1)
            )
    if not found:
        raise BadField("bad", "names no status: write 5xx, or 5xx, 429")
    return frozenset(found)
