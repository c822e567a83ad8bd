"""`brownout actions`: what a running agent does about incidents by itself; stop all of it at once, or start it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from monitor.commands._agent import asked, at, read, write
from monitor.commands._common import FINE, print_json
from monitor.sinks.console import harmless

PATH = "/api/v1/actions"


def execute(options: Namespace) -> int:
    changes = options.stop or options.start

    def do(client: httpx.Client, url: str, token: str) -> int:
        if changes:
            known = write(
                client, f"{url}/{'stop' if options.stop else 'start'}", token, {}, "actions", httpx.codes.OK
            )
        else:
            known = read(client, url, token, "actions")
        if options.json:
            print_json(known)
        else:
            _show(known)
        return FINE

    return asked(options, PATH, do, writes=changes, manual="actions.md")


def _show(known: Mapping[str, Any]) -> None:
    if not known["on"]:
        print("None is taken: agent.actions is off.")
    elif known["stopped"]:
        who, at = known["stopped"]["by"], _clock(known["stopped"]["at"])
        print(harmless(f"None is taken: {who} has stopped them all at {at}. Start them by: brownout actions --start"))
    elif known["actions"]:
        print("They are taken. Stop them all by: brownout actions --stop")
    for item in known["actions"]:
        print(harmless(f"{item['name']}{' (dry run)' if item['dry_run'] else ''}: {_last(item['runs'])}"))
    if not known["actions"]:
        print("There are no actions.")


def _last(runs: Sequence[Mapping[str, Any]]) -> str:
    """``failed at 2026-12-01 03:12:40 UTC for inc_...: no end within 30 s``"""
    if not runs:
        return "never yet"
    last = runs[0]
    return (
        f"{last['fate']} at {_clock(last['at'])} for {last['incident']}{': ' if last['text'] else ''}{last['text']}"
    )


def _clock(text: str) -> str:
    """To the second: of several runs it is told which came first."""
    return f"{at(text):%Y-%m-%d %H:%M:%S} UTC"
