"""Errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

PROBLEM = "application/problem+json"


class Problem(Exception):
    """Ends a request with a problem. `detail` says what to do, and repeats nothing that the client sent."""

    def __init__(self, status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.response = problem(status, detail, headers)


def problem(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer that says what was wrong and what to do. `detail` repeats nothing that the client sent."""
    body = {"title": HTTPStatus(status).phrase, "status": status}
    if detail:
        body["detail"] = detail
    return web.Response(
        status=status, body=json.dumps(body).encode(), content_type=PROBLEM, headers=dict(headers or {})
    )


def unreadable(what: str = "journal") -> Problem:
    detail = f"The {what} cannot be read now; /api/v1/status still tells how everything stands."
    return Problem(503, detail, {"Retry-After": "10"})
