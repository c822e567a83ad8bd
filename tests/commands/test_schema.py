"""`brownout schema` and `brownout demo`"""

from __future__ import annotations

import json
import os
import socket
import subprocess

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.commands.called import brownout, called
from tests.end_to_end.rig import BROWNOUT, ROOT, environment

pytestmark = pytest.mark.timeout(180)


def test_schema() -> None:
    for arguments, told in (((), "checks"), (("--event",), "sentence")):
        done = called("schema", *arguments)
        assert done.returncode == 0
        schema = json.loads(done.stdout)
        Draft202012Validator.check_schema(schema)
        assert told in schema["properties"]


def test_the_schema_accepts_the_shipped_file() -> None:
    schema = json.loads(brownout("schema").stdout)
    text = (ROOT / "checks.yaml").read_text()
    Draft202012Validator(schema).validate(yaml.load(text, yaml.BaseLoader))


def test_output_that_nobody_reads_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [BROWNOUT, "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False, env=environment()
        )
    finally:
        os.close(writer)
    assert "Traceback" not in done.stderr


@pytest.mark.early
@pytest.mark.timeout(300)
def test_the_demo_from_beginning_to_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = subprocess.run(
        [BROWNOUT, "demo", "--port", str(port)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every signature verified, none twice" in done.stdout
    assert done.stderr == ""


def test_the_demo_on_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = brownout("demo", "--port", str(port))
    assert done.returncode == 2
    assert done.stderr == (
        f"brownout: cannot listen on 127.0.0.1:{port}: Address already in use: "
        "try brownout demo --port 9799; nothing was started\n"
    )


@pytest.mark.parametrize("port", ["99999", "65536", "0", "-1"])
def test_the_demo_on_a_port_that_is_none(port: str) -> None:
    done = called("demo", "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"brownout: there is no port {port}: write --port with a number from 1 to 65535\n"
