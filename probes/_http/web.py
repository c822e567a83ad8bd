"""A whole answer over HTTP, for probes that read their figures from one: dialled, bounded and told as `http` does.

What cannot be read is told as the target's trouble; whoever asks a third party about the target wraps it in `source`.
"""

from __future__ import annotations

from collections.abc import Mapping

from probes._clean import sent
from probes._http import url as _url
from probes._http.exchange import Ask, check_written, fetch
from probes._http.http1 import ResponseReader
from probes._look import Look
from probes.contract import TEXT_LIMIT, BadField, Blame, Context, LookFailed, Reason, Secret, TlsWanted

_FOLLOWED = 5


def page(
    url: str,
    *,
    field: str = "url",
    method: str = "GET",
    headers: Mapping[str, Secret] | None = None,
    body: bytes | None = None,
    max_bytes: int,
    verify: bool = True,
    ca_file: str | None = None,
) -> Ask:
    """What to ask for, made once a check. Raises `BadField`, naming `field` or the header."""
    try:
        parsed = _url.parse(url)
    except ValueError as error:
        raise BadField(field, str(error)) from None
    written = []
    for name, value in (headers or {}).items():
        check_written(name, value.reveal())
        written.append((name, value.reveal()))
    return Ask(
        url=parsed,
        method=method,
        written=written,
        body=body,
        follow=_FOLLOWED,
        final=frozenset(),
        max_bytes=max_bytes,
        keep=max_bytes,
        server_name=None,
        tls=TlsWanted(verify, ca_file),
    )


def secrets(ask: Ask) -> list[str]:
    """Whatever of a request must not come back in evidence, should the other side echo it."""
    return sent(value for _, value in ask.written) + ask.url.secrets


async def read(look: Look, context: Context, ask: Ask, *, expect: frozenset[int] = frozenset({200})) -> bytes:
    """The body of the final answer. Raises `LookFailed`: `denied` for 401 and 403, `blocked` for 429, or `status`."""
    return (await _answer(look, context, ask, expect)).body


async def read_large(
    look: Look, context: Context, ask: Ask, *, expect: frozenset[int] = frozenset({200})
) -> bytearray:
    """As `read`, for a body of many MB: it is not copied."""
    return (await _answer(look, context, ask, expect)).take_body()


async def _answer(look: Look, context: Context, ask: Ask, expect: frozenset[int]) -> ResponseReader:
    answer = await fetch(look, context, ask, {})
    if answer.status not in expect:
        refused = {401: Reason.DENIED, 403: Reason.DENIED, 429: Reason.BLOCKED}
        text = answer.start(TEXT_LIMIT).decode("utf-8", "replace")
        start = look.show(text, 120, cut=answer.body_size > TEXT_LIMIT)
        said = f": {start}" if start else ""
        raise LookFailed(refused.get(answer.status, Reason.STATUS), f"status {answer.status}{said}")
    return answer


def source(failure: LookFailed, name: str) -> LookFailed:
    """The same failure where it speaks of a third party that was to tell of the target: then nobody can tell."""
    if failure.reason.blame is not Blame.TARGET:
        return failure
    return LookFailed(Reason.SOURCE, f"{name}: {failure.reason.value}: {failure.detail}")
