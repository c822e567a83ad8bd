"""`brownout look [FILE] NAME`: one look now: what happened when, what was measured, and what each threshold says.

With `--repeat` several, one after another; with `--trace` all that went over the wire. A passive probe looks at
nothing, and what arrived is known to the running agent alone: that one is asked.
"""

from __future__ import annotations

import asyncio
import difflib
from argparse import Namespace
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop
from rich.console import Console
from rich.markup import escape

from monitor.clock import Clock, SystemClock
from monitor.commands._common import FINDING, FINE, WRONG, fail, print_json
from monitor.commands._configuration import load_or_explain
from monitor.commands._looked import Looked, as_json, closing, judged, show
from monitor.commands._overheard import Overheard
from monitor.commands._readable import readable, secrets_of
from monitor.commands._repeated import show_one, show_sum, sum_as_json
from monitor.commands._standing import ask, show_known
from monitor.config.model import Config
from monitor.core.model import Check, Look
from monitor.logs import configure_logs
from monitor.runner import Order, Runner, new_runner
from probes.contract import Passive, Reason

PAUSE = 0.2
"""Seconds between two looks: they are to tell of the target, and not of what ten at once do to it."""
MOST = 1000
_TRIES = 5
"""Looks that this machine's own lateness may void, one after another, before that is what is shown."""


def execute(options: Namespace) -> int:
    if not 1 <= options.repeat <= MOST:
        return fail(f"--repeat takes a number from 1 to {MOST}")
    if options.file is not None and not options.file.exists() and Path(options.name).is_file():
        return fail(f'the file comes first: brownout look "{options.name}" "{options.file}"')
    config = load_or_explain(options.file)
    if config is None:
        return WRONG
    configure_logs(config.redactor.text, quiet=True)
    check = _find(config, options.name)
    if check is None:
        close = difflib.get_close_matches(options.name, list(config.checks), n=1)
        hint = f' (did you mean "{close[0]}"?)' if close else f"; it has: {', '.join(list(config.checks)[:20])}"
        return fail(f'{config.path} has no enabled check "{options.name}"{hint}')
    if isinstance(check.probe, Passive):
        return ask(config, check, as_json=options.json)
    several = uvloop.run(_looks(config, check, options))
    if options.json:
        document = as_json(several[0]) if options.repeat == 1 else sum_as_json(several)
        print_json(config.redactor.value(document))
    return FINDING if any(looked.finding for looked in several) else FINE


def _find(config: Config, name: str) -> Check | None:
    return config.checks.get(name) or next((check for check in config.checks.values() if check.name == name), None)


async def _looks(config: Config, check: Check, options: Namespace) -> list[Looked]:
    """All of them, each shown as soon as it is over."""
    console, hide = Console(highlight=False, quiet=options.json), config.redactor.text
    several = []
    if options.repeat > 1:
        console.print(f"[bold]{escape(check.name)}[/]  {check.probe.kind}  {escape(hide(check.probe.target))}")
    async for looked in _each(config, check, options.repeat, trace=options.trace):
        several.append(looked)
        if options.repeat == 1 or options.trace:
            show(console, hide, looked)
        else:
            show_one(console, hide, len(several), looked)
    if options.repeat > 1:
        show_sum(console, several)
    if not options.json:
        show_known(console, config, check)
    console.print(closing(check))
    return several


async def _each(config: Config, check: Check, count: int, *, trace: bool) -> AsyncIterator[Looked]:
    clock, memory = SystemClock(), dict[str, float | str]()
    with new_runner(clock, config.redactor.text, resolver=config.agent.resolver) as runner:
        try:
            for number in range(count):
                if number:
                    await asyncio.sleep(PAUSE)
                look, overheard = await taken(runner, check, memory, clock)
                secrets = (*config.redactor.secrets, *secrets_of(check.probe)) if trace else ()
                blocks = readable(overheard, secrets) if trace else ()
                yield Looked(check, look, overheard, judged(check, look), blocks)
        finally:
            await check.probe.close()


async def taken(runner: Runner, check: Check, memory: dict[str, float | str], clock: Clock) -> tuple[Look, Overheard]:
    """A look now. One that this machine's own lateness voids says nothing of the target, and is taken again."""
    for _ in range(_TRIES):
        overheard, due = Overheard(), clock.now().tick
        order = Order(check, due, check.timeout.total_seconds(), scheduled=True, trace=overheard)
        look = await runner.look(order, memory)
        if look.observation.reason is not Reason.LATE:
            break
    return look, overheard
