"""The certificates of one handshake together: how long they last, and what is told of them.

Most looks meet the certificates that the one before has met, so what is worked out of them is kept: an https look
pays for a hash, and not for reading them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from probes._look import visible
from probes._tls.certificate import Certificate, decoded

_KEPT = 4096
"""Chains that are remembered, of some 700 bytes each."""
_FRESH = 60.0
"""Seconds for which the same certificate is believed to come with the same chain."""
_SHOWN_NAMES = 5
_known: OrderedDict[int, tuple[float, Described]] = OrderedDict()
"""By the hash of the server's own certificate, which nobody can aim at: it is seeded anew in each process."""


@dataclass(frozen=True, slots=True)
class Described:
    """What every look that met a chain tells of it."""

    end: float | None
    """When the first of it ends, in seconds since 1970; None where it cannot be read."""
    evidence: tuple[tuple[str, str], ...]


def described(leaf: bytes, chain: Callable[[], tuple[bytes, ...]]) -> Described:
    """Of the server's own certificate in DER, and of those that came with it: asked for only when needed."""
    key = hash(leaf)
    now = monotonic()
    found = _known.get(key)
    if found is None or now - found[0] > _FRESH:
        found = _known[key] = now, _describe(chain())
        if len(_known) > _KEPT:
            _known.popitem(last=False)
    return found[1]


def read(sent: tuple[bytes, ...]) -> tuple[Certificate, ...]:
    """Those that can be read, as they were sent."""
    found = []
    for der in sent:
        try:
            found.append(decoded(der))
        except ValueError:
            continue
    return tuple(found)


def path_of(certificates: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
    """From the server's own certificate to the last one before a root: the way that a client goes.

    What was sent beside it, such as a cross-signature for old clients that has ended, harms nobody, and is not in it.
    """
    if not certificates:
        return ()
    path = [certificates[0]]
    rest = list(certificates[1:])
    while not path[-1].by_itself:
        issuer = next((each for each in rest if each.subject_der == path[-1].issuer_der), None)
        if issuer is None or issuer.by_itself:
            break
        rest.remove(issuer)
        path.append(issuer)
    return tuple(path)


def first_to_end(path: tuple[Certificate, ...]) -> Certificate:
    return min(path, key=lambda each: each.end)


def called(certificate: Certificate) -> str:
    """Whom a certificate is for, in a few words."""
    return visible(certificate.common_name or next(iter(certificate.names), "") or "without a name", 60)


def day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def names_of(certificate: Certificate) -> str:
    names = certificate.names
    if not names:
        return f"no names but {called(certificate)}" if certificate.common_name else "no names"
    shown = ", ".join(visible(name, 64) for name in names[:_SHOWN_NAMES])
    more = len(names) - _SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _describe(sent: tuple[bytes, ...]) -> Described:
    path = path_of(read(sent))
    if not path:
        return Described(None, (("certificate", "cannot be read"),) if sent else ())
    leaf = path[0]
    signed = []
    for one, above in zip(path, (*path[1:], None), strict=True):
        if one.by_itself:
            signed.append("itself")
        else:
            ends = f" until {day(above.end)}" if above is not None and above.end < leaf.end else ""
            signed.append(f"{visible(one.issuer, 60) or 'somebody without a name'}{ends}")
    text = f"{names_of(leaf)}; until {day(leaf.end)}; {leaf.key or 'another key'}"
    evidence = (("certificate", visible(text)), ("chain", visible(f"by {', by '.join(signed)}")))
    return Described(first_to_end(path).end, evidence)
