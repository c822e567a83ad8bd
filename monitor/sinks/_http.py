"""What all sinks over HTTP share: one client, what a status means, and how long we are asked to wait."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Final

import httpx

from monitor.sinks.contract import SendFailed

RETRY_AFTER_LIMIT: Final = 3600.0
"""Seconds. Whoever asks for more is asked again after an hour: an alert is worth that."""
CLOCKS_APART: Final = 240.0
"""Seconds by which the other side's clock may differ from ours before its refusal is no judgement of the event: from
300 on a signature is refused (the libraries of Standard Webhooks)."""
BODY_LIMIT: Final = 64 * 1024
_DRAIN_SECONDS: Final = 1.0
_RETRIED: Final = frozenset({408, 425, 429})
"""Besides 5xx (contracts, section 0): the request was fine, the moment was not."""


def new_client() -> httpx.AsyncClient:
    """The one client of all sinks. Proxies and certificates of the environment are not ours to follow."""
    return httpx.AsyncClient(
        headers={"user-agent": f"brownout/{version('brownout')}"},
        timeout=httpx.Timeout(20.0, connect=10.0),
        limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0),
        follow_redirects=False,
        trust_env=False,
    )


async def post(
    client: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str], *, seconds: float, now: datetime
) -> None:
    """POST once: return when it was accepted (2xx), raise `SendFailed` otherwise, within `seconds`.

    The answer's body is read only to use the connection again: bounded, undecoded, never shown. Nothing that may
    hold a secret (the URL's path and query, our headers) gets into an error.
    """
    try:
        async with asyncio.timeout(seconds):
            request = client.build_request("POST", url, content=body, headers=headers)
            response = await client.send(request, stream=True, follow_redirects=False)
    except TimeoutError:
        raise SendFailed(f"no answer within {seconds:g} s") from None
    except httpx.TimeoutException as error:
        raise SendFailed(f"no answer in time ({type(error).__name__})") from None
    except httpx.TransportError as error:
        raise SendFailed(f"cannot reach it: {_cause(error)}") from None
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise SendFailed(f"the URL or a header cannot be used ({type(error).__name__})", permanent=True) from None
    try:
        await _drain(response)
    finally:
        await response.aclose()
    judge(response, now)


def judge(response: httpx.Response, now: datetime) -> None:
    """Raise `SendFailed` unless it is 2xx: no redirect is followed, 408, 425, 429 and 5xx are tried again."""
    status = response.status_code
    if 200 <= status < 300:
        return
    text = f"answered {status}{_phrase(status)}"
    if status in _RETRIED or status >= 500:
        raise SendFailed(text, retry_after=retry_after(response.headers.get("retry-after"), now))
    if 300 <= status < 400:
        text += ", and redirects are not followed: write the final URL"
    apart = _clocks_apart(response.headers.get("date"), now)
    if abs(apart) > CLOCKS_APART:  # ours may be the wrong one: an event must not be given up for that
        raise SendFailed(f"{text}; its clock and ours are {abs(apart):.0f} s apart: set the wrong one")
    raise SendFailed(text, permanent=True)


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


async def _drain(response: httpx.Response) -> None:
    """The status has said it all: a body that is endless, slow or broken changes nothing."""
    read = 0
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in response.aiter_raw():
                read += len(chunk)
                if read > BODY_LIMIT:
                    return


def _cause(error: BaseException) -> str:
    """The system's own word for it. httpx wraps that deep, and its texts may quote the URL or the other side."""
    found = type(error).__name__
    link: BaseException | None = error
    while link is not None:
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
