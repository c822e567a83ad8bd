"""A file that is read again and again, by a connection that never outlives what it was opened for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from monitor.store._files import is_alone, open_to_read

T = TypeVar("T")


class Reader:
    """All of it is called on one thread. Raises `sqlite3.Error` or `OSError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        alone = is_alone(self._path)
        if alone:
            self.close()
        db = self._db = self._db or open_to_read(self._path, alone=alone)
        try:
            return work(db)
        except sqlite3.Error:
            alone = True  # what went wrong with it may not go wrong with the next one
            raise
        finally:
            if alone:
                self.close()

    def close(self) -> None:
        """The next question opens the file that is there then."""
        if self._db is not None:
            self._db.close()
            self._db = None
