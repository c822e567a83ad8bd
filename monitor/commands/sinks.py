"""`brownout sinks`: how the sinks of a running agent stand, a test, and dead letters to be sent again."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.commands._agent import asked, clock, read, table_of, write
from monitor.commands._asking import NotAsked
from monitor.commands._common import FINDING, FINE, print_json
from monitor.core.wording import seconds
from monitor.sinks.console import harmless

PATH = "/api/v1/sinks"
_LETTERS = 200
_NAMES = ("Event", "Sink")


def execute(options: Namespace) -> int:
    def do(client: httpx.Client, url: str, token: str) -> int:
        client.timeout = httpx.Timeout(60.0, connect=3.0)  # a test waits for the other side, twice
        return _do(client, url, token, options)

    return asked(
        options, PATH, do, writes=options.action in ("test", "replay"), manual="sinks.md", must_fit=_must_fit
    )


def _must_fit(options: Namespace) -> None:
    """Raises `NotAsked` for what makes no sense together."""
    if options.action == "test" and not options.name:
        raise NotAsked("say which one: brownout sinks test NAME; without anything, sinks are listed")
    if options.action == "replay" and bool(options.name) is options.all:
        raise NotAsked("say what is sent again: the id of an event (brownout sinks dead lists them), or --all")
    if options.action in ("list", "dead") and options.name:
        raise NotAsked(f"{options.action} takes no {options.name}: it lists all")


def _do(client: httpx.Client, url: str, token: str, options: Namespace) -> int:
    match options.action:
        case "test":
            return _test(client, url, token, options)
        case "replay":
            return _replay(client, url, token, options)
        case "dead":
            letters = read(client, f"{url}/dead?limit={_LETTERS}", token, "dead")["dead"]
            return _shown(letters, options, _letters, "There are no dead letters.", bad=bool(letters))
        case _:
            sinks = read(client, url, token, "sinks")["sinks"]
            bad = any(sink["condition"] != "fine" or sink["dead"] or sink["owed"] for sink in sinks)
            return _shown(sinks, options, _sinks, "There are no sinks: write one under sinks:", bad=bad)


def _shown(items: list[dict[str, Any]], options: Namespace, tabled: Any, nothing: str, *, bad: bool) -> int:
    if options.json:
        print_json(items)
    elif items:
        Console(highlight=False).print(tabled(items))
    else:
        print(nothing)
    return FINDING if bad else FINE


def _sinks(sinks: Iterable[Mapping[str, Any]]) -> Table:
    table = table_of("Sink", "Type", "State", "Last accepted", "Waiting", "Dead", "Why", unbroken=_NAMES)
    for sink in sinks:
        state = "removed" if sink["retired"] else sink["condition"]
        state = "retrying" if state == "fine" and sink["error"] else state
        waiting = f"{sink['waiting']} (since {_clock(sink['oldest'])})" if sink["waiting"] else "0"
        why = ": ".join(filter(None, (", ".join(f"brownout:{stream}" for stream in sink["owed"]), sink["error"])))
        if sink["handed_over"]:
            why += f" ({sink['handed_over']} told by {sink['fallback']} instead)"
        cells = (sink["name"], sink["type"] or "-", state, _clock(sink["accepted"]), waiting, str(sink["dead"]), why)
        table.add_row(*(Text(harmless(cell)) for cell in cells))
    return table


def _letters(letters: Iterable[Mapping[str, Any]]) -> Table:
    table = table_of("Event", "Sink", "Happened", "Given up", "Why", "What", unbroken=_NAMES)
    for letter in letters:
        cells = (letter["event"], letter["sink"], _clock(letter["at"]), _clock(letter["died"]), letter["error"])
        table.add_row(*(Text(harmless(cell)) for cell in (*cells, letter["sentence"])))
    return table


def _replay(client: httpx.Client, url: str, token: str, options: Namespace) -> int:
    meant = {"all": True} if options.all else {"event": options.name}
    body = meant | ({"sink": options.sink} if options.sink else {})
    told = write(client, f"{url}/replay", token, body, "replayed", httpx.codes.OK)
    if options.json:
        print_json(told)
    else:
        count = told["replayed"]
        print(f"{count} dead letter{'' if count == 1 else 's'} on the way again; brownout sinks tells how it goes")
    return FINE


def _test(client: httpx.Client, url: str, token: str, options: Namespace) -> int:
    told = write(client, f"{url}/{quote(options.name, safe='')}/test", token, None, "sent", httpx.codes.OK)
    if options.json:
        print_json(told)
        return FINE if told["accepted"] else FINDING
    for step in told["sent"]:
        print(harmless(f"{step['type']}: {step['error'] or 'accepted'}"))
        for said in step["answers"]:
            body = harmless(said["body"])[:500]
            print(f"  {said['method']} {said['status']}{': ' if body else ''}{body}")
    if told["accepted"]:
        print(harmless(f"{told['sink']} has accepted the test, in {seconds(told['seconds'])}: look for [TEST]."))
        return FINE
    print(harmless(f"{told['sink']} has not accepted the test; docs/sinks/{told['type']}.md says what it needs."))
    return FINDING


def _clock(text: str | None) -> str:
    return clock(text) if text else "-"
