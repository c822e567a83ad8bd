"""States as people see them on a terminal: one colour and one symbol each, the same wherever they are shown."""

from __future__ import annotations

from rich.text import Text

STYLES = {
    "up": "green", "operational": "green", "degraded": "yellow", "degradation": "yellow",
    "down": "red", "outage": "red", "unknown": "bright_black", "resolved": "green",
}  # fmt: skip
_SYMBOLS = {"green": "●", "yellow": "▲", "red": "✖", "bright_black": "?"}


def pill(state: str, text: str = "") -> Text:
    """Symbol and state, or `text` in its place. A state that a newer agent may have is shown without colour."""
    style = STYLES.get(state, "white")
    return Text(f"{_SYMBOLS.get(style, '•')} {text or state}", style=style)
