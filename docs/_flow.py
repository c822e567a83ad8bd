"""A picture of questions, one under another: where one is answered otherwise, the way ends beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from docs._drawing import LINE, WIDTH, document

LEFT, BOX, EXIT = 20, 300, 400
"""Where questions begin, how wide they are, and where the ends begin."""
GAP = 22
"""Between two questions: room for the arrow."""
LETTER, BOLD = 6.2, 6.8
"""How wide a letter is, on average."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, the answer that goes on, the one that ends here, and what happens then."""

    asked: str
    on: str
    off: str
    end: str


def flow(title: str, first: str, questions: Sequence[Question], last: str) -> str:
    """The picture, as SVG."""
    parts: list[str] = []
    y = 36.0
    y += _box(parts, y, [first], "start")
    for question in questions:
        end = textwrap.wrap(question.end, int((WIDTH - EXIT - 10) / LETTER))
        _arrow(parts, y)
        y += GAP
        height = _box(parts, y, textwrap.wrap(question.asked, int((BOX - 24) / BOLD)), "question", rows=len(end))
        middle = y + LINE - 3
        parts.append(f'<path class="rule" d="M{LEFT + BOX} {middle}H{EXIT - 8}m-6 -4l6 4l-6 4"/>')
        parts.append(_text((LEFT + BOX + EXIT - 14) / 2, middle - 5, question.off, "faint", "middle"))
        parts += [_text(EXIT, middle + 4 + LINE * row, line) for row, line in enumerate(end)]
        y += height
        parts.append(_text(LEFT + 34, y + 15, question.on, "faint"))
    _arrow(parts, y)
    y += GAP
    y += _box(parts, y, [last], "start")
    return document(title, y + 12, parts, LEFT)


def _arrow(parts: list[str], y: float) -> None:
    parts.append(f'<path class="rule" d="M{LEFT + 24} {y}v{GAP - 1}m-4 -6l4 6l4 -6"/>')


def _box(parts: list[str], y: float, lines: Sequence[str], kind: str, rows: int = 0) -> float:
    """Draws a box for its lines, and as high as so many `rows` beside it; how high it is."""
    height = LINE * max(len(lines), rows) + 11.0
    parts.append(f'<rect class="box {kind}" x="{LEFT}" y="{y}" width="{BOX}" height="{height}" rx="6"/>')
    words = "on" if kind == "start" else "strong"
    parts += [_text(LEFT + 12, y + LINE * (row + 1) + 1, line, words) for row, line in enumerate(lines)]
    return height


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
