"""A real Alertmanager that tells a receiver of the test."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

from tests.servers import daemon, find, free_port

_CONFIG = """
route: {{receiver: hook, group_by: [incident], group_wait: 200ms, group_interval: 300ms, repeat_interval: 1h}}
receivers:
  - name: hook
    webhook_configs: [{{url: "{url}", send_resolved: true}}]
"""


@contextmanager
def alertmanager(folder: Path, receiver: str) -> Iterator[str]:
    """Its address. What it tells goes to `receiver`, in the webhook format of version 4."""
    port = free_port()
    config = folder / "alertmanager.yml"
    config.write_text(_CONFIG.format(url=receiver), encoding="utf-8")
    command = [
        find("prometheus-alertmanager", "prometheus-alertmanager"),
        f"--config.file={config}", f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with daemon(command, folder, lambda: _ready(url)):
        yield url


def alerts(url: str) -> list[dict[str, Any]]:
    """Those that fire now."""
    with urllib.request.urlopen(f"{url}/api/v2/alerts?active=true", timeout=5) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
