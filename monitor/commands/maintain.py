"""`brownout maintain NAME ... --for 2h`: announce maintenance to a running agent, list it, or end it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from monitor.commands._agent import asked, at, clock, end, read, table_of, write
from monitor.commands._asking import NotAsked
from monitor.commands._common import FINE, print_json
from monitor.core.wording import seconds
from monitor.sinks.console import harmless

PATH = "/api/v1/maintenance"


def execute(options: Namespace) -> int:
    def do(client: httpx.Client, url: str, token: str) -> int:
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

    return asked(options, PATH, do, writes=bool(options.names), manual="maintenance.md", must_fit=_must_fit)


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


def _begin(client: httpx.Client, url: str, token: str, options: Namespace) -> int:
    said = {"what": options.names, "for": options.lasts, "until": options.until, "why": options.why}
    body = {key: value for key, value in said.items() if value}
    window = write(client, url, token, body, "until", httpx.codes.CREATED)
    if options.json:
        print_json(window)
        return FINE
    covers = window["covers"]
    print(
        harmless(
            f"{window['what']} ({covers} check{'' if covers == 1 else 's'}) is in maintenance until "
            f"{clock(window['until'])}; end it sooner by: brownout maintain --end {window['id']}"
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
        end(client, f"{url}/{name}", token, name)
    if options.json:
        print_json(list(ended.values()))
    else:
        print(harmless(f"ended: {', '.join(window['what'] for window in ended.values())}"))
    return FINE


def _known(client: httpx.Client, url: str, token: str) -> list[Mapping[str, Any]]:
    return list(read(client, url, token, "maintenance")["maintenance"])


def _show(windows: Iterable[Mapping[str, Any]]) -> None:
    table = table_of("Window", "What", "Checks", "When", "Why")
    for window in windows:
        until = at(window["until"])
        if window["active"]:
            left = seconds(round(max((until - datetime.now(UTC)).total_seconds(), 0)))
            told = f"now, until {clock(window['until'])} ({left} left)"
        else:
            told = f"{clock(window['from'])} to {clock(window['until'])}"
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
