"""A case under way: its server runs, and here is what to ask."""

from __future__ import annotations

import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from probes.contract import Probe
from probes.dns import Dns
from probes.http import Http
from tests.servers.authority import Authority
from tests.servers.misbehaving.case import HELLO, Case, Names, Network, Site
from tests.servers.misbehaving.naming import SHOP
from tests.servers.misbehaving.serving import serving
from tests.servers.misbehaving.steps import ASKED
from tests.servers.name_server import name_server


@dataclass(frozen=True)
class Waiting:
    """Listens to the wire, and holds back the first request until the server has spoken."""

    spoken: threading.Event

    def sent(self, peer: str, data: bytes, at: float) -> None:
        assert self.spoken.wait(10)
        self.spoken.clear()

    def received(self, peer: str, data: bytes, at: float) -> None: ...

    def spent(self, phase: str, began: float, ended: float) -> None: ...

    def stopped(self, step: str, began: float, ended: float) -> None: ...

    def attempted(self, where: str, began: float, ended: float, told: str) -> None: ...

    def learnt(self, secret: str) -> None: ...

    def noted(self, what: str, at: float) -> None: ...


@dataclass(frozen=True)
class Place:
    """What to ask: a URL, by the `resolver` (address and port) if there is one; or the name server at `address`. The
    context of a look gets the `trace`."""

    url: str = ""
    resolver: tuple[str, int] | None = None
    address: str = ""
    trace: Waiting | None = None


@contextmanager
def place_of(case: Case, authority: Authority, resolver: tuple[str, int] | None = None) -> Iterator[Place]:
    """The server of a case, as long as this lasts; one that is a resolver is at that address, or anywhere."""
    match case.server:
        case Site(script) as site:
            with serving(script, _tls_of(site, authority)) as server:
                trace = Waiting(server.spoken) if site.early else None
                yield Place(f"{site.scheme}://{site.host}:{server.port}/", trace=trace)
        case Names(by_udp, by_tcp, True):
            with name_server(by_udp, by_tcp) as asked:
                yield Place(address=asked.address)
        case Names(by_udp, by_tcp):
            with serving((ASKED, HELLO)) as server, name_server(by_udp, by_tcp, where=resolver) as asked:
                yield Place(f"http://{SHOP}:{server.port}/", resolver or ("127.0.0.1", asked.port))
        case Network(address, port):
            yield Place(f"http://{address}:{port}/")


def probe_of(case: Case, place: Place, authority: Authority) -> Probe:
    """What looks at it."""
    if place.address:
        return Dns(SHOP, server=place.address)
    fields = dict(case.server.fields) if isinstance(case.server, Site) else {}
    if place.url.startswith("https:"):
        fields["ca_file"] = authority.file
    return Http(place.url, **fields)


def _tls_of(site: Site, authority: Authority) -> ssl.SSLContext | None:
    if site.certificate is None:
        return None
    if site.newest is None:
        return authority.server(site.certificate, clients=site.clients)
    newest = ssl.TLSVersion[site.newest]
    context = authority.server(site.certificate, clients=site.clients)
    context.set_ciphers("ALL:@SECLEVEL=0")  # or OpenSSL refuses to speak the old versions itself
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # old versions are what is wanted
        context.minimum_version = min(newest, ssl.TLSVersion.TLSv1_2)
        context.maximum_version = newest
    return context
