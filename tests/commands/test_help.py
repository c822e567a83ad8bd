"""What the command line says of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.called import PASSWORD, brownout, called, checks
from tests.end_to_end.rig import ROOT, environment

COMMANDS = ("run", "validate", "look", "status", "schema", "demo")
pytestmark = pytest.mark.timeout(180)


def test_help_names_every_command_and_the_exit_codes() -> None:
    done = brownout("--help")
    assert done.returncode == 0
    assert all(f"\n    {command} " in done.stdout for command in COMMANDS)
    assert "exit codes:" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str) -> None:
    done = called(command, "--help")
    assert done.returncode == 0
    assert f"usage: brownout {command}" in done.stdout
    assert "exit codes:" in done.stdout


def test_the_version() -> None:
    assert brownout("--version").stdout.startswith("brownout ")


@pytest.mark.parametrize("arguments", [(), ("rnu",), ("look",), ("run", "--fast"), ("validate", "a", "b")])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    done = called(*arguments)
    assert done.returncode == 2
    assert "usage: brownout" in done.stderr


HEAVY = ["asyncio", "pydantic", "yaml", "ssl", "rich", "structlog", "uvloop", "httpx", "aiohttp", "sqlite3", "psutil"]


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["--help"], set()),
        (["validate", "checks.yaml"], {"asyncio", "pydantic", "yaml", "ssl"}),
        (["look", "checks.yaml", "home"], {"asyncio", "pydantic", "yaml", "ssl", "rich", "structlog", "uvloop"}),
        (["status", "--url", "http://127.0.0.1:1"], {"asyncio", "rich", "httpx", "ssl"}),
        (["backup", "copy.db", "--state-dir", "none"], {"ssl", "sqlite3"}),
    ],
)
def test_a_command_imports_no_more_than_it_needs(tmp_path: Path, arguments: list[str], needed: set[str]) -> None:
    """Which is most of its time: `bench.cli` measures it. Of the probes only those that the file names."""
    checks(tmp_path)
    script = f"""\
import sys, monitor.cli
try:
    monitor.cli.main({arguments!r})
except SystemExit:
    pass
kinds = [name for name in ("probes.http", "probes.host", "probes.queue", "probes.error_rate") if name in sys.modules]
print("IMPORTED", *(name for name in {HEAVY!r} if name in sys.modules), *kinds)
"""
    env = environment({"SHOP_PASSWORD": PASSWORD, "PYTHONPATH": str(ROOT)})
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.partition("IMPORTED")[2].split())
    assert imported <= needed | {"probes.http"}
