"""Schemathesis against a real agent: it reads the OpenAPI document and asks what nobody would think of asking."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.end_to_end.rig import agent, environment, until_state

if find_spec("schemathesis") is None:  # importing it costs each worker a second
    pytest.skip("make creates the environment anew with it: make test", allow_module_level=True)

CONFIG = """
agent: {{listen: "127.0.0.1:0", state_dir: "{state}"}}
sinks: {{terminal: {{type: console}}}}
services: {{shop: {{title: Web shop, outage: any of home}}}}
checks:
  - {{name: home, service: shop, probe: tcp, address: "127.0.0.1:1", every: 1s, timeout: 500ms}}
  - {{name: "a/b c", service: shop, probe: exec, command: [/bin/true], every: 1s, timeout: 500ms}}
"""


@pytest.mark.timeout(120)
async def test_every_answer_to_whatever_is_asked_is_one_that_the_document_announces(tmp_path: Path) -> None:
    file = tmp_path / "checks.yaml"
    file.write_text(CONFIG.format(state=tmp_path / "state"))
    with agent(tmp_path, "run", file) as running:
        url = await running.started()
        await until_state(url, "home", "down")
        said, code = await explored(f"{url}/api/v1/openapi.json", tmp_path)
        assert code == 0, said[-6000:]
        assert "request_failed" not in running.log
        assert "Traceback" not in running.log
        assert await running.stop() == 0


async def explored(url: str, folder: Path) -> tuple[str, int]:
    """What it said, and its exit code. The same requests every time: no seed, no database."""
    options = (
        "--phases=examples,coverage,fuzzing", "--checks=all", "--max-examples=4", "--generation-deterministic",
        "--request-timeout=10", "--suppress-health-check=all", "--warnings=off",
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "run", url, *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        cwd=folder, env=environment({"COLUMNS": "200"}),
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 90)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return said.decode(), process.returncode
