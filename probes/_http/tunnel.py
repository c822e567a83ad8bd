"""Ways to a target: straight, or through a proxy."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from probes._http.proxy import Dialogue, NotSpoken, Proxy, dialogue
from probes._look import Look
from probes._wire.connection import Connection
from probes._wire.reach import Endpoint, reach, resolved, secured
from probes.contract import TEXT_LIMIT, Blame, Context, LookFailed, Reason

T = TypeVar("T")

_PHASE = "proxy"


def open_way(
    look: Look, context: Context, endpoint: Endpoint, figures: dict[str, float], proxy: Proxy | None, *, tunnel: bool
) -> Awaitable[Connection]:
    """An open connection to the endpoint; close it. As `reach`, by way of `proxy`, if there is one.

    Without `tunnel` it is the proxy that is talked to. What it has to do with, and the target has not, fails with
    `Reason.PROXY`. Spends the phase proxy: until it has opened the way, its own connecting to the target included.
    """
    if proxy is None:
        return reach(look, context, endpoint, figures)
    return _through(look, context, endpoint, figures, proxy, tunnel=tunnel)


async def _through(
    look: Look, context: Context, endpoint: Endpoint, figures: dict[str, float], proxy: Proxy, *, tunnel: bool
) -> Connection:
    target = endpoint.host
    if not proxy.remote:  # it is told an address: the first one that the resolver gives
        target = (await resolved(look, context, endpoint.host, endpoint.port))[0].host
    connection = await _dialled(look, context, proxy)
    if tunnel:
        try:
            await _negotiate(look, connection, proxy, dialogue(proxy, target, endpoint.port))
        except BaseException:
            connection.close()
            raise
    return await secured(look, context, connection, endpoint, figures)


async def _dialled(look: Look, context: Context, proxy: Proxy) -> Connection:
    try:
        return await _of_the_proxy(proxy, reach(look, context, Endpoint(proxy.host, proxy.port), {}))
    finally:
        # Not as `address`: that is the target's, and what is known of it is shared with other checks.
        look.evidence["proxy"] = look.evidence.pop("address", proxy.shown)


async def _negotiate(look: Look, connection: Connection, proxy: Proxy, talk: Dialogue) -> None:
    said: bytes | None = talk.begin()
    while said is not None:
        since = connection.arrived
        if said:
            await _of_the_proxy(proxy, connection.send(said, _PHASE))
            since = connection.sent
        look.begin(Reason.PROXY, _PHASE)
        data = await _of_the_proxy(proxy, connection.receive())
        look.spend(_PHASE, max(0.0, connection.arrived - since), connection.arrived)
        if not data:
            raise LookFailed(Reason.PROXY, f"{proxy.shown}: it closed the connection when it was asked for a way")
        said = _told(look, proxy, talk, data)
    if talk.rest:
        look.evidence["answer"] = _start(look, talk.rest[:TEXT_LIMIT].decode("latin-1"))
        raise LookFailed(Reason.PROTOCOL, "bytes came through the proxy before anything was asked")


def _told(look: Look, proxy: Proxy, talk: Dialogue, data: bytes) -> bytes | None:
    try:
        return talk.feed(data)
    except NotSpoken as failure:
        look.evidence["answer"] = _start(look, failure.start)
        raise LookFailed(failure.reason, f"{proxy.shown}: {failure.detail}") from None
    except LookFailed as failure:
        raise LookFailed(failure.reason, f"{proxy.shown}: {failure.detail}") from None


async def _of_the_proxy(proxy: Proxy, talk: Awaitable[T]) -> T:
    """What goes wrong on the way to the proxy is not the target's."""
    try:
        return await talk
    except LookFailed as failure:
        if failure.reason is Reason.PROXY:
            raise LookFailed(Reason.PROXY, f"{proxy.shown}: {failure.detail}") from None
        if failure.reason.blame is not Blame.TARGET:
            raise
        raise LookFailed(Reason.PROXY, f"{proxy.shown}: {failure.reason.value}: {failure.detail}") from None


def _start(look: Look, text: str) -> str:
    return look.show(text, 200, cut=len(text) >= TEXT_LIMIT)
