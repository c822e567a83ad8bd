"""The OpenAPI document, `/api/v1/openapi.json`: made once, of the table of routes below and of ``schemas/``.

Tests hold it to the truth: every route is in it, and every answer follows its schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from aiohttp import web

from monitor.core.model import State
from monitor.tokens import Scope
from monitor.web.assets import Asset
from monitor.web.incidents import LIST_LIMIT, LIST_MOST
from monitor.web.pages import HEALTH, STATUS_LIMIT, STATUS_MOST
from monitor.web.past import DEFAULT_SPAN, SPANS, TRANSITIONS_LIMIT, TRANSITIONS_MOST
from monitor.web.problem import PROBLEM
from monitor.web.sinks import DEAD_LIMIT, DEAD_MOST
from monitor.web.stream import JSON

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


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Brownout",
            "version": version("brownout"),
            "description": "What the agent knows and does. Every answer is JSON; errors are RFC 9457 problems.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "One of `agent.tokens`."}
            },
        },
    }


class OpenApi:
    """The document as a file: browsers and tools ask whether it has changed."""

    def __init__(self) -> None:
        text = json.dumps(document(), ensure_ascii=False, separators=(",", ":"))
        self._asset = Asset(text.encode(), JSON)

    async def answer(self, request: web.Request) -> web.Response:
        return await self._asset.answer(request)


def _paths() -> dict[str, Any]:
    check, service = _in_path("name", "The check's id."), _in_path("name", "The service's name.")
    return {
        "/api/v1/status": _read(
            "How everything stands, worst first", "Status", 400, parameters=[_limit(STATUS_LIMIT, STATUS_MOST)]
        ),
        "/api/v1/checks": _read("Every check in a line", "Checks", 400, parameters=_CHECK_FILTERS),
        "/api/v1/checks/{name}": _read("One check: why, thresholds, evidence", "Check", 404, parameters=[check]),
        "/api/v1/checks/{name}/chart": _read(
            "A measurement over time", "Chart", 400, 404, parameters=[check, _MEASUREMENT, _SPAN]
        ),
        "/api/v1/checks/{name}/findings": _read(
            "Figures that are where they have not been", "Findings", 404, parameters=[check]
        ),
        "/api/v1/checks/{name}/ribbon": _read("States over time", "Ribbon", 400, 404, parameters=[check, _SPAN]),
        "/api/v1/checks/{name}/transitions": _read(
            "Changes of its state, newest first",
            "Transitions",
            400,
            404,
            parameters=[check, _limit(TRANSITIONS_LIMIT, TRANSITIONS_MOST), _BEFORE],
        ),
        "/api/v1/services/{name}/ribbon": _read("States over time", "Ribbon", 400, 404, parameters=[service, _SPAN]),
        "/api/v1/services": _read("Every service", "Services"),
        "/api/v1/services/{name}": _read("One service and its checks", "Service", 404, parameters=[service]),
        "/api/v1/incidents": _read(
            "Open incidents, then the newest others", "Incidents", 400, parameters=[_limit(LIST_LIMIT, LIST_MOST)]
        ),
        "/api/v1/incidents/{id}": _read(
            "One incident and its events", "Incident", 404, parameters=[_in_path("id", "The incident's id.")]
        ),
        "/api/v1/incidents/{id}/acknowledge": _deed("Take it on: nobody else is called for it", "Acknowledging"),
        "/api/v1/incidents/{id}/snooze": _deed("Put it off: it is told anew if it is open then", "Snoozing"),
        "/api/v1/incidents/{id}/notes": _deed("Tell the others something", "Noting"),
        "/api/v1/events": _events(),
        "/api/v1/config": _read("What is in force, and what became of the last reload", "Configuration"),
        "/api/v1/reload": _reload(),
        "/api/v1/maintenance": _maintenance(),
        "/api/v1/maintenance/{id}": _end_of_maintenance(),
        "/api/v1/silences": _silences(),
        "/api/v1/silences/{id}": _end("End a silence before its time", "The silence's id.", 404),
        "/api/v1/oncall": _read("Who is on call, and who comes next", "Oncall", 400, parameters=[_AT]),
        "/api/v1/actions": _read("What is done about incidents by itself, and what became of it", "Actions"),
        "/api/v1/actions/stop": _written("Take no action any more, and end what runs", "Actions", 413, 415),
        "/api/v1/actions/start": _written("Take actions again", "Actions", 413, 415),
        "/api/v1/drills": _created("Play an incident through the live path", "Drill", asked="DrillAsked"),
        "/api/v1/drills/{id}": _read(
            "How a drill goes", "Drill", 404, parameters=[_in_path("id", "The drill's id.")]
        ),
        "/api/v1/sinks": _read("How the sinks stand", "Sinks"),
        "/api/v1/sinks/dead": _read(
            "What was given up, newest first", "DeadLetters", 400, parameters=[_limit(DEAD_LIMIT, DEAD_MOST)]
        ),
        "/api/v1/sinks/replay": _written("Send dead letters again", "Replayed", 400, 404, 413, 415, asked="Replay"),
        "/api/v1/sinks/{name}/test": _written(
            "Send a marked test, and tell what was answered",
            "SinkTest",
            404,
            413,
            415,
            parameters=[_in_path("name", "The sink's name.")],
        ),
        "/api/v1/deploys": _deploys(),
        "/api/v1/public": _read("What the public page shows", "Public", protected=False),
        "/api/v1/openapi.json": _open("This document", {JSON: {"schema": {"type": "object"}}}),
        "/healthz": _health("Whether the agent is well: 503 when nothing is looked at"),
        "/readyz": _health("Whether it looks and answers"),
    }


_MOMENT_OF_THE_CENTURY = (
    "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"
)
"""What is always taken; other forms of RFC 3339 are, too."""
_AT: dict[str, Any] = {
    "name": "at",
    "in": "query",
    "description": "Not now, but then, from the year 2000 to 2099; any zone may be written.",
    "schema": {"type": "string", "pattern": _MOMENT_OF_THE_CENTURY, "examples": ["2026-12-25T10:00:00Z"]},
}
_CHECK_FILTERS = [
    {
        "name": "state",
        "in": "query",
        "description": "Any of these.",
        "schema": {"type": "array", "items": {"enum": [state.value for state in State]}},
    },
    {
        "name": "service",
        "in": "query",
        "description": "Those of any of these.",
        "schema": {"type": "array", "items": {"type": "string"}},
    },
    {
        "name": "label",
        "in": "query",
        "description": "NAME=VALUE; all must hold.",
        "schema": {"type": "array", "items": {"type": "string", "pattern": "^[^=]+=[^\\n]*$"}},
        "example": ["tier=web"],
    },
]


_SPAN = {
    "name": "span",
    "in": "query",
    "description": "How far back.",
    "schema": {"enum": list(SPANS), "default": DEFAULT_SPAN},
}
_MEASUREMENT = {
    "name": "measurement",
    "in": "query",
    "description": "One of the check's `measured`; default: response_time, or the first.",
    "schema": {"type": "string"},
}
_BEFORE = {
    "name": "before",
    "in": "query",
    "description": "For the next page: the `number` of the last one.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999},
}


def _read(
    summary: str,
    schema: str,
    *problems: int,
    parameters: list[dict[str, Any]] | None = None,
    protected: bool = True,
) -> dict[str, Any]:
    content = {JSON: {"schema": _reference(schema)}}
    refusals = (401, 403, 429) if protected else ()
    return _open(
        summary, content, *problems, *refusals, parameters=parameters, scope=Scope.READ if protected else None
    )


def _open(
    summary: str,
    content: Mapping[str, Any],
    *problems: int,
    parameters: list[dict[str, Any]] | None = None,
    scope: Scope | None = None,
) -> dict[str, Any]:
    """A path that is read. `scope` is needed where `agent.protected` is on; hence the way without a token, too."""
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


def _events() -> dict[str, Any]:
    resume = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "For streams: the id of the last event that was seen; what came since is told first.",
        "schema": {"type": "string"},
    }
    told = _read(
        "The newest events, newest first; with `Accept: text/event-stream` each as it happens",
        "Events",
        400,
        parameters=[_limit(LIST_LIMIT, LIST_MOST), resume],
    )
    told["get"]["responses"]["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    return told


def _maintenance() -> dict[str, Any]:
    told = _read("Windows of maintenance, those that go on first", "Maintenance")
    return told | _created("Announce maintenance, from now on", "Window", asked="Announcement")


def _silences() -> dict[str, Any]:
    told = _read("Silences, that which ends first before the others", "Silences")
    return told | _created("Silence what a matcher takes, from now on", "Silence", asked="SilenceAsked")


def _deploys() -> dict[str, Any]:
    told = _read("Deploys that were marked, newest first", "Deploys")
    mark = _written("Mark a deploy", "Deploy", 400, 413, 415, asked="DeployMark")
    responses = mark["post"]["responses"]
    responses["201"] = responses["200"] | {"description": "It is marked."}
    responses["200"]["description"] = "It was marked before."
    return told | mark


def _end_of_maintenance() -> dict[str, Any]:
    return _end("End a window that was announced by hand", "The window's id.", 404, 409)


def _end(summary: str, what: str, *problems: int) -> dict[str, Any]:
    end = _open(summary, {}, 401, 403, *problems, 413, 415, 429)["get"]
    end["security"] = [{"token": [Scope.OPERATE.value]}]
    end["parameters"] = [_in_path("id", what)]
    del end["responses"]["200"]
    end["responses"]["204"] = {"description": "It has ended."}
    return {"delete": end}


def _deed(summary: str, body: str) -> dict[str, Any]:
    identity = _in_path("id", "The incident's id.")
    deed = _written(summary, "Incident", 400, 404, 413, 415, asked=body, parameters=[identity])
    deed["post"]["requestBody"]["required"] = body != "Acknowledging"
    return deed


def _created(summary: str, schema: str, *, asked: str) -> dict[str, Any]:
    """What is there from then on."""
    made = _written(summary, schema, 400, 413, 415, asked=asked)
    responses = made["post"]["responses"]
    responses["201"] = responses.pop("200")
    return made


def _written(
    summary: str, schema: str, *problems: int, asked: str = "", parameters: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    content = {JSON: {"schema": _reference(schema)}}
    operation = _open(summary, content, *problems, 401, 403, 429, parameters=parameters)["get"]
    operation["security"] = [{"token": [Scope.OPERATE.value]}]
    if asked:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _reference(asked)}}}
    return {"post": operation}


def _reload() -> dict[str, Any]:
    content = {JSON: {"schema": _reference("Reload")}}
    told = _open("Read the configuration again", content, 401, 403, 413, 415, 429)
    operation = {"post": told["get"]}
    operation["post"]["security"] = [{"token": [Scope.ADMIN.value]}]
    operation["post"]["responses"]["422"] = {"description": "It has faults, and changes nothing.", "content": content}
    return operation


def _health(summary: str) -> dict[str, Any]:
    content = {HEALTH: {"schema": _reference("Health")}}
    told = _open(summary, content)
    told["get"]["responses"]["503"] = {"description": "It is not.", "content": content}
    return told


def _problem(status: int) -> dict[str, Any]:
    return {"description": _PROBLEMS[status], "content": {PROBLEM: {"schema": _reference("Problem")}}}


def _limit(default: int, most: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return {"name": "limit", "in": "query", "description": "How many at most.", "schema": schema}


def _in_path(name: str, told: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": told, "schema": schema}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> dict[str, Any]:
    """Those of the API, and that of events, whose parts get a place of their own."""
    folder = files("monitor") / "schemas"
    schemas: dict[str, Any] = json.loads((folder / "api.json").read_text("utf-8"))
    text = (folder / "event.schema.json").read_text("utf-8")
    event = json.loads(text.replace("#/$defs/", "#/components/schemas/Event."))
    parts = event.pop("$defs", {})
    for key in ("$schema", "$id"):
        event.pop(key, None)
    return schemas | {"Event": event} | {f"Event.{name}": part for name, part in parts.items()}
