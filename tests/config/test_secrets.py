"""Where secrets come from, and that no fault and no text that leaves the agent shows one."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from monitor.config.kinds import Kinds
from monitor.config.load import ConfigError, load
from monitor.config.model import Config
from monitor.config.redact import Redactor
from monitor.config.secrets import Secrets
from probes import registry
from probes.contract import Secret
from tests.config.kinds import KINDS, Database, Http

SECRET = "hunter2-hunter2"
ENV = {"HOME": "/home/ops", "TOKEN": SECRET, "PIN": "9175", "REGION": "fra1", "NAME": "production", "EMPTY": ""}


def read(
    folder: Path, keys: str, env: Mapping[str, str] = ENV, probe: str = "http", url: str = "http://a/"
) -> Config:
    path = folder / "checks.yaml"
    target = f"    url: {url}\n" if probe == "http" else ""
    path.write_text(f"checks:\n  - name: a\n    probe: {probe}\n{target}    {keys}\n")
    return load(path, kinds=KINDS, env=env)


def http(config: Config) -> Http:
    probe = config.checks["a"].probe
    assert isinstance(probe, Http)
    return probe


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("${REGION}", "fra1"),
        ("in ${REGION}, ${NAME}", "in fra1, production"),
        ("${GONE:-here}", "here"),
        ("${GONE:-}", ""),
        ("${EMPTY:-full}", "full"),
        ("${EMPTY}", ""),
        ("$${REGION}", "${REGION}"),
        ("$REGION costs $5", "$REGION costs $5"),
    ],
)
def test_variables(tmp_path: Path, written: str, text: str) -> None:
    assert http(read(tmp_path, f"body: '{written}'")).body == text


def test_a_file_gives_its_text_without_the_last_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    config = read(tmp_path, "body: {file: token}")
    assert http(config).body == SECRET
    assert config.redactor.text(f"a {SECRET} b") == "a *** b"


def test_a_credential_is_a_file_of_systemd(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text(SECRET)
    config = read(tmp_path, "dsn: {credential: dsn}", ENV | {"CREDENTIALS_DIRECTORY": str(tmp_path)}, "database")
    assert config.checks["a"].probe == Database(dsn=Secret(SECRET))
    assert config.redactor.text(SECRET) == "***"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: write the secret into it"),
        (b"x" * 70_000, "is larger than 64 KiB: that is no secret"),
        (b"\xff\xfe" * 8, "is not UTF-8 text"),
    ],
)
def test_files_that_hold_no_secret(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read(tmp_path, "body: {file: token}")
    assert str(error.value.faults[0]).endswith(f"checks[0].body: the file {tmp_path / 'token'} {message}")


@pytest.mark.parametrize("source", ["{file: .}", "{file: /dev/zero}", "{credential: ../token}", "{file: [a]}"])
def test_sources_that_are_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(ConfigError):
        read(tmp_path, f"body: {source}", ENV | {"CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize(
    ("keys", "secret"),
    [
        ("headers: {Authorization: abcd}", "abcd"),
        ("headers: {Authorization: 'Bearer ${TOKEN}'}", SECRET),
        ("headers: {Accept: '${PIN}'}", "9175"),
        ("body: '${TOKEN}'", SECRET),
        ("body: 'https://joe:p%40ss@db/'", "p@ss"),
        ("body: 'https://joe:p%40ss@db/'", "p%40ss"),
    ],
)
def test_what_is_secret(tmp_path: Path, keys: str, secret: str) -> None:
    assert read(tmp_path, keys).redactor.text(f"<{secret}>") == "<***>"


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ("headers: {Accept: text/html}", "text/html"),
        ("body: '${REGION}'", "fra1"),
        ("labels: {env: '${NAME}'}", "production"),
        ("body: plain-words", "plain-words"),
        ("headers: {X-Short: abc}", "abc"),
    ],
)
def test_what_is_not(tmp_path: Path, keys: str, word: str) -> None:
    assert read(tmp_path, keys).redactor.text(word) == word


def test_the_target_is_shown_without_the_secret_in_it(tmp_path: Path) -> None:
    config = read(tmp_path, "follow: 1", url="https://joe:${TOKEN}@shop.example.com/?key=${TOKEN}")
    assert config.redactor.text(config.checks["a"].probe.target) == "https://joe:***@shop.example.com/?key=***"


@pytest.mark.parametrize(
    ("probe", "keys"),
    [
        ("database", f"dsn: [{SECRET}]"),
        ("database", f"dsn: {{{SECRET}: x}}"),
        ("database", f"dsn: {{file: {{a: {SECRET}}}}}"),
        ("database", f"dsn: '{SECRET}'\n    patience: '${{TOKEN}}'"),
        ("database", "dsn: '${PIN}'\n    degraded: lagg > ${PIN}"),
        ("http", "follow: '${TOKEN}'"),
        ("http", "follow: 'x${PIN}'"),
        ("http", "method: '${TOKEN}'"),
        ("http", "expect: '${TOKEN}'"),
        ("http", "every: '${PIN}'"),
        ("http", "expect: {status: '${PIN}'}"),
        ("http", "headers: {Authorization: [a, b], X: '${TOKEN}'}\n    service: '${TOKEN}'"),
        ("http", "degraded: response_time > ${PIN}"),
        ("http", "name2: &x hunter2-hunter2"),
        ("http", f"body: !{SECRET} a"),
        ("http", f"body: *{SECRET}"),
        ("http", f"body: @{SECRET}"),
        ("http", "url: 'ftp://${TOKEN}/${PIN}'"),
        ("http", f"headers: {{Authorization: '{SECRET}'}}\n    expect: {{status: 99}}\n    timeout: '{SECRET}'"),
    ],
)
def test_no_fault_shows_a_secret(tmp_path: Path, probe: str, keys: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, keys, probe=probe)
    for fault in error.value.faults:
        assert SECRET not in str(fault)
        assert "9175" not in str(fault)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "keys",
    [
        "url: 'ftp://${LONG}/'",
        "url: 'http://${LONG}:x/'",
        "expect: {status: '${LONG}'}",
        "expect: {status: ['200, ${LONG}']}",
        "expect: {body: '(${LONG}'}",
        "expect: {body: '${LONG}'}",
        "expect: {body_absent: '${LONG}'}",
        "expect: {headers: {X: '${LONG}'}}",
        "expect: {json: 'x ${LONG}'}",
        "method: '${LONG}'",
        "service: '${LONG}'",
        "service: 'padding padding padding padding ${LONG}'",
        "service: 'padding padding padding padding padding ${LONG}'",
        "every: '${LONG}'",
        "degraded: '${LONG}'",
        "degraded: 'response_time > ${LONG}'",
    ],
)
def test_no_fault_of_the_real_probe_shows_a_piece_of_a_secret(tmp_path: Path, keys: str) -> None:
    long = "kQ7v\\Z2mX'w9L,rT4bN\tc8[z-a]HsJ5dFg3Py6AeU1oWi" * 2
    path = tmp_path / "checks.yaml"
    url = "" if keys.startswith("url") else "    url: http://a/\n"
    path.write_text(f"checks:\n  - name: a\n    probe: http\n{url}    {keys}\n")
    kinds = Kinds(registry.builtin(), {})
    with pytest.raises(ConfigError) as error:
        load(path, kinds=kinds, env={"LONG": long})
    for fault in error.value.faults:
        for piece in (long[at : at + 4] for at in range(len(long) - 3)):
            assert piece not in str(fault)


@pytest.mark.parametrize(
    "written",
    [f"ops:{SECRET}@10.0.0.1", f"ops:{SECRET}@10.0.0.1:9788", f"http://ops:{SECRET}@host/", f":{SECRET}@host"],
)
def test_no_fault_shows_the_password_in_an_address(tmp_path: Path, written: str) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text(f"agent: {{listen: '{written}'}}\nchecks: []\n")
    with pytest.raises(ConfigError) as error:
        load(path, kinds=KINDS, env=ENV)
    told = next(fault.message for fault in error.value.faults if fault.path == "agent.listen")
    assert "***@" in told
    assert SECRET not in told


def test_what_only_looks_like_a_password_in_an_address_is_masked_in_faults_alone(tmp_path: Path) -> None:
    config = read(tmp_path, "owner: mailto:operations@example.com")
    assert config.redactor.text("operations") == "operations"


def test_a_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    secrets = Secrets({}, tmp_path)
    assert secrets.resolve({"file": "token"}) == "first"
    path.write_text("second")
    assert secrets.resolve({"file": "token"}) == "first", "one load sees one value"


@pytest.mark.parametrize("secret", ['pa"ss\\word', "<p&ssword>", "tokén-tokén"])
def test_a_secret_is_found_in_a_line_of_json_and_in_a_page(secret: str) -> None:
    redactor = Redactor([secret])
    for shown in (json.dumps({"url": secret}), json.dumps({"url": secret}, ensure_ascii=False)):
        assert redactor.text(shown) == '{"url": "***"}'
    assert redactor.text(f"<p>{html.escape(secret)}</p>") == "<p>***</p>"
