"""The examples in the documentation that can be run are run."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from docs import live
from monitor.sinks import _signing
from tests.pages import BLOCKS, Block, blocks, marked


@pytest.mark.parametrize("block", blocks("python"))
def test_python_compiles(block: Block) -> None:
    try:
        compile(block.text, str(block), "exec")
    except SyntaxError:
        # A method by itself, as writing-a-probe.md shows it.
        compile("class Shown:\n" + block.text, str(block), "exec")


@pytest.mark.parametrize(("told", "event"), live.examples().items())
def test_example_events_are_valid(told: str, event: Mapping[str, Any]) -> None:
    jsonschema.validate(event, live.schema())
    shown = [json.loads(block.text) for block in BLOCKS if block.language == "json"]
    assert json.loads(json.dumps(event)) in shown, told


_PATIENCE = 60.0
"""Seconds: far more than needed, the machine may be busy with other things."""
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = '{"sentence":"Web shop is degraded: “slow”."}'.encode()


def _signed() -> dict[str, str]:
    return _signing.headers([_signing.key_of(SECRET)], "evt_a", datetime.now(UTC), BODY)


def _verifier(language: str) -> str:
    return next(block.text for block in BLOCKS if block.language == language and block.mark == "example: verify")


def test_the_python_verifier() -> None:
    names: dict[str, Any] = {}
    exec(compile(_verifier("python"), "events.md", "exec"), names)
    verify, signed = names["verify"], _signed()
    assert verify(SECRET, signed, BODY)
    assert verify(SECRET, {**signed, "webhook-signature": "v1,b3RoZXI= " + signed["webhook-signature"]}, BODY)
    assert not verify(SECRET, signed, BODY + b" ")
    assert not verify(SECRET, {**signed, "webhook-id": "evt_b"}, BODY)
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    assert not verify(SECRET, _signing.headers([_signing.key_of(SECRET)], "evt_a", long_ago, BODY), BODY)


@pytest.mark.parametrize("program", [program for program in ("node",) if shutil.which(program)])
def test_the_node_verifier(program: str) -> None:
    arguments = f"{json.dumps(SECRET)}, {json.dumps(_signed())}"
    script = _verifier("javascript") + (
        f"console.log(verify({arguments}, Buffer.from(process.argv[1])), verify({arguments}, Buffer.from('x')))"
    )
    done = subprocess.run([program, "-e", script, BODY.decode()], capture_output=True, text=True, check=True)
    assert done.stdout == "true false\n"


@pytest.mark.parametrize("program", [program for program in ("openssl",) if shutil.which(program)])
def test_the_shell_verifier(program: str, tmp_path: Path) -> None:
    signed = _signed()
    (tmp_path / "body.json").write_bytes(BODY)
    env = {**os.environ, "SECRET": SECRET, "WEBHOOK_ID": signed["webhook-id"],
           "WEBHOOK_TIMESTAMP": signed["webhook-timestamp"]}  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", _verifier("bash")], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == signed["webhook-signature"], program


@pytest.mark.early
@pytest.mark.timeout(240)
def test_the_quick_start(tmp_path: Path) -> None:
    """Its files as they stand, with free ports: the shop dies, and the receiver prints a verified event."""
    shop, hook, page = _free_ports(3)
    receiver = marked("file: receiver.py", "quickstart.md").text.replace("9000", str(hook))
    checks = (
        marked("file: checks.yaml", "quickstart.md").text.replace(":9000", f":{hook}").replace(":8000", f":{shop}")
    )
    (tmp_path / "receiver.py").write_text(receiver, encoding="utf-8")
    (tmp_path / "checks.yaml").write_text(
        checks.replace("state_dir: state", f'state_dir: state\n  listen: "127.0.0.1:{page}"'), encoding="utf-8"
    )
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    (tmp_path / "shop").mkdir()
    (tmp_path / "hook.secret").write_text(secret + "\n", encoding="utf-8")
    brownout = [sys.executable, "-m", "monitor.cli"]
    server = ["http.server", str(shop), "--bind", "127.0.0.1", "--directory", "shop"]

    fine = subprocess.run([*brownout, "validate", "checks.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert fine.stdout == "checks.yaml: fine: 1 check, 1 service, 2 sinks, 1 route\n", fine.stderr
    commands = {
        "shop": [sys.executable, "-m", *server],
        "receiver": [sys.executable, "receiver.py"],
        "agent": [*brownout, "run", "checks.yaml"],
    }
    outputs = {name: tmp_path / f"{name}.txt" for name in commands}
    with ExitStack() as stack:
        for name, command in commands.items():
            output = stack.enter_context(outputs[name].open("w"))
            stack.callback(
                (started := subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output)).wait, 10
            )
            stack.callback(started.terminate)
            if name == "shop":
                open_shop = started

        def until(reached: Callable[[], bool], what: str) -> None:
            deadline = time.monotonic() + _PATIENCE
            while not reached():
                printed = "".join(f"\n--- {name}:\n{output.read_text()}" for name, output in outputs.items())
                assert time.monotonic() < deadline, f"waited in vain for {what}{printed}"
                time.sleep(0.1)

        for name, port in zip(commands, (shop, hook, page), strict=True):
            until(lambda port=port: _answers(port), name)
        look = subprocess.run([*brownout, "look", "checks.yaml", "home"], cwd=tmp_path, capture_output=True)
        assert look.returncode == 0, look.stdout.decode()
        until(lambda: _is_up(page), "a first good look")
        open_shop.terminate()
        told = "incident.opened - Web shop has an outage since"
        until(lambda: told in outputs["receiver"].read_text(), "the outage")


def _free_ports(count: int) -> list[int]:
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [item.getsockname()[1] for item in listening]
    for item in listening:
        item.close()
    return ports


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _is_up(page: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{page}/api/v1/checks/home", timeout=_PATIENCE) as answer:
        return bool(json.load(answer)["state"] == "up")
