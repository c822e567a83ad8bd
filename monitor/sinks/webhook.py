"""Events as signed JSON to any URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from monitor.sinks import _signing
from monitor.sinks.contract import Nature, Sink, SinkContext
from monitor.store.contract import Delivery
from probes.contract import BadField, Secret, check_fields

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = frozenset({"content-length", "content-type", "host", "transfer-encoding", "connection"})
_LONGEST = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Webhook(Sink):
    """POSTs every event, in order, as the JSON of docs/events.md, signed by Standard Webhooks.

    ```yaml
    sinks:
      hook:
        type: webhook
        url: https://ops.example.com/hooks/brownout
        secret: "${HOOK_SECRET}"
        headers: {authorization: "Bearer ${HOOK_TOKEN}"}
    ```

    The headers `webhook-id` (the same on every attempt: drop what you have seen), `webhook-timestamp` (of this
    attempt) and `webhook-signature` are those of the Standard Webhooks libraries, so verifying takes three lines.
    Any 2xx accepts. Network errors, timeouts, 408, 425, 429 and 5xx are tried again, over some days, and a
    `Retry-After` is honoured up to an hour; any other answer, a redirect too, makes a dead letter at once.
    """

    kind: ClassVar[str] = "webhook"
    nature: ClassVar[Nature] = Nature.LOG

    url: Annotated[str, "where to POST; http or https"] = field(repr=False)
    secret: Annotated[
        tuple[Secret, ...],
        "signs the body: `whsec_` and base64 of 24 to 64 bytes, or any other text as it is. Two while you change "
        "it, the new one first: both sign. None: unsigned",
    ] = ()
    headers: Annotated[Mapping[str, Secret], "sent along, for example `authorization`; their values stay secret"] = (
        field(default_factory=dict)
    )
    timeout: Annotated[timedelta, "how long one attempt may take, at most 20s"] = _LONGEST

    def __post_init__(self) -> None:
        check_fields(
            lambda: _check_url(self.url),
            *(partial(_check_secret, secret) for secret in self.secret),
            *(partial(_check_header, name, value.reveal()) for name, value in self.headers.items()),
            lambda: _check_timeout(self.timeout),
        )

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

        keys = [_signing.key_of(secret.reveal()) for secret in self.secret]
        headers = {name.lower(): value.reveal() for name, value in self.headers.items()}
        headers |= {"content-type": "application/json"}
        headers |= _signing.headers(keys, delivery.event_id, context.now, delivery.body)
        await _http.post(
            context.client,
            self.url,
            delivery.body,
            headers,
            seconds=self.timeout.total_seconds(),
            now=context.now,
        )


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(ord(letter) <= ord(" ") for letter in url):
        raise BadField("url", "must be an absolute URL: https://host/path")


def _check_secret(secret: Secret) -> None:
    try:
        _signing.key_of(secret.reveal())
    except ValueError as error:
        raise BadField("secret", str(error)) from None


def _check_timeout(timeout: timedelta) -> None:
    if not timedelta(0) < timeout <= _LONGEST:
        raise BadField("timeout", "must be more than 0s and at most 20s")


def _check_header(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadField("headers", f"{name!r} is no name of a header")
    if name.lower() in _OURS or name.lower().startswith("webhook-"):
        raise BadField("headers", f"{name} is set by Brownout itself: leave it out")
    if not value.isascii() or any(ord(letter) < ord(" ") and letter != "\t" for letter in value):
        raise BadField("headers", f"the value of {name} must be one line of ASCII")
