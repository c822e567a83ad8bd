"""A real nginx is stopped, started, slowed, made to fail, and the real agent tells exactly that and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.ledger import check_ledger
from tests.end_to_end.rig import (
    Receiver,
    agent,
    free_address,
    listening,
    look_times,
    status,
    until,
    until_state,
)
from tests.end_to_end.stage import write_checks

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")

WELL = "location / { try_files /page.html =404; }"
SLOW = "location / { limit_rate 20k; try_files /page.html =404; }"
BROKEN = "location / { return 500; }"
EVERY_THIRD = "location / { if ($unlucky) { return 500; } try_files /page.html =404; }"

MAIN = """\
daemon off;
master_process on;
worker_processes 1;
error_log {folder}/error.log warn;
pid {folder}/nginx.pid;
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/tmp;
    proxy_temp_path {folder}/tmp;
    fastcgi_temp_path {folder}/tmp;
    uwsgi_temp_path {folder}/tmp;
    scgi_temp_path {folder}/tmp;
    # Each look comes with a connection of its own, and they are numbered.
    map $connection $unlucky {{ default 0; ~[258]$ 1; }}
    server {{
        listen {host}:{port};
        root {folder}/www;
        include {folder}/location.conf;
    }}
}}
"""

SERVICES = """\
services:
  shop: {title: Web shop, outage: any of home}
"""
PACE = """\
  every: 2s
  timeout: 2s
  confirm: {policy: consecutive, looks: 4, span: 1s}
  recover: {looks: 8, every: 250ms}
  flapping: off
"""
CHECK = """\
  - name: home
    service: shop
    probe: http
    url: http://%s:%d/
    expect: {status: 200, body: Add to cart}
    degraded: mean(response_time, 6s) > 500ms, clear < 300ms
"""

PAGE = "<p>Add to cart</p>" + "x" * 40_000
"""At 20 KB a second it takes about one second more."""


@dataclass
class Nginx:
    """The Debian package's nginx with a configuration of our own, in the foreground."""

    folder: Path
    host: str
    port: int
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        for name in ("tmp", "www"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "www" / "page.html").write_text(PAGE)
        # Its workers would be www-data, who may not look into our folder.
        user = "user root;" if os.getuid() == 0 else ""
        main = MAIN.format(folder=self.folder, host=self.host, port=self.port, user=user)
        (self.folder / "nginx.conf").write_text(main)
        self._behave(WELL)

    def _behave(self, location: str) -> None:
        (self.folder / "location.conf").write_text(location + "\n")

    def start(self) -> None:
        assert NGINX
        self.process = subprocess.Popen(
            [NGINX, "-p", self.folder, "-e", self.folder / "error.log", "-c", self.folder / "nginx.conf"],
            stdin=subprocess.DEVNULL,
        )

    def turn(self, location: str) -> None:
        """Another behaviour, by a graceful reload."""
        assert self.process
        self._behave(location)
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(20)
            self.process = None


@contextmanager
def nginx(folder: Path) -> Iterator[Nginx]:
    server = Nginx(folder, *free_address())
    try:
        yield server
    finally:
        if server.process is not None:
            server.process.terminate()
            server.process.wait(20)


OUTAGE = [("opened", "outage"), ("updated", "degradation"), ("resolved", "degradation")]
DEGRADATION = [("opened", "degradation"), ("resolved", "degradation")]


@pytest.mark.early
@pytest.mark.timeout(240)
@pytest.mark.skipif(NGINX is None, reason="nginx is not installed here: apt-get install nginx-light")
async def test_what_befalls_a_real_nginx_is_told_and_nothing_else(tmp_path: Path) -> None:
    async with listening(Receiver()) as receiver:
        with nginx(tmp_path / "nginx") as server:
            file = write_checks(tmp_path, receiver, CHECK % (server.host, server.port), pace=PACE, services=SERVICES)
            server.start()
            with agent(tmp_path, "run", file) as running:
                url = await running.started()
                await until_state(url, "home", "up")
                await look_times(url, "home", 4)
                assert receiver.webhooks == [], "the first good news is no news"

                async def told(number: int, what: str) -> None:
                    await until(lambda: len(receiver.told) >= number, f"{what}: {receiver.told}")

                server.stop()
                await told(2, "the outage")
                server.start()
                await told(6, "the end of the outage")
                server.turn(SLOW)
                await told(8, "slow pages")
                server.turn(WELL)
                await told(10, "quick pages")
                server.turn(BROKEN)
                await told(12, "errors")
                server.turn(WELL)
                await told(16, "the end of errors")
                server.turn(EVERY_THIRD)
                await told(18, "every third request")
                server.turn(WELL)
                await told(20, "the end of every third request")

                await look_times(url, "home", 4)
                summary = (await status(url))["summary"]
                assert await running.stop() == 0
            assert summary == {"state": "operational", "sentence": "All systems operational"}
            assert receiver.incidents() == OUTAGE + DEGRADATION + OUTAGE + DEGRADATION
            assert receiver.checks("home") == [
                ("up", "down", "refused"),
                ("down", "degraded", "failing"),
                ("degraded", "up", None),
                ("up", "degraded", "threshold"),
                ("degraded", "up", None),
                ("up", "down", "status"),
                ("down", "degraded", "failing"),
                ("degraded", "up", None),
                ("up", "degraded", "failing"),
                ("degraded", "up", None),
            ]
            assert len(receiver.webhooks) == 20
            assert receiver.repeated == []
            check_ledger(receiver)
            names = [webhook.event["incident"]["id"] for webhook in receiver.told if "incident" in webhook.event]
            assert len(set(names)) == 4, "each trouble is an incident of its own"
