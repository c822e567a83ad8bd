"""The OpenAPI document, `/api/v1/openapi.json`: made once, of the routes below and of ``schemas/``.

Tests hold it to the truth: every route is in it, and every answer follows its schema.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from aiohttp import web

from monitor.core.model import State
from monitor.tokens import Scope
from monitor.web.assets import Asset
from monitor.web.incidents import LIST_LIMIT, LIST_MOST
from monitor.web.operation import Described, create, end, in_path, limit, read, reference, shown, write
from monitor.web.pages import HEALTH, STATUS_LIMIT, STATUS_MOST
from monitor.web.past import DEFAULT_SPAN, SPANS, TRANSITIONS_LIMIT, TRANSITIONS_MOST
from monitor.web.sinks import DEAD_LIMIT, DEAD_MOST
from monitor.web.stream import JSON


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


def _paths() -> dict[str, Described]:
    return {
        "/api/v1/status": read(
            "How everything stands, worst first", "Status", 400, parameters=[limit(STATUS_LIMIT, STATUS_MOST)]
        ),
        **_checks(),
        **_services(),
        **_incidents(),
        "/api/v1/events": _events(),
        "/api/v1/config": read("What is in force, and what became of the last reload", "Configuration"),
        "/api/v1/reload": _reload(),
        **_quiet(),
        "/api/v1/oncall": read("Who is on call, and who comes next", "Oncall", 400, parameters=[_AT]),
        **_actions(),
        **_drills(),
        **_sinks(),
        "/api/v1/deploys": _deploys(),
        "/api/v1/public": read("What the public page shows", "Public", protected=False),
        "/api/v1/openapi.json": shown("This document", {JSON: {"schema": {"type": "object"}}}),
        "/healthz": _health("Whether the agent is well: 503 when nothing is looked at"),
        "/readyz": _health("Whether it looks and answers"),
    }


def _checks() -> dict[str, Described]:
    path, check = "/api/v1/checks", in_path("name", "The check's id.")
    page = [check, limit(TRANSITIONS_LIMIT, TRANSITIONS_MOST), _BEFORE]
    return {
        path: read("Every check in a line", "Checks", 400, parameters=_CHECK_FILTERS),
        f"{path}/{{name}}": read("One check: why, thresholds, evidence", "Check", 404, parameters=[check]),
        f"{path}/{{name}}/chart": read(
            "A measurement over time", "Chart", 400, 404, parameters=[check, _MEASUREMENT, _SPAN]
        ),
        f"{path}/{{name}}/findings": read(
            "Figures that are where they have not been", "Findings", 404, parameters=[check]
        ),
        f"{path}/{{name}}/ribbon": read("States over time", "Ribbon", 400, 404, parameters=[check, _SPAN]),
        f"{path}/{{name}}/transitions": read(
            "Changes of its state, newest first", "Transitions", 400, 404, parameters=page
        ),
    }


def _services() -> dict[str, Described]:
    path, service = "/api/v1/services", in_path("name", "The service's name.")
    return {
        f"{path}/{{name}}/ribbon": read("States over time", "Ribbon", 400, 404, parameters=[service, _SPAN]),
        path: read("Every service", "Services"),
        f"{path}/{{name}}": read("One service and its checks", "Service", 404, parameters=[service]),
    }


def _incidents() -> dict[str, Described]:
    path, incident = "/api/v1/incidents", in_path("id", "The incident's id.")
    return {
        path: read(
            "Open incidents, then the newest others", "Incidents", 400, parameters=[limit(LIST_LIMIT, LIST_MOST)]
        ),
        f"{path}/{{id}}": read("One incident and its events", "Incident", 404, parameters=[incident]),
        f"{path}/{{id}}/acknowledge": _deed("Take it on: nobody else is called for it", "Acknowledging"),
        f"{path}/{{id}}/snooze": _deed("Put it off: it is told anew if it is open then", "Snoozing"),
        f"{path}/{{id}}/notes": _deed("Tell the others something", "Noting"),
    }


def _quiet() -> dict[str, Described]:
    """Maintenance and silences."""
    maintenance = read("Windows of maintenance, those that go on first", "Maintenance")
    silences = read("Silences, that which ends first before the others", "Silences")
    return {
        "/api/v1/maintenance": maintenance
        | create("Announce maintenance, from now on", "Window", asked="Announcement"),
        "/api/v1/maintenance/{id}": end("End a window that was announced by hand", "The window's id.", 404, 409),
        "/api/v1/silences": silences
        | create("Silence what a matcher takes, from now on", "Silence", asked="SilenceAsked"),
        "/api/v1/silences/{id}": end("End a silence before its time", "The silence's id.", 404),
    }


def _actions() -> dict[str, Described]:
    told = "What is done about incidents by itself, and what became of it"
    return {
        "/api/v1/actions": read(told, "Actions"),
        "/api/v1/actions/stop": write("Take no action any more, and end what runs", "Actions", 413, 415),
        "/api/v1/actions/start": write("Take actions again", "Actions", 413, 415),
    }


def _drills() -> dict[str, Described]:
    drill = in_path("id", "The drill's id.")
    return {
        "/api/v1/drills": create("Play an incident through the live path", "Drill", asked="DrillAsked"),
        "/api/v1/drills/{id}": read("How a drill goes", "Drill", 404, parameters=[drill]),
    }


def _sinks() -> dict[str, Described]:
    path, sink, some = "/api/v1/sinks", in_path("name", "The sink's name."), limit(DEAD_LIMIT, DEAD_MOST)
    told = "Send a marked test, and tell what was answered"
    return {
        path: read("How the sinks stand", "Sinks"),
        f"{path}/dead": read("What was given up, newest first", "DeadLetters", 400, parameters=[some]),
        f"{path}/replay": write("Send dead letters again", "Replayed", 400, 404, 413, 415, asked="Replay"),
        f"{path}/{{name}}/test": write(told, "SinkTest", 404, 413, 415, parameters=[sink]),
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


def _events() -> Described:
    resume = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "For streams: the id of the last event that was seen; what came since is told first.",
        "schema": {"type": "string"},
    }
    told = read(
        "The newest events, newest first; with `Accept: text/event-stream` each as it happens",
        "Events",
        400,
        parameters=[limit(LIST_LIMIT, LIST_MOST), resume],
    )
    told["get"]["responses"]["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    return told


def _deploys() -> Described:
    told = read("Deploys that were marked, newest first", "Deploys")
    mark = write("Mark a deploy", "Deploy", 400, 413, 415, asked="DeployMark")
    responses = mark["post"]["responses"]
    responses["201"] = responses["200"] | {"description": "It is marked."}
    responses["200"]["description"] = "It was marked before."
    return told | mark


def _deed(summary: str, body: str) -> Described:
    identity = in_path("id", "The incident's id.")
    deed = write(summary, "Incident", 400, 404, 413, 415, asked=body, parameters=[identity])
    deed["post"]["requestBody"]["required"] = body != "Acknowledging"
    return deed


def _reload() -> Described:
    content = {JSON: {"schema": reference("Reload")}}
    told = shown("Read the configuration again", content, 401, 403, 413, 415, 429)
    operation = {"post": told["get"]}
    operation["post"]["security"] = [{"token": [Scope.ADMIN.value]}]
    operation["post"]["responses"]["422"] = {"description": "It has faults, and changes nothing.", "content": content}
    return operation


def _health(summary: str) -> Described:
    content = {HEALTH: {"schema": reference("Health")}}
    told = shown(summary, content)
    told["get"]["responses"]["503"] = {"description": "It is not.", "content": content}
    return told


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
