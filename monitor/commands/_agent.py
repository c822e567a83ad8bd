"""What commands have in common that ask a running agent to tell or to do something: begin, read, write, show."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from rich.table import Table

from monitor.commands._asking import (
    PATIENCE,
    TOKEN,
    NotAsked,
    bearer,
    client_of_ours,
    detail_of,
    document_of,
    found_address,
    given_token,
    request,
)
from monitor.commands._common import FINDING, fail
from monitor.config.model import ConfigError


def asked(
    options: Namespace,
    path: str,
    ask: Callable[[httpx.Client, str, str], int],
    *,
    writes: bool,
    manual: str,
    must_fit: Callable[[Namespace], None] = lambda _options: None,
    patience: float = PATIENCE,
) -> int:
    """The exit code. `ask` gets a client, the address of `path`, and the token, which may be none unless this
    `writes`. `must_fit` comes before all else, and refuses options that make no sense together. What either raises as
    `NotAsked` is said. `manual`: the page of docs/ that tells of the token. `patience`: seconds for an answer."""
    try:
        must_fit(options)
        with client_of_ours(patience) as client:
            token = given_token(options.token_file)
            if writes and not token:
                raise NotAsked(
                    f"this needs a token with the scope operate: give one in {TOKEN} or with --token-file; "
                    f"checks.yaml makes one under agent.tokens (docs/{manual})"
                )
            url = options.url.rstrip("/") or found_address(client, options.config, token)
            return ask(client, url + path, token)
    except ConfigError as error:
        from monitor.commands._configuration import print_faults  # see `settings_of`

        print_faults(error, ending="; the agent was not asked")
        return FINDING
    except NotAsked as error:
        return fail(str(error))


def read(client: httpx.Client, url: str, token: str, key: str) -> Mapping[str, Any]:
    """The document, which has this key. Raises `NotAsked`."""
    answer = request(client, "GET", url, bearer(token) if token else {})
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise NotAsked(f"this agent answers nobody without a token: give one in {TOKEN} or with --token-file")
    return _taken(answer, key, url, httpx.codes.OK)


def write(
    client: httpx.Client, url: str, token: str, body: Mapping[str, Any] | None, key: str, *taken: int
) -> Mapping[str, Any]:
    """What the agent has made of it; `taken`: the statuses that say so. Raises `NotAsked`."""
    return _taken(request(client, "POST", url, bearer(token), body), key, url, *taken)


def end(client: httpx.Client, url: str, token: str, name: str) -> None:
    """Have what is called so ended. Raises `NotAsked`."""
    answer = request(client, "DELETE", url, bearer(token))
    if answer.status_code != httpx.codes.NO_CONTENT:
        raise NotAsked(f"the agent refused to end {name}: {detail_of(answer)}")


def _taken(answer: httpx.Response, key: str, url: str, *taken: int) -> Mapping[str, Any]:
    if answer.status_code not in taken:
        raise NotAsked(f"the agent refused: {detail_of(answer)}")
    return document_of(answer, key, url)


def table_of(*columns: str, unbroken: Collection[str] = ()) -> Table:
    """`unbroken`: the columns whose cells stay on one line, to be copied."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column in unbroken)
    return table


def clock(text: str) -> str:
    return f"{at(text):%Y-%m-%d %H:%M} UTC"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
