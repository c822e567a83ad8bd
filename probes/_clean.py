"""Takes a check's own secrets out of what its target sent, in every form that a target is likely to echo them in."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
_HEAD = 4
"""Characters of a secret that tell something: a text may end in fewer of them by chance."""
_HEADS = 32
"""Places where a secret may begin that are compared. A target chooses its cookies and its text, and so could make
each sign such a place: where there are more, what stands behind the first one is taken out."""

_URL_SAFE = "%/:?#[]@!$&'()*+,;=~-._|"


class Cleaner:
    """Called with a text, gives it without the secrets. Clean before cutting: half a secret is found by nobody.

    A text that ends within a secret, since it was cut off on its way here, loses that head as well. The forms are
    made at the first call, as most checks are never asked to show anything.
    """

    __slots__ = ("_forms", "_secrets")

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secret for secret in secrets if len(secret) > 2)
        self._forms: tuple[str, ...] | None = None

    def knowing(self, secret: str) -> Cleaner:
        """One that knows this secret as well."""
        return Cleaner((*self._secrets, secret))

    def __bool__(self) -> bool:
        return bool(self._secrets)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is taken out."""
        return self._secrets

    def __call__(self, text: str) -> str:
        forms = self._forms
        if forms is None:
            forms = self._forms = all_forms(self._secrets)
        for form in forms:
            text = text.replace(form, MASK)
        return _without_head(text, forms)


def _without_head(text: str, forms: tuple[str, ...]) -> str:
    """`text` without the beginning of a form that it ends in."""
    start = len(text)
    for form in forms:
        first = at = text.find(form[:_HEAD], max(0, len(text) - len(form)))
        for _ in range(_HEADS):
            if at < 0 or (len(text) - at >= _HEAD and form.startswith(text[at:])):
                break
            at = text.find(form[:_HEAD], at + 1)
        else:
            at = min(at, first)
        if at >= 0:
            start = min(start, at)
    return text if start == len(text) else text[:start] + MASK


def sent(values: Iterable[str]) -> list[str]:
    """What a target that is sent such headers could echo: of ``Bearer abc`` the token alone as well."""
    known = list(values)
    return known + [word for value in known for word in value.split()[1:]]


def all_forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """In what shapes secrets may turn up; the longest first, so that none leaves the rest of another."""
    return tuple(sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True))


def _forms(secret: str) -> set[str]:
    """As it is; quoted for a URL, JSON, HTML, Python; in base64; and in the wrong one of UTF-8 and Latin-1."""
    utf8 = secret.encode("utf-8", "replace")
    encoded = base64.b64encode(utf8).decode()
    forms = {
        secret,
        quote(utf8, safe=""),
        quote(utf8),
        quote(utf8, safe=_URL_SAFE),
        quote_plus(utf8),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        html.escape(secret),
        repr(secret)[1:-1],
        encoded,
        encoded.rstrip("="),
        base64.urlsafe_b64encode(utf8).decode().rstrip("="),
    }
    if not secret.isascii():
        forms |= {utf8.decode("latin-1"), secret.encode("latin-1", "replace").decode("utf-8", "replace")}
    return forms
