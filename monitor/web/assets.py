"""The page and what it is made of: read once, kept in memory, the same for everybody."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from aiohttp import web

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HERE = files("monitor.web")

PAGE = (_HERE / "templates" / "page.html").read_bytes()
PUBLIC_PAGE = (_HERE / "templates" / "public.html").read_bytes()
_PUBLIC_FILES = ("page.css", "chart.js", "public.js")


def add_assets(app: web.Application, *, public: bool = False) -> None:
    """A route for each file of static/: there is no path to climb out of. `public`: those of the public page only."""
    for file in (_HERE / "static").iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None and (not public or file.name in _PUBLIC_FILES or kind == "image/svg+xml"):
            app.router.add_get(f"/static/{file.name}", Asset(file.read_bytes(), kind).answer)


class Asset:
    """One file. Browsers keep it and ask whether it is still the same: an upgrade shows at once."""

    def __init__(self, body: bytes, content_type: str) -> None:
        self._body = body
        self._content_type = content_type
        self._tag = hashlib.sha256(body).hexdigest()[:16]

    async def answer(self, request: web.Request) -> web.Response:
        known = {tag.value for tag in request.if_none_match or ()}
        fresh = self._tag in known
        response = web.Response(
            status=304 if fresh else 200,
            body=None if fresh else self._body,
            content_type=self._content_type,
            charset="utf-8",
            headers={"Cache-Control": "no-cache"},
        )
        response.etag = self._tag
        return response
