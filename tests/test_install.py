"""`brownout install` and `uninstall`, below a folder of their own: what is placed, what is kept, what is said."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from docs.reference import subcommands
from monitor.cli import main
from monitor.commands import _service
from monitor.commands._placing import edited, stamped
from monitor.config.load import load
from monitor.kinds import installed_kinds

PROGRAM = "/opt/brownout/bin/brownout"
UNIT = "etc/systemd/system/brownout.service"
FILES = {
    "etc/brownout/checks.yaml": 0o640,
    "etc/systemd/system/brownout.service": 0o644,
    "etc/sysusers.d/brownout.conf": 0o644,
}


def install(root: Path, *arguments: str) -> int:
    return main(["install", "--root", str(root), "--program", PROGRAM, *arguments])


def found(root: Path) -> dict[str, int]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in paths}


def test_it_places_what_a_service_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(tmp_path) == 0
    assert found(tmp_path) == FILES
    assert stat.S_IMODE((tmp_path / "etc/brownout").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "etc/brownout/secrets").stat().st_mode) == 0o700
    assert "/etc/brownout/secrets/ (0700 root:root): made" in capsys.readouterr().out
    config = load(tmp_path / "etc/brownout/checks.yaml", kinds=installed_kinds(), env={})
    assert list(config.checks) == ["health"]


def test_a_second_run_changes_nothing_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path, "--with", "host,ping")
    before = {path: (tmp_path / path).stat().st_mtime_ns for path in found(tmp_path)}
    capsys.readouterr()
    assert install(tmp_path, "--with", "host", "--with", "ping") == 0
    assert capsys.readouterr().out.endswith("Nothing has changed.\n")
    assert {path: (tmp_path / path).stat().st_mtime_ns for path in found(tmp_path)} == before


def test_an_edited_file_is_kept_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path)
    unit = tmp_path / UNIT
    unit.write_text(unit.read_text().replace("MemoryMax=1G", "MemoryMax=4G"))
    (tmp_path / "etc/brownout/checks.yaml").write_text("mine")
    capsys.readouterr()
    assert install(tmp_path) == 1
    told = capsys.readouterr().out
    assert "kept, as somebody edited it" in told
    assert "    -MemoryMax=4G" in told
    assert "    +MemoryMax=1G" in told
    assert "MemoryMax=4G" in unit.read_text()
    assert (tmp_path / "etc/brownout/checks.yaml").read_text() == "mine"


def test_an_older_version_of_ours_is_renewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path)
    (tmp_path / UNIT).write_text(stamped("[Service]\nExecStart=/an/older/one\n"))
    assert install(tmp_path) == 0
    assert "brownout.service: renewed" in capsys.readouterr().out
    assert f"ExecStart={PROGRAM} run" in (tmp_path / UNIT).read_text()


def test_what_is_ours_is_known_by_its_first_line() -> None:
    assert not edited(stamped("a\nb\n"))
    assert edited(stamped("a\nb\n") + "c\n")
    assert edited("[Service]\n")
    assert edited("")


def test_dry_run_tells_and_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(tmp_path, "--dry-run", "--with", "logs") == 0
    told = capsys.readouterr().out
    assert "/etc/systemd/system/brownout.service.d/10-logs.conf: would be made" in told
    assert told.endswith("Nothing was done: this was --dry-run.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_package_is_laid_out_as_one(tmp_path: Path) -> None:
    assert install(tmp_path, "--packaged") == 0
    placed = set(found(tmp_path))
    assert placed == {
        "etc/brownout/checks.yaml", "usr/lib/systemd/system/brownout.service", "usr/lib/sysusers.d/brownout.conf",
    }  # fmt: skip
    assert "brownout install:" not in (tmp_path / "usr/lib/systemd/system/brownout.service").read_text()
    # Beside a package's unit another program gets none, and the package's own adds only what it is asked for.
    assert install(tmp_path) == 2
    program = "/usr/lib/brownout/bin/brownout"
    assert main(["install", "--root", str(tmp_path), "--program", program, "--with", "home"]) == 0
    assert set(found(tmp_path)) - placed == {"etc/systemd/system/brownout.service.d/10-home.conf"}
    assert main(["uninstall", "--root", str(tmp_path)]) == 2


def test_uninstall_leaves_state_unless_it_is_told_to_purge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, "--with", "host,ping")
    state = tmp_path / "var/lib/private/brownout"
    state.mkdir(parents=True)
    (state / "brownout.db").touch()
    assert main(["uninstall", "--root", str(tmp_path), "--dry-run"]) == 0
    assert UNIT in found(tmp_path)
    assert main(["uninstall", "--root", str(tmp_path)]) == 0
    assert set(found(tmp_path)) == {"etc/brownout/checks.yaml", "var/lib/private/brownout/brownout.db"}
    assert main(["uninstall", "--root", str(tmp_path), "--purge"]) == 0
    assert found(tmp_path) == {}
    capsys.readouterr()
    assert main(["uninstall", "--root", str(tmp_path), "--purge"]) == 0
    assert "Nothing to remove." in capsys.readouterr().out


def test_uninstall_keeps_an_edited_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path)
    (tmp_path / UNIT).write_text("[Service]\nExecStart=/bin/mine\n")
    assert main(["uninstall", "--root", str(tmp_path)]) == 1
    assert (tmp_path / UNIT).exists()
    assert main(["uninstall", "--root", str(tmp_path), "--purge"]) == 0
    assert not (tmp_path / UNIT).exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--with", "hosts"], "--with hosts: there is no such addition; it knows clock, exec, home, host"),
        (["--program", "brownout"], "'brownout' is no path for a unit file"),
        (["--program", "/opt/my own/brownout"], "is no path for a unit file"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "--root", str(tmp_path), "--program", PROGRAM, *arguments]) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_the_service_cannot_see_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "brownout"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    with pytest.raises(
        _service.NoProgram, match=r"the service cannot see /tmp .* /usr/bin/python3 -m venv /opt/brownout"
    ):
        _service.own_program()


def test_without_root_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def touched(*_: object, **__: object) -> None:
        raise AssertionError("this machine is no test's")

    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("monitor.commands.install.place", touched)
    monkeypatch.setattr("monitor.commands.uninstall.remove", touched)
    assert main(["install", "--program", PROGRAM]) == 2
    assert (
        "install needs root: sudo brownout install, or see what it would do with --dry-run" in capsys.readouterr().err
    )
    assert main(["uninstall"]) == 2
    assert "uninstall needs root" in capsys.readouterr().err


def test_the_help_names_every_addition() -> None:
    told = next(action.help for action in subcommands()["install"]._actions if action.dest == "additions")
    assert ", ".join(_service.additions()) in (told or "")
