"""The documentation is true: generated parts are up to date, examples load and run, links lead somewhere, and nothing
that users can meet is without its paragraph."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
import yaml

from docs import generate, keys, live, man, reference
from docs.reference import subcommands
from monitor.cli import _parser
from monitor.config.jsonschema import schema as config_schema
from monitor.config.load import load
from monitor.config.model import Config
from monitor.config.schema import SECTIONS
from monitor.core.model import EventType, ServiceState, State
from monitor.kinds import installed_kinds
from monitor.sinks.registry import sinks
from monitor.web import openapi
from monitor.web.arrivals import BODY_LIMITS
from probes.reasons import Reason
from probes.registry import builtin

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.glob("**/*.md")])
EXAMPLES = [ROOT / "checks.yaml", *sorted((ROOT / "examples").glob("*.yaml")),
            *sorted((ROOT / "examples").glob("*/checks.yaml"))]  # fmt: skip

_FENCE = re.compile(r"(?:<!-- ([^\n]*?) -->\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, its text, and the comment above it."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def _blocks(path: Path) -> Iterator[Block]:
    page = path.read_text(encoding="utf-8")
    for found in _FENCE.finditer(page):
        line = page.count("\n", 0, found.start()) + 1
        yield Block(path, line, found[2], found[3], found[1] or "")


BLOCKS = [block for path in PAGES for block in _blocks(path)]


def blocks(language: str, *, mark: str = "") -> list[Any]:
    found = [block for block in BLOCKS if block.language == language and block.mark.startswith(mark)]
    return [pytest.param(block, id=str(block)) for block in found]


def marked(mark: str, page: str) -> Block:
    return next(block for block in BLOCKS if block.mark == mark and block.page.name == page)


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


# --- generated parts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_generated_parts_are_up_to_date(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert generate.renewed(page) == page, "run: make docs"


def test_every_probe_has_its_page_as_the_code_has_it() -> None:
    pages = generate.whole_pages()
    stale = [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run: make docs"
    assert set(pages) == set((DOCS / "probes").glob("*.md"))


def test_every_generated_part_stands_somewhere() -> None:
    used = [name for path in PAGES for name in generate.names(path.read_text(encoding="utf-8"))]
    assert sorted(used) == sorted(generate.BLOCKS)


def test_generating_is_deterministic() -> None:
    command = [sys.executable, "-c", "from docs import generate as g; print([g.BLOCKS[n]() for n in g.BLOCKS])"]
    runs = {
        subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


# --- nothing without its paragraph ------------------------------------------------------------------------------


def test_every_key_of_the_configuration_is_explained() -> None:
    page = text_of("configuration.md")
    for name in SECTIONS:
        assert f"\n## {name}\n" in page, name
    for model, prefix in keys.SECTION_KEYS.items():
        for path, _, _, told in keys.keys_of(model):
            assert told, f"{model.__name__}.{path} has no description"
            assert f"`{prefix}{path}`" in page or f"`{prefix}{path}." in page, f"{model.__name__}.{path}"
    assert "for_each" in page
    assert "for_each" in json.dumps(config_schema(installed_kinds()))


@pytest.mark.parametrize("kind", builtin())
def test_every_probe_is_explained(kind: str) -> None:
    part = text_of(f"probes/{kind}.md")
    probe = builtin()[kind]
    for measurement in probe.measurements:
        assert f"| `{measurement.name}` |" in part
        assert measurement.help
    for texts in probe.thresholds.values():
        assert all(f"`{text}`" in part for text in texts)
    _every_key_told(probe, part)


@pytest.mark.parametrize("kind", sinks())
def test_every_sink_is_explained(kind: str) -> None:
    _every_key_told(sinks()[kind], _section(text_of("sinks.md"), kind))


def _every_key_told(cls: type, part: str) -> None:
    for path, kind, _, told in keys.keys_of(keys.own_model(cls)):
        if kind != "mapping":
            assert told, f"{cls.__name__}.{path} has no text in its Annotated[]"
            assert f"| `{path}` |" in part, path


def _section(page: str, title: str) -> str:
    assert f"\n## {title}\n" in page
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"| `{reason.value}` |" in text_of("reasons.md")
    assert reason.meaning
    assert reason.advice


@pytest.mark.parametrize("state", [*State, *ServiceState])
def test_every_state_is_explained(state: State) -> None:
    assert f"`{state.value}`" in _section(text_of("judgement.md"), "States")


@pytest.mark.parametrize("event", EventType)
def test_every_event_is_explained(event: EventType) -> None:
    assert f"`{event.value}`" in text_of("events.md").split("\n## ")[0]


def test_every_field_of_the_event_is_explained() -> None:
    for path, _, told in live.event_fields():
        assert told, f"{path} has no description in event.schema.json"
        assert f"| `{path}` |" in text_of("events.md")


@pytest.mark.parametrize("name", live.families())
def test_every_metric_is_explained(name: str) -> None:
    assert f"| `{name}` |" in text_of("metrics.md")
    assert live.families()[name][2]


@pytest.mark.parametrize("name", reference.subcommands())
def test_every_command_is_explained_and_there(name: str) -> None:
    assert f"\n## {name}\n" in text_of("cli.md")
    assert (ROOT / "monitor" / "commands" / f"{name}.py").exists()


def test_every_address_of_the_agent_is_explained() -> None:
    routes = ["/", "/metrics", *openapi.document()["paths"], *(f"/{door}/TOKEN" for door in BODY_LIMITS)]
    for route in routes:
        page = "api.md" if route.startswith("/api/") else "http.md"
        assert f"| `{route}` |" in text_of(page), route


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
    return _FENCE.sub("", page)


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

_FILLERS = {
    "checks": """
