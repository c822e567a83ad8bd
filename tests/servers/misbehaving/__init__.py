"""Every way we know in which a server misbehaves, each written once: `CASES`. The tests, the fuzzers' seeds, and the
comparison with curl and blackbox_exporter (`docs/verdicts.md`) all read this one table.

A case is what a server does (`serving`, `tests.servers.name_server`, `tests.servers.namespace`), what is to be said
of it, and why.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.servers.misbehaving import bodies, codings, handshakes, heads, naming, networks
from tests.servers.misbehaving.case import Case, Names, Network, Site, verdict_of
from tests.servers.misbehaving.serving import serving

__all__ = ["CASES", "GROUPS", "Case", "Names", "Network", "Site", "serving", "verdict_of"]

GROUPS: Mapping[str, tuple[Case, ...]] = {
    "Where the body ends": bodies.LENGTHS,
    "Chunks": bodies.CHUNKS,
    "Compression": (*codings.GOOD, *codings.BAD, *codings.BOMBS),
    "Slow and silent": bodies.SLOW,
    "Without end": bodies.SIZES,
    "Lines of the head": heads.LINES,
    "Statuses": heads.STATUSES,
    "No HTTP, or too early": heads.NOT_HTTP,
    "Connections that break": heads.BROKEN,
    "Redirects": heads.REDIRECTS,
    "Certificates": handshakes.CERTIFICATES,
    "Handshakes": handshakes.HANDSHAKES,
    "The agent's resolver": naming.RESOLVERS,
    "Name servers looked at": naming.NAME_SERVERS,
    "Networks": networks.NETWORKS,
}
"""By what is wrong, in the order of the document."""

CASES: tuple[Case, ...] = tuple(case for cases in GROUPS.values() for case in cases)
