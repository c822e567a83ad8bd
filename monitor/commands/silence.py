"""`brownout silence WHEN --for 2h`: a running agent tells nobody of it for a while; list these, or end one."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.text import Text

from monitor.commands._agent import asked, clock, end, read, table_of, write
from monitor.commands._asking import NotAsked
from monitor.commands._common import FINE, print_json
from monitor.sinks.console import harmless

PATH = "/api/v1/silences"


def execute(options: Namespace) -> int:
    def do(client: httpx.Client, url: str, token: str) -> int:
        if options.end:
            return _end(client, f"{url}/{quote(options.end, safe='')}", token, options.end)
        if options.when:
            return _begin(client, url, token, options)
        silences = list(read(client, url, token, "silences")["silences"])
        if options.json:
            print_json(silences)
        else:
            _show(silences)
        return FINE

    return asked(
        options, PATH, do, writes=bool(options.when or options.end), manual="escalation.md", must_fit=_must_fit
    )


def _must_fit(options: Namespace) -> None:
    """Raises `NotAsked` for what makes no sense together."""
    times = [text for text in (options.lasts, options.until) if text is not None]
    if options.end and (options.when or times or options.why):
        raise NotAsked("--end ends a silence now: leave out all else")
    if options.when and len(times) != 1:
        raise NotAsked("say when it ends, by --for 2h or by --until 2026-12-01T22:00:00Z: a silence always ends")
    if times and not options.when:
        raise NotAsked('say what is silenced, as in a route: brownout silence "service = shop" --for 2h')


def _begin(client: httpx.Client, url: str, token: str, options: Namespace) -> int:
    said = {"when": options.when, "for": options.lasts, "until": options.until, "why": options.why}
    body = {key: value for key, value in said.items() if value}
    made = write(client, url, token, body, "until", httpx.codes.CREATED)
    if options.json:
        print_json(made)
        return FINE
    until, name = clock(made["until"]), made["id"]
    print(harmless(f"{made['when']} is silenced until {until}; end it sooner by: brownout silence --end {name}"))
    return FINE


def _end(client: httpx.Client, url: str, token: str, name: str) -> int:
    end(client, url, token, harmless(name))
    print(harmless(f"ended: {name}; what is still open is told now"))
    return FINE


def _show(silences: Iterable[Mapping[str, Any]]) -> None:
    table = table_of("Silence", "What", "Until", "Why")
    for item in silences:
        by = f"by {item['by']}" if item["by"] else ""
        why = f"{item['why']} ({by})" if item["why"] and by else item["why"] or by
        cells = (item["id"], item["when"], clock(item["until"]), why)
        table.add_row(*(Text(harmless(cell)) for cell in cells))
    if table.row_count:
        Console(highlight=False).print(table)
    else:
        print("Nothing is silenced.")
