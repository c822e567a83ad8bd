"""What the demo shows on a terminal: the act, the services and checks as they stand, the webhooks as they arrive."""

from __future__ import annotations

import time
from collections import deque

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from monitor.core.model import State
from monitor.core.wording import seconds
from monitor.demo.play import ACTS, Play
from monitor.demo.receiver import Received
from monitor.pills import STYLES, pill

BARS = "▁▂▃▄▅▆▇█"
SLOWEST = 0.8
"""Seconds at the top of the sparkline."""
EVENTS_SHOWN = 9


class Screen:
    """Draws the play; remembers only what a sparkline needs."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._past: dict[str, deque[tuple[float, str]]] = {name: deque(maxlen=36) for name in play.config.checks}
        self._seen: dict[str, float] = {}

    def draw(self) -> RenderableType:
        """The picture of this moment; to be called a few times a second, or the sparklines miss looks."""
        return Group(self._header(), self._service(), self._events(), self._footer())

    def _header(self) -> RenderableType:
        done = len(self._play.scenes)
        steps = Text()
        for number, act in enumerate(ACTS):
            style = "bold" if number == done - 1 else "dim"
            steps.append(("● " if number < done else "○ ") + act.mood.value + "  ", style=style)
        title = self._play.scenes[-1].act.title if done else "Starting"
        clock = f"{time.monotonic() - self._play.began:.0f} s"
        listen = self._play.config.agent.listen
        return Panel(
            Group(Text(title, style="bold"), steps),
            title="[bold]brownout demo[/]",
            subtitle=f"live page: http://{listen.host}:{listen.port}/ · {clock}",
            box=box.ROUNDED,
        )

    def _service(self) -> RenderableType:
        world = self._play.agent.world
        status = world.services["shop"]
        table = Table(box=None, expand=True, show_header=False, padding=(0, 1))
        table.add_column(width=12)
        table.add_column(width=12)
        table.add_column(width=9, justify="right")
        table.add_column(width=36, no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for name, judge in world.judges.items():
            self._remember(name)
            last = judge.last.observation.measurements.get("response_time") if judge.last else None
            shown = seconds(last) if last is not None else "-"
            why = judge.verdict.why if judge.state is not State.UP else ""
            table.add_row(name, pill(judge.state), shown, self._spark(name), Text(why, style="dim"))
        colour = STYLES[status.state]
        return Panel(
            table, title=f"[bold]{escape(status.service.title)}[/]: [{colour}]{status.state}[/]", box=box.ROUNDED
        )

    def _remember(self, name: str) -> None:
        look = self._play.agent.world.judges[name].last
        if look is None or self._seen.get(name) == look.ended.tick:
            return
        self._seen[name] = look.ended.tick
        took = look.observation.measurements.get("response_time", 0.0)
        style = "red" if not look.observation.ok else "yellow" if took > 0.3 else "green"
        self._past[name].append((took if look.observation.ok else SLOWEST, style))

    def _spark(self, name: str) -> Text:
        line = Text()
        for took, style in self._past[name]:
            line.append(BARS[min(int(took / SLOWEST * len(BARS)), len(BARS) - 1)], style=style)
        return line

    def _events(self) -> RenderableType:
        table = Table(box=None, expand=True, show_header=False, padding=(0, 1))
        table.add_column(width=8)
        table.add_column(width=11)
        table.add_column(ratio=1)
        for item in self._play.received[-EVENTS_SHOWN:]:
            table.add_row(*event_row(item))
        for _ in range(EVENTS_SHOWN - len(self._play.received)):
            table.add_row("", "", "")
        return Panel(table, title="webhooks, as the receiver gets them", box=box.ROUNDED)

    def _footer(self) -> RenderableType:
        found = [scene for scene in self._play.scenes if scene.found is not None and scene.act.expected.bad]
        told = ", ".join(f"{scene.act.mood} after {scene.found:.1f} s" for scene in found)
        verified = sum(item.verified for item in self._play.received)
        return Text(f"found: {told or 'nothing yet'}   ·   {verified} webhooks verified", style="dim")


def event_row(item: Received) -> tuple[str, Text, Text]:
    """When, whether the signature was right, and what it says."""
    if not item.verified:
        return ("", Text("✖ BAD SIGNATURE", style="red"), Text(""))
    event = item.event
    style = STYLES.get(event["state"]["new"], "white")
    return (event["at"][11:19], Text("✔ verified", style="green"), Text(event["sentence"], style=style))
