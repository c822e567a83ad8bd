"""What the fields of a probe may be besides plain types, and how one says that a value cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NewType, TypeAlias

ByteSize = NewType("ByteSize", int)
"""A field of bytes, written with its unit: ``2MiB``, ``500kB``."""

FilePath: TypeAlias = Annotated[str, "file"]
"""A field that names a file. In checks.yaml it may be relative to that; a probe is handed the whole path."""


class Secret:
    """A text that no log line, page, event, error or traceback may show; `reveal` is the one way out."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


class BadField(ValueError):
    """Raised by a probe's ``__post_init__``: the value of `field` cannot be used; the text says what to write."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.all: tuple[BadField, ...] = (self,)
        """This fault and those found together with it (`check_fields`)."""


def check_fields(*checks: Callable[[], object]) -> None:
    """Run every check of a ``__post_init__``, and raise one `BadField` that tells of all that raised one."""
    found: list[BadField] = []
    for check in checks:
        try:
            check()
        except BadField as error:
            found.extend(error.all)
    if found:
        found[0].all = tuple(found)
        raise found[0]
