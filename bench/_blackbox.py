"""blackbox_exporter from Debian's package, driven as Prometheus drives it: by `/probe` over kept connections."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

from tests.servers import daemon, find, free_port, listens

_CONFIGURATION = """\
modules:
  plain:
    prober: http
    timeout: 5s
    http: {preferred_ip_protocol: ip4, valid_status_codes: [200]}
"""


@dataclass(frozen=True, slots=True)
class Blackbox:
    """The exporter, bound to one core; whoever asks it is on another one."""

    port: int
    process: int
    asker: int
    """The core of the driver."""

    def look(self, targets: Sequence[str], looks: int, in_flight: int) -> float:
        """Microseconds of its CPU time a probe of one of these URLs. Raises `RuntimeError` when one fails."""
        before = cpu_of(self.process)
        with ThreadPoolExecutor(in_flight) as pool:
            list(pool.map(lambda first: self._ask(targets, range(first, looks, in_flight)), range(in_flight)))
        return (cpu_of(self.process) - before) / looks * 1e6

    def _ask(self, targets: Sequence[str], numbers: range) -> None:
        os.sched_setaffinity(0, {self.asker})  # of this thread
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        for number in numbers:
            target = quote(targets[number % len(targets)], safe="")
            connection.request("GET", f"/probe?module=plain&target={target}")
            if b"\nprobe_success 1\n" not in connection.getresponse().read():
                raise RuntimeError("a probe failed")
        connection.close()


def cpu_of(process: int) -> float:
    """Seconds of CPU time of a process so far, user and system, to 0.01 s."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def blackbox(folder: Path, core: int, asker: int) -> Iterator[Blackbox]:
    """Raises `tests.servers.Absent` where it is not installed."""
    command = find("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
    file, port = folder / "blackbox.yml", free_port()
    file.write_text(_CONFIGURATION, encoding="utf-8")
    given = [command, f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    bound = [find("taskset", "util-linux"), "--cpu-list", str(core), *given]
    with daemon(bound, folder, lambda: listens(port)) as process:
        yield Blackbox(port, process.pid, asker)
