"""Who may do what: tokens with scopes, and what else a request must show before it may change anything.

There are no cookies, so a browser never sends a visitor's rights along by itself; a token counts in the header
``Authorization: Bearer`` only. Origin, Sec-Fetch-Site and Host are checked for writes all the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from monitor.clock import Clock
from monitor.tokens import Scope, Token, find_token
from monitor.web.names import hostname, is_address, is_loopback_name, network
from monitor.web.problem import problem

ATTEMPTS = 10
"""Wrong tokens of one address that are told so at once; then one every `ATTEMPT_EVERY`. A right one is always taken:
behind a proxy all have one address, and somebody's mistake must not shut out the others. It is too long to guess."""
ATTEMPT_EVERY = 6.0
"""Seconds."""
ADDRESSES = 4096
"""Addresses that are remembered; the longest unseen is forgotten first."""

TOKEN_NAME = web.RequestKey("token_name", str)
"""The name of the token that a request was let in with."""

_READS = frozenset({"GET", "HEAD"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access:
    """The guard of routes. `tokens` is asked anew for each request: a reload brings others. `refused` is told the
    kind of each refusal, a word of a closed set."""

    def __init__(
        self,
        tokens: Callable[[], Iterable[Token]],
        clock: Clock,
        names: Iterable[str | None],
        refused: Callable[[str], None],
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._names = {name.lower() for name in names if name}
        self._refused = refused
        self._attempts = Attempts()

    def requires(self, scope: Scope, handler: Handler) -> Handler:
        """`handler`, for those only who have a token with this scope; a write must be no other site's doing."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            refusal = self._foreign(request) or self._authorize(request, scope)
            if refusal is None and request.method not in _READS:
                refusal = await self._check_body(request)
            if refusal is not None:
                return refusal
            return await handler(request)

        return guarded

    def _foreign(self, request: web.Request) -> web.Response | None:
        """A refusal, where the request was made by a page of somebody else."""
        if request.method in _READS:
            return None
        name = hostname(f"//{request.headers.get('Host', '')}")
        if name is None or not (name in self._names or is_loopback_name(name) or is_address(name)):
            return self._refuse(
                "host", 421, "Nothing is written under this name. Set agent.public_url to the page's URL."
            )
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site not in ("none", "same-origin") or not self._own(request.headers.get("Origin"), request):
            return self._refuse("origin", 403, "A page from elsewhere may not write here.")
        return None

    def _own(self, origin: str | None, request: web.Request) -> bool:
        """Whether a page that says that it comes from `origin` is one of ours. A proxy may have changed the Host."""
        if origin is None or origin.partition("://")[2].lower() == request.headers.get("Host", "").lower():
            return True
        name = hostname(origin) or ""
        return name in self._names and not is_loopback_name(name) and not is_address(name)

    def _authorize(self, request: web.Request, scope: Scope) -> web.Response | None:
        text = bearer(request)
        if not text:
            return self._refuse("missing", 401, f"This needs a token with the scope {scope}.", _challenge())
        token = find_token(self._tokens(), text)
        if token is None:
            return self._unknown(network(request.remote))
        if scope not in token.scopes:
            told = f"The token {token.name} lacks the scope {scope}."
            return self._refuse("scope", 403, told, _challenge("insufficient_scope", scope))
        request[TOKEN_NAME] = token.name
        return None

    def permits(self, request: web.Request, scope: Scope) -> bool:
        """Whether its token has this scope now."""
        token = find_token(self._tokens(), bearer(request))
        return token is not None and scope in token.scopes

    def _unknown(self, who: str) -> web.Response:
        now = self._clock.now().tick
        if (wait := self._attempts.wait(who, now)) > 0:
            told = "Too many wrong tokens came from this address."
            return self._refuse("throttled", 429, told, {"Retry-After": str(int(wait) + 1)})
        self._attempts.failed(who, now)
        return self._refuse("unknown", 401, "No token of agent.tokens is this one.", _challenge("invalid_token"))

    async def _check_body(self, request: web.Request) -> web.Response | None:
        if request.can_read_body:
            if request.content_type != "application/json":
                return self._refuse("body", 415, "Send JSON, with Content-Type: application/json.")
            await request.read()  # beyond the limit it raises what becomes 413
        return None

    def _refuse(self, kind: str, status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
        self._refused(kind)
        return problem(status, detail, headers)


class Attempts:
    """Wrong tokens by address: a bucket of `ATTEMPTS` that refills, so that guessing is told apart from mistyping and
    seen in the metrics. Being bounded itself, it forgets."""

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """When the bucket of each address will be full again, as a tick."""

    def wait(self, who: str, now: float) -> float:
        """Seconds until this address may try again; 0 when it may."""
        spent = self._full_at.get(who, now) - now
        return max(spent - (ATTEMPTS - 1) * ATTEMPT_EVERY, 0.0)

    def failed(self, who: str, now: float) -> None:
        self._full_at[who] = max(self._full_at.get(who, now), now) + ATTEMPT_EVERY
        self._full_at.move_to_end(who)
        if len(self._full_at) > ADDRESSES:
            self._full_at.popitem(last=False)


def bearer(request: web.Request) -> str:
    """The token of ``Authorization: Bearer``; empty without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _challenge(error: str = "", scope: str = "") -> dict[str, str]:
    """RFC 6750, section 3."""
    parts = ['Bearer realm="brownout"']
    if error:
        parts.append(f'error="{error}"')
    if scope:
        parts.append(f'scope="{scope}"')
    return {"WWW-Authenticate": ", ".join(parts)}
