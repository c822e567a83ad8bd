"""`brownout validate`, and what every command says of a file that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.called import PASSWORD, brownout, called, checks

pytestmark = pytest.mark.timeout(180)


def test_validate_a_fine_file(tmp_path: Path) -> None:
    file = checks(tmp_path)
    done = brownout("validate", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{file}: fine: 1 check, 1 service, 1 sink, 1 route\n"
    done = called("validate", "--json", file)
    told = json.loads(done.stdout)
    assert (done.returncode, told["valid"], told["checks"], told["services"]) == (0, True, ["home"], ["shop"])
    assert not (tmp_path / "state").exists(), "validating changes nothing"


def test_the_shipped_file_is_found_and_fine() -> None:
    done = brownout("validate")
    assert done.returncode == 0
    assert done.stdout.startswith("checks.yaml: fine")


BAD = {
    "broken YAML": ("checks: [\n  {", "checks.yaml:"),
    "a tab": ("checks:\n\t- name: home", "checks.yaml:2:"),
    "not a mapping": ("- home", "the file must hold sections"),
    "empty": ("", "checks"),
    "no checks": ("agent: {}", "there are no checks"),
    "an unknown section": ("cheks: []\nchecks: []", "did you mean checks?"),
    "an unknown key": ("checks: [{name: a, probe: tcp, address: 'h:1', evry: 5s}]", "evry"),
    "a wrong type": ("checks: [{name: a, probe: tcp, address: [1], every: soon}]", "every"),
    "no unit": ("checks: [{name: a, probe: tcp, address: 'h:1', every: 30}]", "30"),
    "an unknown probe": ("checks: [{name: a, probe: htpt, url: 'http://h/'}]", "did you mean http?"),
    "a missing secret": ("checks: [{name: a, probe: http, url: 'http://h/', headers: {a: '${NOT_SET}'}}]", "NOT_SET"),
    "binary": ("\x00\x01\x02", "checks.yaml"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "command"),
    [*((name, "run") for name in BAD), ("an unknown key", "validate"), ("an unknown key", "look")],
)
def test_bad_files(tmp_path: Path, name: str, command: str) -> None:
    text, told = BAD[name]
    file = tmp_path / "checks.yaml"
    file.write_text(text)
    done = called(command, file, *(["home"] if command == "look" else []), XDG_STATE_HOME=str(tmp_path / "state"))
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.endswith("; nothing was started\n") is (command == "run")
    assert done.stdout == ""
    assert [item.name for item in tmp_path.iterdir()] == ["checks.yaml"], "and no state directory"


@pytest.mark.parametrize("name", ["broken YAML", "a missing secret"])
def test_bad_files_as_json(tmp_path: Path, name: str) -> None:
    file = tmp_path / "checks.yaml"
    file.write_text(BAD[name][0])
    done = called("validate", "--json", file)
    told = json.loads(done.stdout)
    assert (done.returncode, told["valid"]) == (2, False)
    assert set(told["faults"][0]) == {"file", "line", "column", "path", "message"}


def test_ten_thousand_faults_at_once(tmp_path: Path) -> None:
    file = tmp_path / "checks.yaml"
    entry = "  - {name: check %d, probe: tcp, address: '127.0.0.1:1', password: " + PASSWORD + ", every: soon}\n"
    file.write_text("checks:\n" + "".join(entry % number for number in range(5_000)))
    done = brownout("run", file)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 102
    assert "and 9900 more: brownout validate --json lists more of them" in lines[-2]
    assert lines[-1].endswith("nothing was started")
    done = called("validate", "--json", file)
    told = json.loads(done.stdout)
    assert (len(told["faults"]), told["more_faults"]) == (1000, 9000)


@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_file_that_is_not_there_or_is_a_directory(tmp_path: Path, command: str) -> None:
    missing = called(command, tmp_path / "nothing.yaml")
    assert (missing.returncode, "nothing.yaml" in missing.stderr) == (2, True)
    folder = called(command, tmp_path)
    assert (folder.returncode, str(tmp_path) in folder.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_file_that_may_not_be_read(tmp_path: Path, command: str) -> None:
    file = checks(tmp_path)
    file.chmod(0o000)
    done = brownout(command, file, powerless=True)
    assert done.returncode == 2
    assert "checks.yaml" in done.stderr
    assert "may not be read by this user: correct its permissions" in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_state_dir_that_may_not_be_written(tmp_path: Path) -> None:
    file = checks(tmp_path)
    tmp_path.chmod(0o555)
    done = brownout("run", file, powerless=True)
    tmp_path.chmod(0o755)
    assert done.returncode == 2
    assert "state_dir" in done.stderr
    assert done.stderr.endswith("nothing was started\n")


def test_a_state_dir_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    done = brownout("run", checks(tmp_path))
    assert done.returncode == 2
    assert "is not a directory: name one, or move that file away; nothing was started" in done.stderr
