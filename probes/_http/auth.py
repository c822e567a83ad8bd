"""How a check proves who it is: basic, a bearer token, or a token that it fetches itself (OAuth2 client credentials).

A token is kept by the instance of the check, never in its memory, which is journalled. It is fetched outside the
phases of the look that needs it, and what goes wrong there is `Reason.LOGIN`: it says nothing about the target.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import monotonic, perf_counter
from typing import Annotated, Any, Literal
from urllib.parse import quote_plus, urlencode
from weakref import WeakValueDictionary

from probes._clean import Cleaner
from probes._http import url as _url
from probes._http.ask import Ask
from probes._http.exchange import fetch
from probes._http.http1 import check_header
from probes._http.proxy import Proxy
from probes._look import Look
from probes.contract import (
    TEXT_LIMIT,
    BadField,
    Blame,
    ByteSize,
    Context,
    LookFailed,
    Reason,
    Secret,
    TlsWanted,
    check_fields,
)

ANSWER_BYTES = ByteSize(64 * 1024)
"""The largest answer of a token endpoint that is read."""
_UNTOLD = 300.0
"""Seconds for which a token is kept when its endpoint does not say how long it holds."""
_RENEWED = 0.8
"""The part of a token's life after which the next one is fetched."""
_LONGEST_LIFE = 86_400.0
_KINDS = (("user", "password"), ("bearer",), ("token_url", "client_id", "client_secret"))


