"""`brownout maintain NAME ... --for 2h`: announce maintenance to a running agent, list it, or end it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.commands._asking import (
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
from monitor.commands._common import FINDING, FINE, fail, print_json
from monitor.commands._configuration import print_faults
from monitor.config.model import ConfigError
from monitor.core.wording import seconds
from monitor.sinks.console import harmless

PATH = "/api/v1/maintenance"


def execute(options: Namespace) -> int:
    try:
        _must_fit(options)
        with client_of_ours() as client:
            return _do(client, options)
    except ConfigError as error:
        print_faults(error, ending="; the agent was not asked")
        return FINDING
    except NotAsked as error:
        return fail(str(error))


def _must_fit(options: Namespace) -> None:
    """Raises `NotAsked` for what makes no sense together."""
    times = [text for text in (options.lasts, options.until) if text is not None]
    if options.end and (times or options.why):
        raise NotAsked("--end ends a window now: leave out --for, --until and --why")
    if options.end and not options.names:
        raise NotAsked("say what ends: brownout maintain --end NAME; without a name or option, windows are listed")
    if options.names and not options.end and len(times) != 1:
        raise NotAsked("say when it ends, by --for 2h or by --until 2026-12-01T22:00:00Z: maintenance always ends")
    if times and not options.names:
        raise NotAsked("say what is in maintenance: the name of a check or a service, or a label such as tier=web")


def _do(client: httpx.Client, options: Namespace) -> int:
    token = given_token(options.token_file)
    if options.names and not token:
        raise NotAsked(
            f"this needs a token with the scope operate: give one in {TOKEN} or with --token-file; "
            "checks.yaml makes one under agent.tokens (docs/maintenance.md)"
        )
    url = (options.url.rstrip("/") or found_address(client, options.config, token)) + PATH
    if options.end:
        return _end(client, url, token, options)
    if options.names:
        return _begin(client, url, token, options)
    windows = _known(client, url, token)
    if options.json:
        print_json(windows)
    else:
        _show(windows)
    return FINE


def _begin(client: httpx.Client, url: str, token: str, options: Namespace) -> int:
    asked = {"what": options.names, "for": options.lasts, "until": options.until, "why": options.why}
    body = {key: value for key, value in asked.items() if value}
    answer = request(client, "POST", url, bearer(token), body)
    if answer.status_code != httpx.codes.CREATED:
        raise NotAsked(f"the agent refused: {detail_of(answer)}")
    window = document_of(answer, "until", url)
    if options.json:
        print_json(window)
        return FINE
    covers = window["covers"]
    print(
        harmless(
            f"{window['what']} ({covers} check{'' if covers == 1 else 's'}) is in maintenance until "
            f"{_clock(window['until'])}; end it sooner by: brownout maintain --end {window['id']}"
        )
    )
    return FINE


def _end(client: httpx.Client, url: str, token: str, options: Namespace) -> int:
    windows = [window for window in _known(client, url, token) if window["active"]]
    meant = {name: [window for window in windows if name in (window["id"], window["what"])] for name in options.names}
    if missing := [name for name, found in meant.items() if not found]:
        raise NotAsked(
            f"no window that goes on is called {missing[0]}, or covers just that: brownout maintain lists them"
        )
    ended = {window["id"]: window for found in meant.values() for window in found}
    for name in ended:
        answer = request(client, "DELETE", f"{url}/{name}", bearer(token))
        if answer.status_code != httpx.codes.NO_CONTENT:
            raise NotAsked(f"the agent refused to end {name}: {detail_of(answer)}")
    if options.json:
        print_json(list(ended.values()))
    else:
        print(harmless(f"ended: {', '.join(window['what'] for window in ended.values())}"))
    return FINE


def _known(client: httpx.Client, url: str, token: str) -> list[Mapping[str, Any]]:
    answer = request(client, "GET", url, bearer(token) if token else {})
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise NotAsked(f"this agent answers nobody without a token: give one in {TOKEN} or with --token-file")
    if answer.status_code != httpx.codes.OK:
        raise NotAsked(f"the agent refused: {detail_of(answer)}")
    return list(document_of(answer, "maintenance", url)["maintenance"])


def _show(windows: Iterable[Mapping[str, Any]]) -> None:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("Window", "What", "Checks", "When", "Why"):
        table.add_column(column)
    for window in windows:
        until = _time(window["until"])
        if window["active"]:
            left = seconds(round(max((until - datetime.now(UTC)).total_seconds(), 0)))
            told = f"now, until {_clock(window['until'])} ({left} left)"
        else:
            told = f"{_clock(window['from'])} to {_clock(window['until'])}"
        if window["schedule"]:
            told += f" ({window['schedule']})"
        cells = (window["id"], window["what"], str(window["covers"]), told, _why(window))
        table.add_row(*(Text(harmless(cell)) for cell in cells))
    if table.row_count:
        Console(highlight=False).print(table)
    else:
        print("Nothing is in maintenance, and nothing is announced.")


def _why(window: Mapping[str, Any]) -> str:
    by = f"by {window['by']}" if window["by"] else "as the file says"
    return f"{window['why']} ({by})" if window["why"] else by


def _clock(text: str) -> str:
    return f"{_time(text):%Y-%m-%d %H:%M} UTC"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
