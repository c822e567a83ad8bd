"""What a refused file's faults quote: no secret that the running agent knows, wherever the file has it now."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from monitor.config.load import load
from monitor.config.model import Config
from monitor.kinds import installed_kinds
from monitor.reload import Reloader
from monitor.systemd import Notifier
from tests.virtual_time import VirtualClock

SECRET = "correct-horse-battery-staple-0123456789"


@pytest.mark.parametrize("secret", [SECRET, SECRET * 50], ids=["short", "longer than a message"])
async def test_a_secret_that_was_moved_to_a_wrong_place_is_not_quoted(tmp_path: Path, secret: str) -> None:
    good = f'checks: [{{name: home, probe: http, url: "http://user:{secret}@192.0.2.1/"}}]\n'
    moved = f'checks: [{{name: home, probe: http, url: "http://192.0.2.1/", every: {secret}}}]\n'
    file = tmp_path / "checks.yaml"

    def read() -> Config:
        return load(file, kinds=installed_kinds(), env={})

    file.write_text(good)
    reloader = Reloader(read(), read, lambda *_: None, lambda _: None, Notifier(None), VirtualClock())
    file.write_text(moved)
    running = asyncio.create_task(reloader.run())
    outcome = await reloader.ask()
    assert not outcome.accepted
    assert SECRET[:8] not in str(outcome.as_json())
    assert outcome.faults[0].path == "checks[0].every"
    running.cancel()
    await asyncio.wait([running])
