"""`brownout demo`: the whole product in a minute, live on a terminal, line by line elsewhere."""

from __future__ import annotations

import asyncio
import re
import sys
from argparse import Namespace
from io import StringIO
from pathlib import Path

import uvloop
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType
from rich.live import Live

from monitor.app import StartError
from monitor.commands._common import FINDING, FINE, WRONG, fail
from monitor.commands._configuration import print_faults
from monitor.config.model import ConfigError
from monitor.demo.play import Play, stage
from monitor.demo.screen import Screen, event_row
from monitor.demo.shop import Mood
from monitor.logs import configure_logs

FRAMES = 8
"""Pictures a second on a terminal."""

_LAST_PORT = 65_535
_OTHER_PORT = 9799

_PICTURE = re.sub(r"<!--.*?-->|@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"
)
"""Rich's own format without the fonts that it would fetch from elsewhere: a picture must not call anybody."""


def execute(options: Namespace) -> int:
    if not 1 <= options.port <= _LAST_PORT:
        return fail(f"there is no port {options.port}: write --port with a number from 1 to {_LAST_PORT}")
    configure_logs(lambda text: text, quiet=True)
    try:
        return uvloop.run(_demo(options))
    except ConfigError as error:  # a probe of a third party that cannot be loaded
        print_faults(error, ending="; nothing was started")
        return WRONG
    except StartError as error:
        free = _OTHER_PORT if options.port != _OTHER_PORT else _OTHER_PORT + 1
        return fail(f"{error.problem}: try brownout demo --port {free}; nothing was started")


async def _demo(options: Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else 110)
    async with stage(options.port) as play:
        screen = Screen(play)
        performing = asyncio.create_task(play.perform())
        if options.export is not None:
            await _export(screen, play, performing, options.export)
        elif sys.stdout.isatty():
            await _show_live(console, screen, performing)
        else:
            await _show_lines(console, play, performing)
        _conclude(console, play)
        return FINE if play.succeeded else FINDING


async def _show_live(console: Console, screen: Screen, performing: asyncio.Task[None]) -> None:
    with Live(screen.draw(), console=console, auto_refresh=False) as live:
        while not performing.done():
            live.update(screen.draw(), refresh=True)
            await asyncio.wait((performing,), timeout=1 / FRAMES)
        live.update(screen.draw(), refresh=True)
    await performing


async def _show_lines(console: Console, play: Play, performing: asyncio.Task[None]) -> None:
    acts = events = 0
    while not performing.done() or events < len(play.received):
        for scene in play.scenes[acts:]:
            console.print(f"[bold]--- {scene.act.title}[/]")
            acts += 1
        for item in play.received[events:]:
            console.print(*event_row(item), soft_wrap=True)
            events += 1
        await asyncio.wait((performing,), timeout=1 / FRAMES)
    await performing


async def _export(screen: Screen, play: Play, performing: asyncio.Task[None], path: Path) -> None:
    """The picture of the README: the moment before the dead shop comes back."""
    picture: RenderableType = screen.draw()
    while not performing.done():
        frame = screen.draw()
        if play.scenes and play.scenes[-1].act.mood is Mood.DEAD:
            picture = frame
        await asyncio.wait((performing,), timeout=1 / FRAMES)
    await performing
    recorder = Console(record=True, width=112, file=StringIO(), force_terminal=True)
    recorder.print(picture)
    recorder.save_svg(str(path), title="brownout demo", code_format=_PICTURE, unique_id="demo")


def _conclude(console: Console, play: Play) -> None:
    for scene in play.scenes:
        told = f"{scene.act.expected} told after {scene.found:.1f} s" if scene.found is not None else "NOT FOUND"
        console.print(f"  {scene.act.title:28} {told}", highlight=False)
    verified = sum(item.verified for item in play.received)
    if play.succeeded:
        console.print(f"[green]All found; {verified} webhooks, every signature verified, none twice.[/]")
    else:
        console.print("[red]The agent did not tell the truth: see above.[/]")