@dataclass(frozen=True, slots=True, repr=False)
class Auth:
    """`auth` says how the agent proves who it is; one of these:

    ```yaml
    checks:
      - name: report                                  # basic, as a user and a password in the URL would be
        probe: http
        url: https://api.example.com/report
        auth: {user: probe, password: "${PASSWORD}"}
      - name: stock                                   # a token that is sent as it is
        probe: http
        url: https://api.example.com/stock
        auth: {bearer: "${TOKEN}"}
      - name: orders                                  # a token that is fetched: OAuth2, client credentials
        probe: http
        url: https://api.example.com/orders
        auth:
          token_url: https://id.example.com/oauth2/token
          client_id: brownout
          client_secret: "${CLIENT_SECRET}"
          scope: orders.read
          parameters: {audience: shop}                # what else the endpoint wants
    ```

    A fetched token is kept, in memory only and for all checks with the same client, until four fifths of its life are
    over (`expires_in`; 4 minutes where the endpoint does not say), and fetched anew once when the target answers 401.
    An endpoint that gives none is no evidence against the target (`login`, cannot tell), unless it is the target's
    own host and cannot be reached. It is asked as the target is, by the same proxy and with the same `ca_file`, but
    never shown the agent's certificate.
    """

    user: Annotated[str | None, "The user of basic auth."] = None
    password: Annotated[Secret | None, "The password of basic auth."] = None
    bearer: Annotated[Secret | None, "A token that is sent as it is."] = None
    token_url: Annotated[str | None, "Where to fetch a token (OAuth2, client credentials)."] = None
    client_id: Annotated[str | None, "Who fetches it."] = None
    client_secret: Annotated[Secret | None, "What proves that."] = None
    scope: Annotated[str | None, "What the token is to be good for, as its endpoint names it."] = None
    parameters: Annotated[Mapping[str, Secret], "More fields for the token endpoint, such as `audience`."] = field(
        default_factory=dict
    )
    client_auth: Annotated[
        Literal["basic", "body"],
        "How the client proves itself to the token endpoint: by `basic` auth, the usual way, or in the `body`.",
    ] = "basic"

    def __post_init__(self) -> None:
        check_fields(self._check_kind, self._check_password, self._check_bearer, self._check_token_url)

    def _check_kind(self) -> None:
        kinds = [kind for kind in _KINDS if any(getattr(self, name) is not None for name in kind)]
        if not kinds:
            raise BadField("user", "write user and password, or bearer, or token_url, client_id and client_secret")
        if len(kinds) > 1:
            raise BadField(kinds[1][0], f"write either {_listed(kinds[0])} or {_listed(kinds[1])}")
        missing = [name for name in kinds[0] if getattr(self, name) is None]
        if missing:
            raise BadField(missing[0], f'"{missing[0]}" is missing: {_listed(kinds[0])} belong together')
        if self.token_url is None and (self.scope is not None or self.parameters):
            raise BadField("scope" if self.scope is not None else "parameters", "belongs to a token_url")

    def _check_password(self) -> None:
        if self.user is not None and ":" in self.user:
            raise BadField("user", "a user of basic auth has no colon in it")

    def _check_bearer(self) -> None:
        if self.bearer is not None:
            _checked("bearer", self.bearer.reveal())

    def _check_token_url(self) -> None:
        if self.token_url is None:
            return
        try:
            url = _url.parse(self.token_url)
        except ValueError as error:
            raise BadField("token_url", str(error)) from None
        if url.authorization is not None:
            raise BadField("token_url", "write client_id and client_secret instead of a user and a password")

    @property
    def written(self) -> Secret | None:
        """The value of the Authorization header, where it is known before the look."""
        if self.user is not None and self.password is not None:
            return Secret(_basic(self.user, self.password.reveal()))
        return Secret(f"Bearer {self.bearer.reveal()}") if self.bearer is not None else None

    @property
    def secrets(self) -> list[str]:
        """What must not come back in evidence, as far as it is known before the look."""
        known = [secret.reveal() for secret in (self.password, self.bearer, self.client_secret) if secret is not None]
        known += [value.reveal() for value in self.parameters.values()]
        pairs = [(self.user, self.password)]
        if self.client_id is not None and self.client_secret is not None:
            pairs.append((quote_plus(self.client_id), Secret(quote_plus(self.client_secret.reveal()))))
        basics = [_basic(user, word.reveal()) for user, word in pairs if user is not None and word is not None]
        return known + [part for basic in basics for part in (basic, basic.removeprefix("Basic "))]


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _basic(user: str, word: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()


def _checked(name: str, token: str) -> None:
    try:
        check_header("Authorization", f"Bearer {token}")
    except ValueError:
        raise BadField(name, "has a line break, a control character or one outside Latin-1") from None


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """What an endpoint has given out; good to be sent until `until`, by `time.monotonic`."""

    text: str
    until: float


class Tokens:
    """Fetches a token and keeps it. Looks that overlap fetch it once; so do checks that want the same (`tokens`)."""

    __slots__ = ("__weakref__", "_ask", "_auth", "_kept", "_lock", "_url")

    def __init__(self, auth: Auth) -> None:
        """`auth` has a `token_url`."""
        self._auth = auth
        self._url = _url.parse(auth.token_url or "")
        self._ask: Ask | None = None
        self._kept: Token | None = None
        self._lock = asyncio.Lock()

    async def get(self, look: Look, context: Context, target: Ask, *, instead_of: str | None = None) -> str:
        """A token for the `target`, kept or new; `instead_of` is one that it has refused.

        The endpoint is reached as the target is, by its proxy, and trusted by the same authorities; it is shown no
        certificate of the agent's. Raises `LookFailed`: `login` where the endpoint gives none; where it is the target
        itself that cannot be reached, what that is. Spends the phase login, when there is need.
        """
        token = self._kept
        if token is not None and token.text != instead_of and monotonic() < token.until:
            return token.text
        since = perf_counter()
        look.begin(Reason.LOGIN)
        try:
            await self._turn(look.left())
            try:
                kept = self._kept  # another look may have fetched it meanwhile
                if kept is None or kept.text == instead_of or monotonic() >= kept.until:
                    kept = self._kept = await self._fetch(look.left(), context, target)
            finally:
                self._lock.release()
        finally:
            look.spend("login", perf_counter() - since)
        return kept.text

    async def _turn(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._lock.acquire()
        except TimeoutError:
            raise LookFailed(Reason.LOGIN, f"{self._url.shown}: another look still waits for its answer") from None

    async def _fetch(self, timeout: float, context: Context, target: Ask) -> Token:
        """By a look of its own, which keeps its phases and its evidence to itself."""
        ask = self._ask
        if ask is None:
            ask = self._ask = _token_ask(self._auth, self._url, target)
        proxy = target.proxy.secrets if target.proxy is not None else []
        look = Look(timeout, Cleaner(self._auth.secrets + proxy), context.redact)
        began = monotonic()
        try:
            # Nobody listens in: what is asked and answered here is secret.
            answer = await fetch(look, replace(context, trace=None), ask, {})
            return _token(look, answer.status, answer.body, began)
        except LookFailed as failure:
            reason = failure.reason
            if reason.blame is Blame.US:
                raise
            word = "" if reason is Reason.LOGIN else f"{reason.value}: "
            if not (reason.by_network and target.url.trusts(self._url)):
                reason = Reason.LOGIN
            raise LookFailed(reason, f"{self._url.shown}: {word}{failure.detail}") from None
        finally:
            look.close()


_tokens: WeakValueDictionary[object, Tokens] = WeakValueDictionary()
"""By all that makes a token what it is, and its way here; as long as a check has them."""


def tokens(auth: Auth, tls: TlsWanted, proxy: Proxy | None) -> Tokens | None:
    """Those of this client, the same for all checks that say the same: a hundred of them at once would be turned
    away. None where no token is to be fetched."""
    if auth.token_url is None:
        return None
    more = tuple(sorted((name, value.reveal()) for name, value in auth.parameters.items()))
    client = (auth.token_url, auth.client_id, auth.client_secret, auth.scope, more, auth.client_auth)
    key = (client, tls, proxy)
    found = _tokens.get(key)
    if found is None:
        found = _tokens[key] = Tokens(auth)
    return found


def _token_ask(auth: Auth, url: _url.Url, target: Ask) -> Ask:
    client, secret = auth.client_id or "", auth.client_secret.reveal() if auth.client_secret is not None else ""
    fields = {"grant_type": "client_credentials"}
    if auth.scope is not None:
        fields["scope"] = auth.scope
    fields |= {name: value.reveal() for name, value in auth.parameters.items()}
    headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")]
    if auth.client_auth == "basic":
        # Both are form-urlencoded first (RFC 6749, 2.3.1).
        headers.append(("Authorization", _basic(quote_plus(client), quote_plus(secret))))
    else:
        fields |= {"client_id": client, "client_secret": secret}
    return Ask(
        url=url,
        method="POST",
        written=headers,
        body=urlencode(fields).encode(),
        follow=0,  # what is posted is a secret, and an endpoint that has moved is to be written anew
        final=frozenset(range(100, 1000)),
        max_bytes=ANSWER_BYTES,
        keep=ANSWER_BYTES,
        server_name=None,
        tls=target.foreign_tls,
        proxy=target.proxy,
    )


def _token(look: Look, status: int, body: bytes, began: float) -> Token:
    """What a token endpoint has answered (RFC 6749, 5.1 and 5.2)."""
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    told = answer if isinstance(answer, dict) else {}
    if status != 200:
        said = [str(told[name]) for name in ("error", "error_description") if isinstance(told.get(name), str)]
        words = f": {look.show(', '.join(said), 160)}" if said else ""
        raise LookFailed(Reason.LOGIN, f"status {status}{words}")
    token = told.get("access_token")
    if not isinstance(token, str) or not token:
        raise LookFailed(Reason.LOGIN, "the answer holds no access_token")
    kind = told.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise LookFailed(
            Reason.LOGIN, f"the token is of the type {look.show(str(kind)[:TEXT_LIMIT], 40)}, not Bearer"
        )
    try:
        _checked("access_token", token)
    except BadField as error:
        raise LookFailed(Reason.LOGIN, f"the token cannot be sent: it {error}") from None
    return Token(token, began + _life(told.get("expires_in")) * _RENEWED)


def _life(told: object) -> float:
    """Seconds; some endpoints write the number as a text."""
    try:
        life = float(told) if isinstance(told, int | float | str) and not isinstance(told, bool) else _UNTOLD
    except (ValueError, OverflowError):
        return _UNTOLD
    return min(max(life, 0.0), _LONGEST_LIFE) if life == life else _UNTOLD
