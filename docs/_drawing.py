"""Plain SVG for pictures over time: looks, ribbons of states, curves. Light and dark, with no font and no script."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT = 860, 150, 20
LINE = 15
"""Height of a line of text."""

STYLE = """
  svg { --paper: #ffffff; --ink: #1c2430; --faint: #68738a; --rule: #d5dae3; --up: #2f9e5b; --degraded: #d18a00;
        --down: #d03a34; --unknown: #7a8499; --accent: #3566c8; --on: #ffffff; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #11161f; --ink: #e6eaf2; --faint: #97a3b8; --rule: #303a4b; --up: #43c078; --degraded: #e6a823;
          --down: #f2635c; --unknown: #8d98ad; --accent: #7ea6ff; --on: #11161f; }
  }
  text { font: 12px system-ui, sans-serif; fill: var(--ink); }
  .title { font-size: 15px; font-weight: 600; }
  .faint { fill: var(--faint); }
  .on { fill: var(--on); font-weight: 600; }
  .rule { stroke: var(--rule); stroke-width: 1; fill: none; }
  .note { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 3 3; }
  .good { stroke: var(--up); stroke-width: 1.6; fill: none; }
  .bad { stroke: var(--down); stroke-width: 2; fill: none; }
  .curve { stroke: var(--accent); stroke-width: 2; fill: none; }
  .limit { stroke: var(--degraded); stroke-width: 1.5; stroke-dasharray: 6 4; }
  .dot { stroke: var(--accent); stroke-width: 1.4; fill: var(--paper); }
  .solid { fill: var(--accent); }
  .up { fill: var(--up); } .degraded { fill: var(--degraded); } .down { fill: var(--down); }
  .unknown { fill: var(--unknown); } .paper { fill: var(--paper); }
  .hurt { fill: var(--down); opacity: 0.16; }
  .box { stroke: var(--rule); fill: var(--paper); } .box.start { fill: var(--accent); stroke: none; }
  .strong { font-weight: 600; }
