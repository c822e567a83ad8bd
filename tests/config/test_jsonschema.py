"""The JSON Schema for editors: accepts what the loader accepts, refuses misspelt keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from monitor.config.jsonschema import schema
from tests.config.kinds import KINDS

VALIDATOR = Draft202012Validator(schema(KINDS))


def faults(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema(KINDS))


def test_the_design_example_is_valid() -> None:
    assert faults((Path(__file__).parent / "design_example.yaml").read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "checks: [{name: 1, probe: http, url: a, expect: {status: [200, 301]}, every: '${EVERY}'}]",
        "checks: [{name: a, probe: http, url: a, headers: {A: {file: b}, B: 1}, verify: false, max_bytes: 2MiB}]",
        "checks: [{name: '{{ each }}', probe: http, url: a, for_each: [1, 2]}]",
        "checks: [{name: a, probe: http, url: a, defaults: 'off', confirm: {looks: 3, span: 5s}}]",
        "agent:\ndefaults:\nservices: {shop: }\nchecks:\n",
    ],
)
def test_valid(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "chekcs: []",
        "checks: [{name: a, probe: htpt}]",
        "checks: [{name: a}]",
        "checks: [{name: a, probe: http}]",
        "checks: [{name: a, probe: http, ulr: a}]",
        "checks: [{name: a, probe: http, url: a, every: 30}]",
        "checks: [{name: a, probe: http, url: a, expect: {statsu: 200}}]",
        "checks: [{name: a, probe: database, dsn: a, pool: none}]",
        "sinks: {a: {type: slack}}",
        "sinks: {a: {type: slack, url: a, secret: b}}",
        "agent: {listn: a}",
        "routes: [{when: a}]",
        "services: {a: {tilte: b}}",
    ],
)
def test_invalid(text: str) -> None:
    assert faults(text)


def test_help_texts_reach_the_editor() -> None:
    definitions: dict[str, Any] = schema(KINDS)["$defs"]
    assert definitions["check_http"]["properties"]["url"]["description"] == "What to ask for."
    assert definitions["check_http"]["description"] == "Asks a web server."
    assert definitions["check_http.Expect"]["properties"]["status"]["description"] == "Which statuses are fine."
