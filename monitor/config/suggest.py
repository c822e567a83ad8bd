"""Did you mean: the nearest known word, and the list of known words when it is short."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LISTED = 12
LONGEST_SHOWN = 60


class Vocabulary:
    """The words that are known in one place of the file, and what they are called ("check", "sink").

    Comparing every misspelt name with every known one is quadratic: after `_BUDGET` comparisons, misspelt words are
    still reported but no longer get a suggestion.
    """

    _BUDGET = 20_000

    def __init__(self, noun: str, known: Iterable[str]) -> None:
        self.noun = noun
        self._known = tuple(dict.fromkeys(known))
        self._set = frozenset(self._known)
        self._budget = self._BUDGET

    def __contains__(self, word: str) -> bool:
        return word in self._set

    def unknown(self, word: str) -> str:
        """``unknown check "hme" (did you mean home?)``"""
        said = f'unknown {self.noun} "{shorten(word)}"'
        near = self._nearest(word)
        if near is not None:
            return f"{said} (did you mean {near}?)"
        if not self._known:
            return f"{said}: there is no {self.noun} here"
        if len(self._known) <= _LISTED:
            return f"{said}: known are {', '.join(self._known)}"
        return said

    def meant(self, word: str) -> str:
        """`` (did you mean home?)``, for answers that must not repeat what was sent; empty where nothing is near."""
        near = self._nearest(word)
        return f" (did you mean {near}?)" if near is not None else ""

    def _nearest(self, word: str) -> str | None:
        if self._budget < len(self._known):
            return None
        self._budget -= len(self._known)
        lowered = {known.lower(): known for known in self._known}
        near = get_close_matches(word.lower(), lowered, n=1, cutoff=0.65)
        return lowered[near[0]] if near else None


def shorten(text: str) -> str:
    """For messages: one line, of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 3] + "..."
