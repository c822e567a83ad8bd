"""Errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

PROBLEM = "application/problem+json"


def problem(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer that says what was wrong and what to do. `detail` repeats nothing that the client sent."""
    body = {"title": HTTPStatus(status).phrase, "status": status}
    if detail:
        body["detail"] = detail
    return web.Response(
        status=status, body=json.dumps(body).encode(), content_type=PROBLEM, headers=dict(headers or {})
    )