checks:
  - {name: home, service: shop, probe: http, url: "https://shop.example.com/"}
  - {name: checkout, service: shop, probe: tcp, address: "shop.example.com:443"}
""",
    "sinks": """
sinks: {hook: {type: console}, chat: {type: console}, pager: {type: console}, terminal: {type: console}}
""",
}


def _load(text: str, folder: Path) -> Config:
    """The configuration, with a value for every variable and a file for every secret that it names."""
    env = {name: base64.b64encode(name.encode() * 4).decode() for name in _VARIABLE.findall(text)}
    env |= {"HOME": str(folder), "CREDENTIALS_DIRECTORY": str(folder)}
    for name in re.findall(r"\{(?:file|credential): ([\w.]+)\}", text):
        (folder / name).write_text("a secret of a file", encoding="utf-8")
    path = folder / "checks.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, kinds=installed_kinds(), env=env)


@pytest.mark.parametrize("block", blocks("yaml"))
def test_yaml_loads(block: Block, tmp_path: Path) -> None:
    """A block that lacks sections is a fragment: what it lacks, and what it refers to, is filled in."""
    document = yaml.safe_load(block.text)
    if block.mark == "not checks.yaml":
        return
    assert set(document) <= set(SECTIONS)
    text = block.text + "".join(filler for name, filler in _FILLERS.items() if name not in document)
    if "services" not in document:
        named = re.findall(r"service: (\w+)", text)
        text += "\nservices:\n" + "".join(f"  {name}: {{}}\n" for name in dict.fromkeys(named)) if named else ""
    config = _load(text, tmp_path)
    assert config.checks


def test_the_readme_shows_a_whole_configuration(tmp_path: Path) -> None:
    block = next(block for block in BLOCKS if block.page.parent == ROOT and block.language == "yaml")
    assert 15 <= len(block.text.splitlines()) <= 20
    config = _load(block.text, tmp_path)
    assert list(config.checks) == ["home", "this host"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_example_files_load(path: Path, tmp_path: Path) -> None:
    env = {name: _value_of(name) for part in path.parent.rglob("*.yaml")
           for name in _VARIABLE.findall(part.read_text(encoding="utf-8"))}  # fmt: skip
    config = load(path, kinds=installed_kinds(), env={**env, "HOME": str(tmp_path)})
    assert config.checks
    # An example of one probe leaves to others who is told.
    assert config.routes or path.stem in builtin() or path.stem.partition("_")[0] in builtin()
    document = yaml.load(path.read_text(encoding="utf-8"), _AsInEditors)
    _validator().validate(document)


class _AsInEditors(yaml.SafeLoader):
    """By YAML 1.2, as editors read it: `on` and `off` are words."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":bool")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@pytest.mark.parametrize("kind", builtin())
def test_every_probe_has_a_worked_example(kind: str) -> None:
    assert any(re.search(rf"probe: {kind}\b", path.read_text(encoding="utf-8")) for path in EXAMPLES)


@cache
def _validator() -> jsonschema.Draft202012Validator:
    """Checking the schema itself takes seconds: once is enough."""
    schema = config_schema(installed_kinds())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _value_of(variable: str) -> str:
    """What the environment would hold, by the name of the variable."""
    if variable.endswith("_PORT"):
        return "9788"
    schemes = {"DATABASE_URL": "postgresql", "REDIS_URL": "redis", "MYSQL_URL": "mysql", "NATS_URL": "nats"}
    if variable.endswith("_URL"):
        return f"{schemes.get(variable, 'https')}://server.example.com/1"
    if variable.endswith("_TOKEN"):
        return f"{variable}-0123456789abcdef"
    return "a secret of the environment"


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


def test_every_log_line_is_explained() -> None:
    page = text_of("operations.md")
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "monitor").rglob("*.py")]
    events = {
        event for text in sources for event in re.findall(r'\blog\.\w+\(\s*"([\w.]+)"', text.replace("_log.", "log."))
    }
    assert {"transition", "outbox.retry"} <= events
    assert [event for event in sorted(events) if f"`{event}`" not in page] == [], "docs/operations.md#logs"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed here")
def test_the_manual_page_is_proper_roff() -> None:
    page = man.manual()
    command = ["groff", "-man", "-Tutf8", "-ww", "-rLL=200n"]
    done = subprocess.run(command, input=page, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    shown = re.sub(r"\x1b\[[\d;]*m|.\x08", "", done.stdout)
    for name, command in subcommands().items():
        assert f"brownout {name}" in shown
        assert all(
            option in shown
            for action in command._actions
            for option in action.option_strings[-1:]
            if option != "--help"
        )
    assert "/etc/brownout/secrets/" in shown
    assert "wrong usage or configuration" in shown
