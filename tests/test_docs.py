"""The documentation is true: generated parts are up to date, and nothing that users meet is without its paragraph."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from docs import generate, keys, live, man, reference
from docs.reference import subcommands
from monitor.config.jsonschema import schema as config_schema
from monitor.config.schema import SECTIONS
from monitor.core.model import EventType, ServiceState, State
from monitor.kinds import installed_kinds
from monitor.sinks.contract import Sink
from monitor.sinks.registry import sinks
from monitor.web import openapi
from monitor.web.arrivals import BODY_LIMITS
from probes.reasons import Reason
from probes.registry import builtin
from tests.pages import BLOCKS, DOCS, PAGES, ROOT, text_of

# --- generated parts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_generated_parts_are_up_to_date(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert generate.renewed(page) == page, "run: make docs"


def test_every_probe_and_sink_has_its_page_as_the_code_has_it() -> None:
    pages = generate.whole_pages()
    stale = [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run: make docs"
    assert set(pages) == {*(DOCS / "probes").glob("*.md"), *(DOCS / "sinks").glob("*.md")}


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
    _every_key_told(sinks()[kind], text_of(f"sinks/{kind}.md") + _section(text_of("configuration.md"), "sinks"))


def test_what_every_sink_has_is_told_once() -> None:
    page = text_of("configuration.md")
    assert all(f"| `{key}` |" in page for key in ("fallback.to", "fallback.after", "most", "updates"))


def _every_key_told(cls: type, part: str) -> None:
    shared = {path for path, *_ in keys.keys_of(keys.own_model(Sink))} if issubclass(cls, Sink) else set()
    for path, kind, _, told in keys.keys_of(keys.own_model(cls)):
        if kind != "mapping" and path not in shared:
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


def test_reasons_that_decide_sooner_are_named() -> None:
    told = text_of("judgement.md").partition("**Some reasons decide sooner**")[2].partition("Somebody has said so")[0]
    assert set(re.findall(r"`(\w+)`", told)) == {reason.value for reason in Reason if reason.sure}


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


def test_the_layers_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    shown = next(block.text for block in BLOCKS if block.page.name == "design.md" and "\nlifetime\n" in block.text)
    assert shown.splitlines() == contracts[0]["layers"]


def test_every_module_of_the_core_has_its_subject() -> None:
    table = text_of("design.md").partition("## The core by subject")[2].partition("\n\n")[2].partition("\n\n")[0]
    modules = {path.stem for path in (ROOT / "monitor" / "core").glob("*.py")} - {"__init__"}
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(modules)


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
