"""The JSON Schema of checks.yaml, for editors: each kind's keys with their help, unknown keys refused.

It says what may stand where; what only the loader can know (references, measurements, secrets) it leaves open. An
editor reads YAML with YAML's own types, so a text that looks like a number is allowed as a number.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from monitor.config.deeds import Deed
from monitor.config.escalation import StepKeys
from monitor.config.fields import own_model
from monitor.config.kinds import Kinds, check_model, sink_model
from monitor.config.maintenance import MaintenanceKeys
from monitor.config.oncall import OncallKeys
from monitor.config.people import PersonKeys
from monitor.config.schema import AgentKeys, DefaultsKeys, RouteKeys, ServiceKeys


def schema(kinds: Kinds) -> dict[str, Any]:
    """JSON Schema 2020-12 for a file with these kinds of probes and sinks."""
    definitions: dict[str, Any] = {}
    checks = {kind: _define(check_model(probe), definitions, probe.__doc__) for kind, probe in kinds.probes.items()}
    sinks = {kind: _define(sink_model(sink), definitions, sink.__doc__) for kind, sink in kinds.sinks.items()}
    for name, reference in checks.items():
        definitions[reference]["properties"]["for_each"] = _FOR_EACH
        definitions[reference]["properties"]["probe"] = {"const": name}
    for name, reference in sinks.items():
        definitions[reference]["properties"]["type"] = {"const": name}
    service = {"anyOf": [_reference(_define(ServiceKeys, definitions)), {"type": "null"}]}
    definitions[_define(RouteKeys, definitions)]["anyOf"] = [{"required": ["to"]}, {"required": ["escalate"]}]
    step = _reference(_define(StepKeys, definitions))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Brownout: checks.yaml",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "agent": _or_empty(_reference(_define(AgentKeys, definitions))),
            "defaults": _or_empty(_reference(_define(DefaultsKeys, definitions))),
            "sinks": _or_empty({"type": "object", "additionalProperties": _by_kind("type", sinks)}),
            "people": _or_empty({"type": "object", "additionalProperties": _person(sinks, definitions)}),
            "groups": _or_empty({"type": "object", "additionalProperties": _NAMES}),
            "oncall": _or_empty(_reference(_define(OncallKeys, definitions))),
            "services": _or_empty({"type": "object", "additionalProperties": service}),
            "checks": _or_empty({"type": "array", "items": _by_kind("probe", checks)}),
            "routes": _or_empty({"type": "array", "items": _reference("RouteKeys")}),
            "escalations": _or_empty({"type": "object", "additionalProperties": {"type": "array", "items": step}}),
            "actions": _or_empty(
                {"type": "object", "additionalProperties": _reference(_define(own_model(Deed), definitions))}
            ),
            "maintenance": _or_empty({"type": "array", "items": _reference(_define(MaintenanceKeys, definitions))}),
        },
        "$defs": definitions,
    }


_NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_FOR_EACH = {
    "description": "Makes many checks: a list for {{ each }}, or names with lists",
    "anyOf": [
        {"type": "array", "minItems": 1},
        {"type": "object", "minProperties": 1, "additionalProperties": {"type": "array", "minItems": 1}},
    ],
}


def _define(model: type[BaseModel], definitions: dict[str, Any], manual: str | None = None) -> str:
    """Add the model's schema under its name. What it refers to goes along under a name of its own."""
    made = model.model_json_schema(ref_template=f"#/$defs/{model.__name__}.{{model}}")
    for name, inner in made.pop("$defs", {}).items():
        definitions[f"{model.__name__}.{name}"] = _without_defaults(inner)
    if manual:
        made["description"] = manual.strip().split("\n\n")[0]
    definitions[model.__name__] = _without_defaults(made)
    return model.__name__


def _person(sinks: dict[str, str], definitions: dict[str, Any]) -> dict[str, Any]:
    """Every key that is not a person's own is a way, and so a sink."""
    definitions[_define(PersonKeys, definitions)]["additionalProperties"] = _by_kind("type", sinks)
    return _reference("PersonKeys")


def _by_kind(key: str, references: dict[str, str]) -> dict[str, Any]:
    """An object whose `key` says which of the schemas it must follow; an editor then offers that kind's keys only."""
    return {
        "type": "object",
        "required": [key],
        "properties": {key: {"enum": list(references)}},
        "allOf": [
            {"if": {"properties": {key: {"const": kind}}, "required": [key]}, "then": _reference(reference)}
            for kind, reference in references.items()
        ],
    }


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _or_empty(inner: dict[str, Any]) -> dict[str, Any]:
    """A section may be there with everything in it commented out."""
    return {"anyOf": [inner, {"type": "null"}]}


def _without_defaults(made: dict[str, Any]) -> dict[str, Any]:
    """Pydantic's titles and null defaults say nothing to a reader."""
    cleaned = {key: value for key, value in made.items() if key != "title"}
    properties = cleaned.get("properties", {})
    cleaned["properties"] = {
        name: {key: value for key, value in item.items() if key not in ("title", "default")}
        for name, item in properties.items()
    }
    return cleaned
