"""What all sinks over HTTP share: one client, what a status means, and how long we are asked to wait."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import httpx

from monitor.sinks._lines import Lines
from monitor.sinks.contract import SendFailed
from probes.contract import Secret

RETRY_AFTER_LIMIT: Final = 3600.0
"""Seconds. Whoever asks for more is asked again after an hour: an alert is worth that."""
CLOCKS_APART: Final = 240.0
"""Seconds by which the other side's clock may differ from ours before its refusal is no judgement of the event: from
300 on a signature is refused (the libraries of Standard Webhooks)."""
BODY_LIMIT: Final = 64 * 1024
_BODY_SECONDS: Final = 1.0
RETRIED: Final = frozenset({408, 425, 429})
"""Besides 5xx (contracts, section 0): the request was fine, the moment was not."""
_DEEPEST: Final = 16
_ENDED: Final = "it ended the connection without an answer, or its answer is no HTTP"
_NOT_CONNECTED: Final = "none of its addresses takes a connection, or it ends them before TLS is set up"
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)
_OURS: Final = {
    "user-agent": f"brownout/{version('brownout')}",
    "accept": "*/*",
    "accept-encoding": "identity",  # unpacked: an answer is read as it comes, and only so much of it
}


def new_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The one client of all sinks. `transport`: by which it asks, if not by its own."""
    return httpx.AsyncClient(transport=transport or Lines(), headers=_OURS, follow_redirects=False, trust_env=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said: `body` is at most `BODY_LIMIT` bytes of it, undecoded."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """What it says in JSON; None where it is none. Whoever asks must expect anything."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def mapping(self) -> dict[str, Any]:
        """The object in JSON that it is; nothing in it where it is none."""
        found = self.json()
        return found if isinstance(found, dict) else {}


async def post(
    client: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, now: datetime
) -> Answer:
    """POST once: return when it was accepted (2xx), raise `SendFailed` otherwise, within `seconds`."""
    answer = await ask(client, "POST", url, body, headers, seconds=seconds)
    judge(answer, now)
    return answer


async def ask(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    seconds: float,
) -> Answer:
    """Ask once, whatever the answer is (`judge` tells what it means). Raises `SendFailed` where none came within
    `seconds`, and says whether it may have been taken all the same.

    The answer's body is bounded and never shown. Nothing that may hold a secret (the URL's path and query, our
    headers) gets into an error.
    """
    try:
        async with asyncio.timeout(seconds):
            # Not by the client, which puts together anew what is always the same: a tenth of a send.
            request = httpx.Request(method, _url(url), headers=_OURS | dict(headers), content=body)
            response = await client.send(request, stream=True, follow_redirects=False)
    except TimeoutError:
        raise SendFailed(f"no answer within {seconds:g} s", uncertain=True) from None
    except httpx.TimeoutException as error:
        text = f"no answer in time ({type(error).__name__})"
        raise SendFailed(text, uncertain=not isinstance(error, _NOT_SENT)) from None
    except httpx.TransportError as error:
        text = f"cannot reach it: {cause(error)}"
        raise SendFailed(text, uncertain=not isinstance(error, _NOT_SENT)) from None
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise SendFailed(f"the URL or a header cannot be used ({type(error).__name__})", permanent=True) from None
    try:
        return Answer(response.status_code, response.headers, await _read(response))
    finally:
        await response.aclose()


@lru_cache(64)
def _url(url: str) -> httpx.URL:
    return httpx.URL(url)


def judge(
    answer: Answer,
    now: datetime,
    *,
    retried: frozenset[int] = RETRIED,
    wait: float | None = None,
    said: str = "",
) -> None:
    """Raise `SendFailed` unless it is 2xx: no redirect is followed; `retried` and 5xx are tried again. `wait`: for
    how many seconds the other side has asked in a way of its own; Retry-After counts, too: the longer one holds.
    `said`: why it refuses, where that is known to be harmless, for the error's text."""
    status = answer.status
    if 200 <= status < 300:
        return
    text = f"answered {status}{_phrase(status)}" + (f": {said}" if said else "")
    if status in retried or status >= 500:
        asked = [item for item in (wait, retry_after(answer.headers.get("retry-after"), now)) if item is not None]
        raise SendFailed(text, retry_after=min(max(asked), RETRY_AFTER_LIMIT) if asked else None)
    if status == HTTPStatus.GONE:  # Standard Webhooks 1.0.0: disable the endpoint
        raise SendFailed(f"{text}: it wants nothing more", gone=True)
    if 300 <= status < 400:
        text += ", and redirects are not followed: write the final URL"
    apart = _clocks_apart(answer.headers.get("date"), now)
    if abs(apart) > CLOCKS_APART:  # ours may be the wrong one: an event must not be given up for that
        raise SendFailed(f"{text}; its clock and ours are {abs(apart):.0f} s apart: set the wrong one")
    raise SendFailed(text, permanent=True)


def limit_reset(answer: Answer) -> float | None:
    """``X-RateLimit-Reset``: seconds until then, or an instant in Unix seconds, as the vendor has it; None: it tells
    none."""
    try:
        found = float(answer.headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= 0 else None


def said(text: object, *secrets: Secret) -> str:
    """Why the other side refuses, in its own words, for `judge`: a text or a list of them, on one line without
    control characters; nothing where it repeats a secret that we have sent."""
    texts = text if isinstance(text, list) else [text]
    found = "; ".join(item for item in texts[:5] if isinstance(item, str))
    if any(secret.reveal() in found for secret in secrets):
        return ""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in found).split())[:200]


def _clocks_apart(date: str | None, now: datetime) -> float:
    """Seconds by which we are ahead of the other side, by the Date of its answer; 0 when it tells none."""
    theirs = _http_date(date) if date is not None else None
    return (now - theirs).total_seconds() if theirs is not None else 0.0


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header, in either form (RFC 9110, 10.2.3); None when it says nothing."""
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"\d{1,10}(\.\d{1,6})?", value, re.ASCII):
        return min(float(value), RETRY_AFTER_LIMIT)
    when = _http_date(value)
    return None if when is None else min(max((when - now).total_seconds(), 0.0), RETRY_AFTER_LIMIT)


def _http_date(value: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


async def _read(response: httpx.Response) -> bytes:
    """What can be had of the body. One that is endless, slow or broken changes nothing: the status has said it."""
    kept = bytearray()
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in response.aiter_raw():
                kept += chunk[: BODY_LIMIT - len(kept)]
                if len(kept) >= BODY_LIMIT:
                    break
    return bytes(kept)


def cause(error: BaseException) -> str:
    """The system's own word for it. httpx wraps that deep, and its texts may quote the URL or the other side."""
    known: dict[type, str] = {httpx.RemoteProtocolError: _ENDED, httpx.ConnectError: _NOT_CONNECTED}
    found = known.get(type(error), type(error).__name__)
    link: BaseException | None = error
    for _ in range(_DEEPEST):  # a chain of causes may be a ring
        if link is None:
            break
        if isinstance(link, ssl.SSLError):
            return str(getattr(link, "verify_message", "") or link.reason or "TLS failed")[:200]
        if isinstance(link, socket.gaierror):
            return str(link.strerror or "the name cannot be resolved")[:200]
        if isinstance(link, OSError) and link.errno:
            found = os.strerror(link.errno)
        link = link.__cause__ or link.__context__
    return found


def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