"""


def document(title: str, height: float, parts: Iterable[str], left: float = LEFT) -> str:
    """The picture as a file, with its title above."""
    alt = escape(title)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">',
            f"<title>{alt}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height:.0f}"/>',
            f'<text class="title" x="{left}" y="22">{alt}</text>',
            *parts,
            "</svg>",
            "",
        )
    )


@dataclass(frozen=True, slots=True)
class Axis:
    """Seconds from `low` to `high`, with a mark every `step`."""

    low: float
    high: float
    step: float
    unit: str

    def x(self, value: float) -> float:
        return LEFT + (value - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)


@dataclass(frozen=True, slots=True)
class Mark:
    """A look: when, and where there is one its value."""

    at: float
    value: float = 0.0
    failed: bool = False
    solid: bool = True


class Drawing:
    """Rows under one another, over one axis."""

    def __init__(self, title: str, axis: Axis) -> None:
        self.title = title
        self._axis = axis
        self._parts: list[str] = []
        self._notes: list[tuple[float, str]] = []
        self.messages: list[tuple[int, str]] = []
        self._y = 36.0
        self._first = self._y

    def truth(self, spans: Sequence[tuple[float, float, str]]) -> None:
        """What the target really is: the second of three spans is the trouble."""
        for begin, end, name in (spans[0], spans[2]):
            x, width = self._span(begin, end)
            self._text(x + width / 2, self._y + 15, name, anchor="middle", kind="faint", room=width)
        self.band("the target", [spans[1]], spans[2][1])

    def band(self, name: str, spans: Sequence[tuple[float, float, str]], shown: float) -> None:
        """What is really so, from when to when: trouble, or what was announced."""
        y, height = self._y, 22.0
        self._label(name, y + 15)
        for begin, end, words in spans:
            x, width = self._span(begin, min(end, shown))
            self._parts.append(f'<rect class="hurt" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}"/>')
            self._text(x + width / 2, y + 15, words, anchor="middle", kind="faint", room=width)
        self._parts.append(f'<path class="rule" d="M{LEFT} {y + height}H{WIDTH - RIGHT}"/>')
        self._y += height + 8

    def row(self, name: str, marks: Sequence[Mark]) -> None:
        """Looks: a stroke for a good one, a cross for a failed one."""
        y = self._y + 9
        self._label(name, y + 4)
        for mark in marks:
            x = self._axis.x(mark.at)
            shape = f"M{x - 3:.1f} {y - 4}l6 8m0 -8l-6 8" if mark.failed else f"M{x:.1f} {y - 6}v12"
            self._parts.append(f'<path class="{"bad" if mark.failed else "good"}" d="{shape}"/>')
        self._y += 24

    def dots(self, name: str, marks: Sequence[Mark], most: float) -> None:
        """Values of looks, from 0 to `most`; what is above is drawn at the top."""
        top, height = self._y + LINE, 90.0
        self._scale(name, top, height, most)
        for mark in marks:
            y = top + height * (1 - min(mark.value / most, 1))
            solid = " solid" if mark.solid else ""
            self._parts.append(f'<circle class="dot{solid}" cx="{self._axis.x(mark.at):.1f}" cy="{y:.1f}" r="3"/>')
        self._y = top + height + 12

    def curve(
        self, name: str, points: Sequence[tuple[float, float]], most: float, *, limit: float, limit_name: str
    ) -> None:
        """A sum that goes up and down in steps, and the limit that it is compared with."""
        top, height = self._y + LINE, 80.0
        self._scale(name, top, height, most)

        def y(value: float) -> float:
            return top + height * (1 - min(value / most, 1))

        steps = [f"M{self._axis.x(points[0][0]):.1f} {y(points[0][1]):.1f}"]
        steps += [f"H{self._axis.x(at):.1f}V{y(value):.1f}" for at, value in points[1:]]
        self._parts.append(f'<path class="limit" d="M{LEFT} {y(limit):.1f}H{WIDTH - RIGHT}"/>')
        self._text(WIDTH - RIGHT, y(limit) - 4, limit_name, anchor="end", kind="faint")
        self._parts.append(f'<path class="curve" d="{"".join(steps)}"/>')
        self._y = top + height + 12

    def states(self, spans: Sequence[tuple[float, float, str]], check: str = "its state") -> None:
        """What the check is called."""
        y, height = self._y, 24.0
        self._label(check, y + 16)
        for begin, end, name in spans:
            x, width = self._span(begin, end)
            self._parts.append(f'<rect class="{name}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}"/>')
            self._text(x + width / 2, y + 16, name, anchor="middle", kind="on", room=width)
        self._y += height + 10

    def told(self, messages: Sequence[tuple[float, str]]) -> None:
        """What was told: a number where it was, and the words under the picture."""
        y, free = self._y + 8, 0.0
        self._label("told", y + 4)
        for number, (at, words) in enumerate(messages, 1):
            x = self._axis.x(at)
            place = max(x, free)
            self._parts.append(f'<path class="note" d="M{x:.1f} {y - 18}L{place:.1f} {y - 8}"/>')
            self._parts.append(f'<circle class="dot solid" cx="{place:.1f}" cy="{y:.1f}" r="8"/>')
            self._text(place, y + 4, str(number), anchor="middle", kind="on")
            self.messages.append((number, words))
            free = place + 19
        self._y += 26

    def note(self, at: float, text: str) -> None:
        """Said under the rows, with a line up to where it happened."""
        self._notes.append((at, text))

    def scatter(
        self, across: str, up: str, points: Mapping[str, tuple[float, float]], *, least: float, most: float
    ) -> None:
        """Named points over the axis; the values go by powers of ten, and what is less than `least` lies there."""
        top, height = self._y + LINE, 260.0
        self._text(LEFT, top - 4, up, kind="faint")

        def y(value: float) -> float:
            return top + height * (1 - math.log(max(value, least) / least) / math.log(most / least))

        power = least
        while power <= most * 1.01:
            self._parts.append(f'<path class="rule" d="M{LEFT} {y(power):.1f}H{WIDTH - RIGHT}"/>')
            name = f"{power:,.0f}" if power >= 1 else f"{power:g}"
            self._text(LEFT - 8, y(power) + 4, f"≤ {name}" if power == least else name, anchor="end", kind="faint")
            power *= 10
        said = -math.inf
        for name, (at, value) in sorted(points.items(), key=lambda item: -item[1][1]):
            x, own = self._axis.x(at), name == "Brownout"
            said = max(y(value) + 4, said + LINE)
            self._parts.append(
                f'<circle class="{"up" if own else "down"}" cx="{x:.1f}" cy="{y(value):.1f}" r="{7 if own else 5}"/>'
            )
            self._text(x + 11, said, f"{name} ({at:.0f} s)", kind="title" if own else "")
        self._y = top + height + 8
        self._text(WIDTH - RIGHT, self._y + 30, across, anchor="end", kind="faint")

    def svg(self) -> str:
        bottom = self._y
        self._ticks(bottom)
        below = bottom + 24 + LINE * self._said(bottom + 24) + 14
        return document(self.title, below + self._listed(below), self._parts)

    def _listed(self, y: float) -> float:
        """The messages, by their numbers; how much room they take."""
        line = y
        for number, words in self.messages:
            self._text(36, line + LINE, f"{number}", anchor="end", kind="strong")
            for part in textwrap.wrap(words, 122):
                line += LINE
                self._text(46, line, part)
            line += 4
        return line - y + (8 if self.messages else 0)

    def _said(self, y: float) -> int:
        """The notes, each in a line of its own; how many lines."""
        for number, (at, text) in enumerate(self._notes):
            x, line = self._axis.x(at), y + LINE * (number + 0.6)
            self._parts.insert(0, f'<path class="note" d="M{x:.1f} {self._first}V{line - 9:.1f}"/>')
            left = x < WIDTH * 0.62
            self._text(x + (4 if left else -4), line, text, anchor="start" if left else "end")
        return len(self._notes)

    def _ticks(self, y: float) -> None:
        self._parts.append(f'<path class="rule" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        value = self._axis.low
        while value <= self._axis.high + 1e-9:
            x = self._axis.x(value)
            self._parts.append(f'<path class="rule" d="M{x:.1f} {y}v4"/>')
            last = value + self._axis.step > self._axis.high
            where = ("end", WIDTH - RIGHT + 8.0) if last else ("middle", x)
            self._text(where[1], y + 17, f"{value:g} {self._axis.unit}", anchor=where[0], kind="faint")
            value += self._axis.step

    def _scale(self, name: str, top: float, height: float, most: float) -> None:
        self._text(LEFT, top - 4, name, kind="faint")
        self._parts.append(f'<path class="rule" d="M{LEFT} {top}V{top + height}H{WIDTH - RIGHT}"/>')
        for part in (0.0, 0.5, 1.0):
            self._text(LEFT - 8, top + height * (1 - part) + 4, f"{most * part:g}", anchor="end", kind="faint")

    def _span(self, begin: float, end: float) -> tuple[float, float]:
        x = self._axis.x(begin)
        return x, self._axis.x(end) - x

    def _label(self, text: str, y: float) -> None:
        self._text(LEFT - 10, y, text, anchor="end", kind="faint")

    def _text(
        self, x: float, y: float, text: str, *, anchor: str = "start", kind: str = "", room: float = math.inf
    ) -> None:
        """Left out where there is no room for it."""
        if text and len(text) * 6.6 < room:
            self._parts.append(
                f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
            )
