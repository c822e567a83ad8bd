"""NSD, an authoritative name server, from Debian: one zone by UDP, TCP and TLS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import daemon, find, free_port, listens

ZONE = """
$ORIGIN example.com.
$TTL 300
@     SOA  ns1 hostmaster {serial} 7200 3600 1209600 60
@     NS   ns1
@     MX   10 mail
@     TXT  "v=spf1 mx " "-all"
ns1   A    127.0.0.1
mail  A    192.0.2.25
shop  60 A 203.0.113.7
shop  60 A 203.0.113.8
www   60 CNAME shop
{many}
"""
MANY = 200
"""Addresses of `many.example.com`: too many for a datagram."""

_CONFIG = """
server:
  ip-address: 127.0.0.1
  port: {port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  xfrdir: "{folder}"
  database: ""
{tls}
remote-control:
  control-enable: no
zone:
  name: example.com
  zonefile: example.com.zone
"""
_TLS = """
  ip-address: 127.0.0.1@{port}
  tls-port: {port}
  tls-service-key: "{key}"
  tls-service-pem: "{certificate}"
"""


@dataclass(frozen=True)
class Nsd:
    """A server that runs: its ports, and the process to be paused or killed."""

    port: int
    tls_port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def nsd_server(folder: Path, certificate: Path, key: Path, serial: int = 2026112201) -> Iterator[Nsd]:
    """A server of `ZONE`. Raises `Absent`."""
    program = find("nsd", "nsd")
    many = "\n".join(f"many A 198.51.100.{number}" for number in range(MANY))
    (folder / "example.com.zone").write_text(ZONE.format(serial=serial, many=many))
    port, tls_port = free_port(), free_port()
    tls = _TLS.format(port=tls_port, key=key, certificate=certificate)
    (folder / "nsd.conf").write_text(_CONFIG.format(port=port, folder=folder, tls=tls))
    command = [program, "-d", "-c", str(folder / "nsd.conf")]
    with daemon(command, folder, lambda: listens(port) and listens(tls_port)) as process:
        yield Nsd(port, tls_port, process)
