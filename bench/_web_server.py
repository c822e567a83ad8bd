"""nginx from Debian's package on loopback, plain and with TLS: what looks are measured against."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import daemon, find, free_port, listens

NAME = "bench.test"
"""What the certificate is for."""

_CONFIGURATION = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    ssl_certificate {folder}/own.pem;
    ssl_certificate_key {folder}/own.key;
    ssl_session_cache off;
    server {{ listen {plain} backlog=4096; location / {{ return 200 "ok"; }} }}
    server {{ listen {tls} ssl backlog=4096; location / {{ return 200 "ok"; }} }}
}}
"""


@dataclass(frozen=True, slots=True)
class WebServer:
    """Its ports, on every address of loopback, and the file of the authority that has signed its certificate."""

    plain: int
    tls: int
    authority: Path


@contextmanager
def nginx(folder: Path, core: int) -> Iterator[WebServer]:
    """Raises `tests.servers.Absent` where it is not installed."""
    command = find("nginx", "nginx-light")
    _sign(folder)
    server = WebServer(free_port(), free_port(), folder / "authority.pem")
    file = folder / "nginx.conf"
    file.write_text(_CONFIGURATION.format(folder=folder, plain=server.plain, tls=server.tls), encoding="utf-8")
    given = [command, "-c", str(file), "-e", str(folder / "error.log")]
    with daemon([*_bound(core), *given], folder, lambda: listens(server.plain) and listens(server.tls)):
        yield server


def _bound(core: int) -> list[str]:
    return [find("taskset", "util-linux"), "--cpu-list", str(core)]


def _sign(folder: Path) -> None:
    """An authority with a key on P-256, and a certificate for `NAME` that it has signed."""
    openssl = find("openssl", "openssl")

    def run(*given: str) -> None:
        subprocess.run([openssl, *given], cwd=folder, check=True, capture_output=True, env={**os.environ})

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run(
        "req", "-x509", *key, "-keyout", "authority.key", "-out", "authority.pem", "-subj", "/CN=bench", "-days", "30"
    )
    run("req", *key, "-keyout", "own.key", "-out", "own.csr", "-subj", f"/CN={NAME}")
    (folder / "names").write_text(f"subjectAltName=DNS:{NAME}\n", encoding="utf-8")
    signing = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-days", "30")
    run("x509", "-req", "-in", "own.csr", *signing, "-extfile", "names", "-out", "own.pem")
