"""What the pages name is there: files, other pages, headings, pictures that fetch nothing, commands, metrics."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from docs import live
from monitor.cli import _parser
from tests.pages import BLOCKS, DOCS, EXAMPLES, FENCE, PAGES, ROOT, Block, blocks, text_of


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_that_are_named_exist(path: Path) -> None:
    named = re.findall(
        r"`((?:monitor|probes|tests|docs|examples|systemd)/[\w./-]+)`", path.read_text(encoding="utf-8")
    )
    for file in named:
        assert (ROOT / file).exists(), file


def test_every_page_is_in_the_index() -> None:
    index, readme = text_of("README.md"), (ROOT / "README.md").read_text(encoding="utf-8")
    for path in DOCS.glob("*.md"):
        if path.name != "README.md":
            assert f"({path.name})" in index
            assert f"(docs/{path.name})" in readme


# --- links and addresses ----------------------------------------------------------------------------------------

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_OUTSIDE = ("https://", "http://", "mailto:")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(_without_code(path.read_text(encoding="utf-8"))):
        file, _, anchor = target.partition("#")
        if target.startswith(_OUTSIDE):
            continue
        found = path if not file else (path.parent / file).resolve()
        assert found.exists(), target
        if anchor:
            assert anchor in _anchors(found), target


def _without_code(page: str) -> str:
    return FENCE.sub("", page)


def _anchors(path: Path) -> set[str]:
    """As the usual renderers make them from headings."""
    titles = re.findall(r"^#+ (.+)$", _without_code(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", [*PAGES, *EXAMPLES], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_address_of_a_registry_and_no_path_of_a_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"pypi|pythonhosted|index-url|npmjs|artifactory|/(?:root|home|work)/", text, re.IGNORECASE)
    assert str(ROOT) not in text


@pytest.mark.parametrize("path", sorted((DOCS / "images").glob("*.svg")), ids=lambda path: path.name)
def test_pictures_fetch_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"@import|@font-face|url\(\s*[\"']?(?!#)|href\s*=|<script", text)


# --- configuration examples -------------------------------------------------------------------------------------
def test_alert_rules_name_metrics_that_exist() -> None:
    rules = [block.text for block in BLOCKS if "expr:" in block.text]
    assert rules
    for name in re.findall(r"\b(brownout_\w+)(?:\{|\[|\)| )", "\n".join(rules)):
        assert re.sub(r"_(bucket|sum|count)$", "", name) in live.families(), name


# --- commands ---------------------------------------------------------------------------------------------------

_OURS = {"brownout", ".venv/bin/brownout", "/opt/brownout/bin/brownout"}
_OTHERS = {
    "curl",
    "install",
    "systemctl",
    "mkdir",
    "openssl",
    "umask",
    "echo",
    "cd",
    "python3",
    "/opt/brownout/bin/pip",
    "/usr/bin/python3",
    "PIPX_HOME=/opt/pipx",
    "apt",
    "journalctl",
    "systemd-analyze",
    "systemd-run",
    "tar",
}


@pytest.mark.parametrize("block", blocks("console"))
def test_commands_exist(block: Block) -> None:
    lines = block.text.splitlines()
    assert all(line.startswith(("$ ", "# ")) for line in lines)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for line in lines:
        for command in re.split(r"&&|;|\|", re.sub(r"[()]", " ", line[2:].replace("$(", " ; "))):
            program, *arguments = shlex.split(command.replace('"', ""), comments=True)
            if program.startswith("CREDENTIALS_DIRECTORY="):
                program, *arguments = arguments
            if program in _OURS:
                _parser().parse_args(arguments[: arguments.index(">")] if ">" in arguments else arguments)
            elif program == "make":
                assert set(arguments) <= set(targets)
            else:
                assert program in _OTHERS, program


def test_install_steps_are_those_of_the_unit() -> None:
    steps = next(block.text for block in BLOCKS if "enable --now" in block.text)
    unit = (ROOT / "systemd" / "brownout.service").read_text(encoding="utf-8")
    for source in re.findall(r"-r (\S+)", steps):
        assert (ROOT / source).exists(), source
    assert "ExecStart=/opt/brownout/bin/brownout run /etc/brownout/checks.yaml" in unit
    assert "/opt/brownout/bin/brownout install" in steps
    assert "StateDirectory=brownout\n" in unit
