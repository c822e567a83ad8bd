"""A server that followed another one and no longer does: a fail-over is what ends most troubles of a replica."""

from __future__ import annotations

from collections.abc import MutableMapping

_FOLLOWED = "followed"


def promoted(memory: MutableMapping[str, float | str], *, follows: bool) -> bool:
    """Whether it has followed before; then its figures as a replica are to be told as good from now on, as figures
    that are left out would leave a threshold as it was, for good."""
    if follows:
        memory[_FOLLOWED] = 1.0
    return not follows and _FOLLOWED in memory
