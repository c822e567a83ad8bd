"""Configurations in the documentation and in examples/ load, and editors find no fault with them."""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path
from typing import ClassVar

import jsonschema
import pytest
import yaml

from monitor.config.hints import hints
from monitor.config.jsonschema import schema as config_schema
from monitor.config.load import load
from monitor.config.model import Config
from monitor.config.schema import SECTIONS
from monitor.kinds import installed_kinds
from probes.registry import builtin
from tests.pages import BLOCKS, EXAMPLES, ROOT, Block, blocks

_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)")
_FILLERS = {
    "checks": """
checks:
  - {name: home, service: shop, probe: http, url: "https://shop.example.com/"}
  - {name: checkout, service: shop, probe: tcp, address: "shop.example.com:443"}
""",
    "sinks": """
sinks: {hook: {type: console}, chat: {type: console}, pager: {type: console}, terminal: {type: console},
        mail: {type: console}, sms: {type: console}, call: {type: console}}
""",
}


def _load(text: str, folder: Path) -> Config:
    """The configuration, with a value for every variable and a file for every secret that it names."""
    env = {name: base64.b64encode(name.encode() * 4).decode() for name in _VARIABLE.findall(text)}
    env |= {name: _value_of(name) for name in env if name.endswith(("_URL", "_ROUTING_KEY"))}
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
    assert list(config.checks) == ["home"]
    assert hints(config) == ()
    assert [step.to for step in config.routes[1].policy.steps] == [("oncall",), ("everyone",)]


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
    if variable.endswith("_ROUTING_KEY"):
        return "0123456789abcdef" * 2
    schemes = {"DATABASE_URL": "postgresql", "REDIS_URL": "redis", "MYSQL_URL": "mysql", "NATS_URL": "nats"}
    if variable.endswith("_URL"):
        return f"{schemes.get(variable, 'https')}://server.example.com/1"
    if variable.endswith("_TOKEN"):
        return f"{variable}-0123456789abcdef"
    return "a secret of the environment"
