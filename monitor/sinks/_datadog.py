"""What both kinds of Datadog share: the address, the key, tags, and how long it asks us to wait."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

from monitor.core.wording import cut
from monitor.sinks._checks import check_key, check_url
from monitor.sinks._message import harmless
from monitor.sinks._told import Told
from monitor.sinks.contract import Sink, SinkContext
from probes.contract import BadField, Secret, check_fields

TAG_LIMIT: Final = 200
TAGS_LIMIT: Final = 50
_SECONDS: Final = 15.0
_SITE: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


@dataclass(frozen=True, slots=True)
class Datadog(Sink):
    """The keys of both kinds."""

    api_key: Annotated[Secret, "an API key of your organisation (not an application key)"]
    site: Annotated[str, "your site: `datadoghq.com`, `datadoghq.eu`, `us5.datadoghq.com`, ..."] = "datadoghq.com"
    host: Annotated[str | None, "the host that it is told of; left out: the name of the vantage"] = None
    tags: Annotated[tuple[str, ...], "tags of everything that is sent, such as `env:production`"] = ()
    url: Annotated[str | None, "where to send instead of `https://api.SITE`: a proxy of yours"] = None

    def __post_init__(self) -> None:
        check_fields(self._check_site, self._check_url, lambda: check_key(self.api_key))

    def _check_site(self) -> None:
        if not _SITE.fullmatch(self.site):
            raise BadField("site", "must be the site alone, as in datadoghq.eu: no https:// and no path")

    def _check_url(self) -> None:
        if self.url is not None:
            check_url(self.url)


async def post(sink: Datadog, path: str, body: Any, context: SinkContext) -> None:
    """POST JSON to the API. Raises `SendFailed`."""
    from monitor.sinks import _http  # brings httpx, which only an agent that sends needs

    base = (sink.url or f"https://api.{sink.site}").rstrip("/")
    headers = {"content-type": "application/json", "dd-api-key": sink.api_key.reveal()}
    answer = await _http.ask(
        context.client, "POST", f"{base}{path}", json.dumps(body).encode(), headers, seconds=_SECONDS
    )
    _http.judge(answer, context.now, wait=_http.limit_reset(answer))


def host_of(sink: Datadog, told: Told) -> str:
    """The host that it is told of."""
    return cut(harmless(str(sink.host or told.body.get("vantage") or "brownout")), 255)


def tags_of(sink: Datadog, told: Told, *more: tuple[str, object]) -> list[str]:
    """Each once, in this order: those of the sink, `more`, the owner, the labels, what it is a drill or a test of."""
    found = [*sink.tags, *_pairs((*more, *_common(told)))]
    return list(dict.fromkeys(cut(tag, TAG_LIMIT) for tag in map(_tag, found) if tag))[:TAGS_LIMIT]


def _common(told: Told) -> Iterator[tuple[str, object]]:
    yield "vantage", told.body.get("vantage")
    service, check = told.part("service"), told.part("check")
    yield "owner", service.get("owner") or check.get("owner")
    for mark in ("drill", "test"):
        if told.body.get(mark) is True:
            yield mark, "true"
    for labels in (service.get("labels"), check.get("labels")):
        yield from labels.items() if isinstance(labels, dict) else ()


def _pairs(pairs: Iterable[tuple[str, object]]) -> Iterator[str]:
    for name, value in pairs:
        if value:
            yield f"{name}:{value}"


def _tag(text: str) -> str:
    """As Datadog writes it anyway: without what separates tags."""
    return re.sub(r"[\s,]+", "_", harmless(text)).strip("_")
