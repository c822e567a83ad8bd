"""A real nginx writes its log under load while it is rotated by a signal and cut by copytruncate: nothing is lost
that logrotate itself does not lose, and nothing is counted twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from probes.contract import Context
from probes.error_rate import ErrorRate
from tests.probes.judged import look
from tests.servers import daemon, find, free_port, listens, wait_until

CONFIG = """\
daemon off;
worker_processes 2;
error_log {folder}/error.log warn;
pid {folder}/nginx.pid;
{user}
events {{ worker_connections 256; }}
http {{
    log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                     '"$http_referer" "$http_user_agent" $request_time $upstream_response_time';
    log_format structured escape=json '{{"status": "$status", "request": "$request", "request_time": $request_time}}';
    access_log {folder}/access.log timed;
    access_log {folder}/access.json structured;
    client_body_temp_path {folder}/tmp;
    proxy_temp_path {folder}/tmp;
    fastcgi_temp_path {folder}/tmp;
    uwsgi_temp_path {folder}/tmp;
    scgi_temp_path {folder}/tmp;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200; }}
        location /bad {{ return 503; }}
        location /healthz {{ return 200; }}
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        return self.folder / "access.log"

    async def ask(self, path: str, times: int) -> None:
        """Requests over one connection; each answer is waited for, so nginx writes its line soon."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for number in range(times):
            writer.write(f'GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: "q" \\ {number}\r\n\r\n'.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()

    def wrote(self, text: str, times: int) -> Callable[[], bool]:
        """Its last line comes after the last answer."""
        return lambda: self.log.read_text().count(text) == times

    def reopen(self) -> None:
        self.process.send_signal(signal.SIGUSR1)


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    (folder / "tmp").mkdir()
    program = find("nginx", "nginx-light")
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, user=user))
    command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    with daemon(command, folder, lambda: listens(port), stop=signal.SIGQUIT) as process:
        yield Nginx(folder, port, process)


@asynccontextmanager
async def following(probe: ErrorRate, context: Context) -> AsyncIterator[ErrorRate]:
    assert (await look(probe, context)).ok
    yield probe
    await probe.close()


async def counted(probe: ErrorRate, context: Context, wanted: tuple[float, float], patience: float = 30) -> None:
    """Look until there is no more; what was seen in all must be this."""
    total = bad = 0.0
    async with asyncio.timeout(patience):
        while (total, bad) < wanted:
            seen = await look(probe, context)
            assert seen.ok, seen
            total, bad = total + seen.measurements["requests"], bad + seen.measurements["bad_requests"]
            await asyncio.sleep(0.02)
    seen = await look(probe, context)
    assert seen.ok, seen
    assert (total + seen.measurements["requests"], bad + seen.measurements["bad_requests"]) == wanted


async def test_its_lines_are_understood(nginx: Nginx, context: Context) -> None:
    both = (
        ErrorRate(log=(str(nginx.log),), ignore_paths=("/healthz",)),
        ErrorRate(log=(str(nginx.folder / "access.json"),), format="json", ignore_paths=("/healthz",)),
    )
    for probe in both:
        fresh = replace(context, memory={})
        async with following(probe, fresh):
            for path, times in (("/ok?token=x", 30), ("/bad/4711?token=x", 10), ("/healthz", 50)):
                await nginx.ask(path, times)
            seen = await look(probe, fresh)
            while seen.measurements["requests"] < 40:  # the last lines may still be on their way
                more = await look(probe, fresh)
                seen = replace(more, measurements=dict(more.measurements) | {
                    name: seen.measurements[name] + more.measurements[name] for name in ("requests", "bad_requests")
                })  # fmt: skip
            assert seen.measurements["requests"] == 40
            assert seen.measurements["bad_requests"] == 10
            assert seen.measurements["latency_p99"] < 1
            assert seen.evidence["worst_path"].startswith("/bad/* (")


async def test_rotated_under_load_by_a_signal(nginx: Nginx, context: Context) -> None:
    probe = ErrorRate(log=(str(nginx.log),))
    async with following(probe, context):
        load = [asyncio.create_task(nginx.ask("/bad", 300)) for _ in range(4)]
        load += [asyncio.create_task(nginx.ask("/", 300)) for _ in range(4)]
        for number in range(1, 6):
            await asyncio.sleep(0.05)
            nginx.log.rename(nginx.folder / f"access.log-2026112{number}")
            await asyncio.sleep(0.02)  # nginx goes on writing to the renamed file
            nginx.reopen()
            await asyncio.to_thread(wait_until, nginx.log.exists, "nginx did not reopen its log")
        await asyncio.gather(*load)
        await counted(probe, context, (2400, 1200))


async def test_rotated_while_the_agent_restarts(nginx: Nginx, context: Context) -> None:
    probe = ErrorRate(log=(str(nginx.log),))
    async with following(probe, context):
        load = asyncio.gather(nginx.ask("/bad", 400), nginx.ask("/", 400))
        await asyncio.sleep(0.05)
        first = await look(probe, context)
        await probe.close()
        nginx.log.rename(nginx.folder / "access.log.1")
        nginx.reopen()
        await load
        await asyncio.to_thread(wait_until, nginx.log.exists, "nginx did not reopen its log")
    again = ErrorRate(log=(str(nginx.log),))
    figures = first.measurements
    await counted(again, context, (800 - figures["requests"], 400 - figures["bad_requests"]))
    await again.close()


async def test_copied_and_truncated(nginx: Nginx, context: Context) -> None:
    probe = ErrorRate(log=(str(nginx.log),))
    async with following(probe, context):
        await nginx.ask("/", 50)
        await counted(probe, context, (50, 0))
        for number in range(3, 6):
            await nginx.ask(f"/bad/{number}", 100)
            await asyncio.to_thread(
                wait_until, nginx.wrote(f"GET /bad/{number} ", 100), "nginx did not write its lines"
            )
            # Between requests: what is written during the copy, copytruncate itself loses.
            shutil.copyfile(nginx.log, nginx.folder / f"access.log.{number}")
            os.truncate(nginx.log, 0)
            await nginx.ask(f"/{number}", 20)
            await counted(probe, context, (120, 100))
