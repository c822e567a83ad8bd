"""A broker that speaks Kafka's protocol: the mock cluster that librdkafka brings, in a process of its own.

It is the real protocol over real sockets, with topics, records, groups and commits; it has no ListGroups and no
DescribeGroups, keeps at most some thousand records, and makes a topic when it is asked for one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import daemon

_PROGRAM = """
import sys, time
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": "none:1", "test.mock.num.brokers": 1})
for broker in producer.list_topics(timeout=30).brokers.values():
    print(f"port {broker.port} ready", flush=True)
while True:
    time.sleep(3600)
"""


@dataclass(frozen=True)
class Kafka:
    """A cluster of one broker that runs: its port, and the process to be paused or killed."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def broker(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def kafka(folder: Path) -> Iterator[Kafka]:
    """An empty cluster."""

    def port() -> int | None:
        told = "".join(log.read_text(errors="replace") for log in folder.glob("python*.log"))
        found = re.search(r"port (\d+) ready", told)
        return int(found[1]) if found else None

    with daemon([sys.executable, "-c", _PROGRAM], folder, port) as process:
        yield Kafka(port() or 0, process)
