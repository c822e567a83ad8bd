"""Backup of a state directory, beside a running agent or without one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from monitor.store._copy import copy_database
from monitor.store._database import must_be_a_journal
from monitor.store._files import HISTORY, JOURNAL, identity, is_alone, is_damage, reading
from monitor.store._history_file import must_be_a_history
from monitor.store.contract import Damaged, Refused, StoreError

PAUSE = 0.005
"""Seconds after each MiB: an agent on the same disk comes first."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied, for people. `rows` are those that are owed to sinks."""

    file: Path
    size: int
    checks: int
    incidents: int
    rows: int
    history: Path | None = None
    kept: Path | None = None
    """Where the journal is now whose place was taken."""


def back_up(state_dir: Path, target: Path, *, force: bool = False, history: bool = True) -> Copied:
    """Copy the journal to `target`, and the history beside it. Raises `StoreError`, which says whether something was
    written: `Refused` for what is asked wrongly; then nothing was."""
    journal, past = state_dir / JOURNAL, state_dir / HISTORY
    if not os.access(state_dir, os.R_OK | os.X_OK):
        raise Refused(f"{state_dir} is not there, or may not be read by this user (uid {os.getuid()})")
    beside = history_beside(target) if history and past.exists() else None
    if not journal.exists():
        raise Refused(f"there is no journal in {state_dir}: name the agent's state_dir with --state-dir")
    for file in (target, beside):
        if file is not None:
            _must_be_free(file, state_dir, force=force)
    try:
        _copy(journal, target, must_be_a_journal)
        copied = counted(target)
    except StoreError as error:
        raise StoreError(f"{error}; no backup was made") from error
    if beside is None:
        return copied
    try:
        _copy(past, beside, must_be_a_history)
    except StoreError as error:
        raise StoreError(f"{error}; {target} is there, without the history (--no-history leaves it out)") from error
    return replace(copied, history=beside)


def history_beside(backup: Path) -> Path:
    return backup.with_name(f"{backup.name.removesuffix('.db')}.history.db")


def _must_be_free(file: Path, state_dir: Path, *, force: bool) -> None:
    """Also with `force` nothing is replaced but a file, and nothing is put among the agent's own."""
    folder = file.parent.resolve()
    if identity(state_dir) in (identity(item) for item in (folder, *folder.parents)):
        raise Refused(f"{file} lies in the agent's own {state_dir}: name a file elsewhere, best on another disk")
    if os.path.lexists(file) and (file.is_symlink() or not file.is_file()):
        raise Refused(f"{file} is there already, and is no file that could be replaced: name another")
    if file.exists() and not force:
        raise Refused(f"{file} is there already: name another file, or add --force to replace it")


def _copy(path: Path, target: Path, check: Callable[[sqlite3.Connection, Path], None]) -> None:
    """Of a database that an agent may be writing to, or may begin to while it is copied: then it is copied again."""
    while True:
        before = _last_change(path)
        alone = is_alone(path)
        try:
            with reading(path) as source:
                check(source, path)
                copy_database(source, target, pause=PAUSE)
        except sqlite3.Error as error:
            raise (Damaged if is_damage(error) else StoreError)(f"{path} cannot be read: {error}") from error
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}") from error
        if not alone or (is_alone(path) and _last_change(path) == before):
            return


def _last_change(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def counted(journal: Path) -> Copied:
    """Raises `StoreError`."""
    try:
        with reading(journal) as db:
            checks, incidents, rows = (
                int(db.execute(f"SELECT COUNT(*) FROM {what}").fetchone()[0])  # noqa: S608
                for what in ("checks", "incidents WHERE resolved IS NULL", "outbox WHERE state <> 'dead'")
            )
            return Copied(journal, journal.stat().st_size, checks, incidents, rows)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{journal} cannot be read: {error}") from error
