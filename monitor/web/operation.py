"""How the OpenAPI document describes one operation: what it takes, what it answers, which scope it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.tokens import Scope
from monitor.web.problem import PROBLEM
from monitor.web.stream import JSON

Described = dict[str, Any]
"""A path with its one method, as OpenAPI 3.1 has it; two of them joined are a path with both."""

_PROBLEMS = {
    400: "What was asked for is out of bounds.",
    401: "This needs a token.",
    403: "The token lacks the scope, or the request comes from a page of another site.",
    404: "There is no such thing.",
    409: "It is written in the file.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    421: "The agent does not answer to this name (`Host`).",
    429: "Too many wrong tokens came from this address.",
    503: "Not now: the journal or the history cannot be read, or it took too long.",
}


def read(
    summary: str,
    schema: str,
    *problems: int,
    parameters: list[dict[str, Any]] | None = None,
    protected: bool = True,
) -> Described:
    """A GET of JSON. `protected`: it needs a token where `agent.protected` is on."""
    content = {JSON: {"schema": reference(schema)}}
    refusals = (401, 403, 429) if protected else ()
    return shown(
        summary, content, *problems, *refusals, parameters=parameters, scope=Scope.READ if protected else None
    )


def shown(
    summary: str,
    content: Mapping[str, Any],
    *problems: int,
    parameters: list[dict[str, Any]] | None = None,
    scope: Scope | None = None,
) -> Described:
    """A GET that answers `content`, by media type. `scope` is needed where `agent.protected` is on; hence the way
    without a token, too."""
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": content},
            **{str(status): _problem(status) for status in (*problems, 421, 503)},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if scope is not None:
        operation["security"] = [{}, {"token": [scope.value]}]
    return {"get": operation}


def create(summary: str, schema: str, *, asked: str) -> Described:
    """A POST after which something is there that was not (201)."""
    made = write(summary, schema, 400, 413, 415, asked=asked)
    responses = made["post"]["responses"]
    responses["201"] = responses.pop("200")
    return made


def write(
    summary: str, schema: str, *problems: int, asked: str = "", parameters: list[dict[str, Any]] | None = None
) -> Described:
    """A POST. `asked`: the schema of its body, if it has one."""
    content = {JSON: {"schema": reference(schema)}}
    operation = shown(summary, content, *problems, 401, 403, 429, parameters=parameters)["get"]
    operation["security"] = [{"token": [Scope.OPERATE.value]}]
    if asked:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": reference(asked)}}}
    return {"post": operation}


def end(summary: str, what: str, *problems: int) -> Described:
    """A DELETE of what `id` names."""
    operation = shown(summary, {}, 401, 403, *problems, 413, 415, 429, parameters=[in_path("id", what)])["get"]
    operation["security"] = [{"token": [Scope.OPERATE.value]}]
    del operation["responses"]["200"]
    operation["responses"]["204"] = {"description": "It has ended."}
    return {"delete": operation}


def _problem(status: int) -> dict[str, Any]:
    return {"description": _PROBLEMS[status], "content": {PROBLEM: {"schema": reference("Problem")}}}


def limit(default: int, most: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return {"name": "limit", "in": "query", "description": "How many at most.", "schema": schema}


def in_path(name: str, told: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": told, "schema": schema}


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
