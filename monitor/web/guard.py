"""What every request passes: the Host check, the time limit, problems instead of error pages, security headers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from monitor.web.names import hostname, is_loopback_name
from monitor.web.problem import Problem, problem

HANDLER_TIMEOUT = 30.0

_POLICY = "Content-Security-Policy"
SECURITY_HEADERS = {
    _POLICY: (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Which versions answer is nobody's business.
    "Server": "brownout",
}

NOTHING_HERE = web.AppKey("nothing_here", str)
"""What an application says where it has nothing."""

TIME_LIMIT = web.RequestKey("time_limit", asyncio.Timeout)
"""The time limit of a request, for streams that last."""

MAY_READ: web.RequestKey[Callable[[], bool]] = web.RequestKey("may_read")
"""Whether whoever sent the request may read still: a reload may take a token away while an answer lasts."""

OWN_AUTHORITY = ("/ping/", "/push", "/hooks/", "/acknowledge/")
"""The beginnings of paths of requests that carry a token or a signature: their Host does not matter, and they
read no more than that is for."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger("brownout.web")


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """For `Application.on_response_prepare`: streamed answers and errors get them too."""
    policy = response.headers.get(_POLICY, SECURITY_HEADERS[_POLICY])  # a page with a form has its own
    response.headers.update(SECURITY_HEADERS | {_POLICY: policy})
    response.headers.setdefault("Cache-Control", "no-store")


@web.middleware
async def problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Nobody is shown an error page of the library, a traceback, or is kept waiting for ever."""
    try:
        async with asyncio.timeout(HANDLER_TIMEOUT) as limit:
            request[TIME_LIMIT] = limit
            return await handler(request)
    except Problem as error:
        return error.response
    except web.HTTPMethodNotAllowed as error:
        allowed = error.headers["Allow"]
        return problem(405, f"This surface takes {allowed}.", {"Allow": allowed})
    except web.HTTPNotFound:
        return problem(404, request.app[NOTHING_HERE])
    except web.HTTPException as error:
        return problem(error.status)
    except TimeoutError:
        return problem(503, "The answer took too long. Ask for less, or try again.", {"Retry-After": "5"})
    except ConnectionError as error:
        if is_gone(request):
            return problem(503)  # to nobody; that a client goes away is no fault of ours
        return _failed(request, error)
    except Exception as error:  # noqa: BLE001  (the border: a visitor is never shown a traceback)
        return _failed(request, error)


def is_gone(request: web.BaseRequest) -> bool:
    """Whether the client has closed its connection."""
    return request.transport is None or request.transport.is_closing()


def _failed(request: web.Request, error: Exception) -> web.Response:
    resource = request.match_info.route.resource  # the path itself may hold a token
    _log.error("request_failed", path=resource.canonical if resource else "", exc_info=error)
    return problem(500, "This is a fault of the agent; its log has the traceback.")


def host_guard(is_loopback: Callable[[], bool], *names: str | None) -> Middleware:
    """Refuses requests for foreign names while listening on loopback only.

    A page from elsewhere can point its own name at 127.0.0.1 and read us through the visitor's browser (DNS
    rebinding); its Host header then carries that name. Whoever listens to the world has names we do not know.
    """
    known = {name.lower() for name in names if name}

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        # No Host at all is HTTP/1.0: a load balancer's health check, never a browser.
        given = request.headers.get("Host")
        if given is not None and is_loopback() and not request.path.startswith(OWN_AUTHORITY):
            name = hostname(f"//{given}")
            if name is None or not (name in known or is_loopback_name(name)):
                return problem(421, "The agent does not answer to this name. Set agent.public_url to the page's URL.")
        return await handler(request)

    return guard
