"""Keeps secrets in: knows every secret text of the configuration and takes it out of whatever leaves the agent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from probes._clean import MASK, all_forms

_SHORTEST = 4
"""Shorter texts are not searched for: they would blank out ordinary words. Typed fields hide them all the same."""


class Redactor:
    """Replaces each known secret, in all the forms that it may turn up in, by ``***``.

    Log lines reach it as JSON, bodies as whatever a target made of them: see `probes._clean`.
    """

    __slots__ = ("_pattern", "_secrets")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = frozenset(secret for secret in secrets if len(secret) >= _SHORTEST)
        self._pattern = _pattern_of(self._secrets)

    def learn(self, other: Redactor) -> bool:
        """Know the secrets of `other` from now on, too; those known before are still out there, in journals and
        caches. True: there were new ones. Whoever holds this redactor need not be told."""
        known, self._secrets = self._secrets, self._secrets | other._secrets
        if self._secrets == known:
            return False
        self._pattern = _pattern_of(self._secrets)
        return True

    @property
    def secrets(self) -> frozenset[str]:
        """What is searched for, for who must search in a way of its own."""
        return self._secrets

    def text(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern else text

    def for_faults(self) -> FaultRedactor:
        """One for messages, which knows the same secrets."""
        return FaultRedactor(self._secrets)

    def value(self, value: Any) -> Any:
        """The same for the texts in a tree of JSON values; its keys are our own words."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def _pattern_of(secrets: Iterable[str]) -> re.Pattern[str] | None:
    forms = all_forms(secrets)
    return re.compile("|".join(map(re.escape, forms))) if forms else None


class FaultRedactor(Redactor):
    """For messages, which quote texts with escapes and shorten them: the head of a secret before ``...`` goes too."""

    __slots__ = ("_heads", "_longest")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        shown = {form for secret in secrets for form in (secret, repr(secret)[1:-1], " ".join(secret.split()))}
        super().__init__(shown)
        self._heads: dict[str, list[str]] = {}
        """The forms by their first characters."""
        self._longest = max(map(len, shown), default=0)
        for form in shown:
            if len(form) >= _SHORTEST:
                self._heads.setdefault(form[:_SHORTEST], []).append(form)

    def text(self, text: str) -> str:
        text = super().text(text)
        if "..." not in text or not self._heads:
            return text
        *before, last = text.split("...")
        return "...".join([*map(self._without_head, before), last])

    def _without_head(self, text: str) -> str:
        for at in range(max(0, len(text) - self._longest), len(text) - _SHORTEST + 1):
            if any(form.startswith(text[at:]) for form in self._heads.get(text[at : at + _SHORTEST], ())):
                return text[:at] + MASK
        return text
