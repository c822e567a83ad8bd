"""Looks at a domain's registration (RDAP): when does it end, and is it still in the DNS?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

from probes._clean import Cleaner
from probes._http.web import page, read, secrets, source
from probes._look import Look, failed, visible
from probes.contract import BadField, Context, LookFailed, Measurement, Observation, Probe, Reason, Unit

BOOTSTRAP = "https://data.iana.org/rdap/dns.json"
"""Which server knows which top-level domain (RFC 9224)."""

RETRY = 600.0
"""Seconds between attempts while the registry does not answer, or says that the domain is not there."""
KEPT = 7 * 86_400.0
"""Seconds for which an answer of the registry counts while it cannot be asked again."""

_MAX_BYTES = 262_144
"""IANA's list has less than half of it; JSON is read in one go, which holds the loop."""
_HELD = frozenset({"client hold", "server hold", "redemption period", "pending delete", "inactive"})
"""Statuses (RFC 8056) of a domain that is not, or soon no longer, in the DNS."""


@dataclass(frozen=True, slots=True, repr=False)
class Domain(Probe):
    """Asks the registry when a domain's registration ends, and whether the domain is still in the DNS.

    Registries do not want to be asked often: the answer is kept, over restarts too, and asked for again every
    `refresh`; the looks between count down. While the registry cannot be asked, its last answer counts for a week.

    ```yaml
    checks:
      - name: our domain
        probe: domain
        domain: example.com
        every: 10m
        degraded: expires_in < 45d
    ```

    Default thresholds: `expires_in < 21d` is degraded. Registrars renew by themselves, or send their reminders, about
    a month before the end (ICANN asks for one then, and one a week before): at three weeks both have failed, and
    there is time to find out whose credit card has expired. `held > 0` is down: a domain on hold, in redemption or
    about to be deleted is taken out of the DNS, and everything under it goes dark as caches run out.

    Limits: top-level domains whose registry offers RDAP and tells the end; some of countries do not (`unsupported`
    says so, and `rdap` names another server if there is one). The domain is the registered one, `example.co.uk` and
    not `www.example.co.uk`. A registry that fails is never held against the domain.
    """

    kind: ClassVar[str] = "domain"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("expires_in", Unit.SECONDS, "Until the registration ends; negative when it has."),
        Measurement("held", Unit.COUNT, "Statuses that take the domain out of the DNS, such as `client hold`."),
        Measurement("answer_age", Unit.SECONDS, "Since the registry has said so."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("expires_in < 21d",), "down": ("held > 0",)}

    domain: Annotated[str, "The registered domain, such as `example.com`."]
    rdap: Annotated[str | None, "The base URL of an RDAP server; none: the one that IANA's list names."] = None
    refresh: Annotated[timedelta, "How often to ask the registry; an hour at least."] = timedelta(hours=6)
    bootstrap: Annotated[str, "The URL of the list of RDAP servers."] = BOOTSTRAP
    _name: str = field(init=False, compare=False)
    _own: Cleaner | None = field(init=False, compare=False)
    _now: Callable[[], float] = field(default=time.time, compare=False)
    """Not of the YAML: the wall clock, so that a test can let days pass."""

    def __post_init__(self) -> None:
        try:
            name = self.domain.rstrip(".").encode("idna").decode().lower()
        except UnicodeError:
            raise BadField("domain", f"{self.domain!r} cannot be a domain: write one such as example.com") from None
        if name.count(".") < 1 or any(not label or not label.replace("-", "").isalnum() for label in name.split(".")):
            raise BadField("domain", f"{self.domain!r} cannot be a domain: write one such as example.com")
        if self.refresh < timedelta(hours=1):
            raise BadField("refresh", "write at least 1h: registries refuse who asks often")
        asks = [page(self.bootstrap, field="bootstrap", max_bytes=_MAX_BYTES)]
        if self.rdap is not None:
            asks.append(page(self.rdap, field="rdap", max_bytes=_MAX_BYTES))
        object.__setattr__(self, "_own", Cleaner(word for ask in asks for word in secrets(ask)) or None)
        object.__setattr__(self, "_name", name)

    def __repr__(self) -> str:
        # A URL may hold a password; a repr ends in tracebacks and logs.
        return f"Domain({self.domain})"

    @property
    def target(self) -> str:
        return self.domain

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, self._own, context.redact)
        memory, now = context.memory, self._now()
        try:
            # Further ahead than it is ever put: the clock was set back, and it would not be asked for years.
            if not 0 < _number(memory.get("ask_at")) - now <= self.refresh.total_seconds():
                await self._ask(look, context, now)
            figures = self._figures(look, memory, now)
        except LookFailed as failure:
            return failed(look, failure, {})
        finally:
            look.close()
        return Observation(figures, None, "", look.phases, look.evidence)

    async def _ask(self, look: Look, context: Context, now: float) -> None:
        """Renew what is known, or note why it cannot be."""
        memory = context.memory
        memory["ask_at"] = now + RETRY
        try:
            document = await self._document(look, context)
        except LookFailed as failure:
            memory["reason"], memory["why"] = failure.reason.value, visible(failure.detail)
            if failure.reason is Reason.MISSING:
                memory.pop("asked_at", None)
            return
        memory.pop("reason", None)
        memory["asked_at"], memory["ask_at"] = now, now + self.refresh.total_seconds()
        memory["held"] = ", ".join(sorted(_HELD & _statuses(document)))
        expires = _expiration(document)
        if expires is None:
            memory.pop("expires_at", None)
        else:
            memory["expires_at"] = expires

    async def _document(self, look: Look, context: Context) -> dict[str, Any]:
        server = self.rdap or await self._server(look, context)
        url = f"{server.rstrip('/')}/domain/{self._name}"
        try:
            body = await read(look, context, page(url, max_bytes=_MAX_BYTES))
        except LookFailed as failure:
            if failure.reason is Reason.STATUS and failure.detail.startswith("status 404"):
                raise LookFailed(Reason.MISSING, f"the registry does not know {self._name}") from failure
            raise source(failure, "the registry") from failure
        return _object(body, "the registry's answer")

    async def _server(self, look: Look, context: Context) -> str:
        """The base URL of the server for this top-level domain: the longest match in the list (RFC 9224, 4)."""
        try:
            body = await read(look, context, page(self.bootstrap, max_bytes=_MAX_BYTES))
        except LookFailed as failure:
            raise source(failure, "the list of RDAP servers") from failure
        found = ""
        server: str | None = None
        for entry in _list(_object(body, "the list of RDAP servers").get("services")):
            suffixes, urls = (_list(part) for part in (*_list(entry), None, None)[:2])
            for suffix in suffixes:
                if f".{self._name}".endswith(f".{suffix}") and len(str(suffix)) > len(found):
                    found = str(suffix)
                    server = next((str(url) for url in urls if str(url).startswith("https://")), None)
        if server is None:
            top = self._name.rpartition(".")[2]
            raise LookFailed(Reason.UNSUPPORTED, f"the registry of .{top} offers no RDAP; name a server with rdap:")
        return server

    def _figures(self, look: Look, memory: Mapping[str, float | str], now: float) -> dict[str, float]:
        """What is known. Raises `LookFailed` when that is nothing, or too old."""
        age = max(0.0, now - _number(memory.get("asked_at")))
        if "reason" in memory:
            if age > KEPT:
                raise LookFailed(Reason(str(memory["reason"])), str(memory["why"]))
            look.evidence["registry"] = visible(f"{memory['reason']}: {memory['why']}", 200)
        held = str(memory["held"])
        figures = {"held": float(len(held.split(", "))) if held else 0.0, "answer_age": age}
        if held:
            look.evidence["held"] = visible(held)
        if "expires_at" in memory:
            expires = _number(memory["expires_at"])
            figures["expires_in"] = expires - now
            look.evidence["expires"] = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d %H:%M UTC")
        elif not held:
            raise LookFailed(Reason.UNSUPPORTED, "the registry does not say when the registration ends")
        return figures


def _number(value: float | str | None) -> float:
    return value if isinstance(value, float) else 0.0


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise LookFailed(Reason.SOURCE, f"{what} is not JSON") from error
    if not isinstance(document, dict):
        raise LookFailed(Reason.SOURCE, f"{what} is no JSON object")
    return document


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _statuses(document: Mapping[str, Any]) -> set[str]:
    return {status.lower() for status in _list(document.get("status")) if isinstance(status, str)}


def _expiration(document: Mapping[str, Any]) -> float | None:
    """RFC 9083, 4.5: events with their action and date; of several expirations the earliest, as of the registry's."""
    found = []
    for event in _list(document.get("events")):
        if isinstance(event, dict) and event.get("eventAction") == "expiration":
            try:
                moment = datetime.fromisoformat(str(event.get("eventDate")))
                found.append(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
            except (ValueError, OverflowError):
                continue
    return min(found, default=None)
