"""Values of which each look makes several: frozen for the type checker, and at run time plain.

`dataclass(frozen=True)` sets every field by a call; a look with seven fields took 2 µs to make, and takes 0.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as quick
else:
    from dataclasses import dataclass

    def quick(*, frozen: bool, slots: bool):
        """As `dataclass`, with the equality and the hash of a frozen value, that nothing keeps from being changed."""
        return dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["quick"]
