"""The journal's file in our hands: opened, revived when it failed, kept aside when it is damaged, and let go."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from monitor.core.model import Journal
from monitor.store import _journal
from monitor.store._database import check_epoch, connect, get_meta, set_meta, transaction, translate
from monitor.store._files import Identity, forget_log, identity, log_of, primary_code, remove
from monitor.store._lock import AgentLock, prepare
from monitor.store._peek import Known, peek
from monitor.store._rescue import Rescue, bring_over, set_aside
from monitor.store.contract import Damaged, Fenced, Refused, StoreBusy, StoreError, Unstorable

T = TypeVar("T")


class Held:
    """One agent's hold on `path`. All of it is called on one thread."""

    def __init__(self, path: Path, vantage: str, busy_timeout: timedelta) -> None:
        self._path = path
        self._directory = path.parent
        self._vantage = vantage
        self._busy_timeout = busy_timeout
        self._db: sqlite3.Connection | None = None
        self._lock: AgentLock | None = None
        self._damaged = False
        self._file: Identity = None
        self._log: Identity = None
        """Of the file that is open, and of its log."""
        self.epoch = 0
        self.openings = 0
        """How often the file was opened."""
        self.unfamiliar = False
        """Whether `revive` had to make the file anew, and nobody has told it yet what there is."""
        self.rescues: list[Rescue] = []

    def peek(self, limit: int) -> Known | None:
        """What can be read of a journal that cannot be opened, or of the damaged one in whose place there is none."""
        aside = self.rescues[-1].aside if self.rescues and not self._path.exists() else None
        return peek(aside or self._path, limit)

    def guarded(self, work: Callable[[], T]) -> T:
        """Translates what SQLite raises, and remembers damage."""
        try:
            return work()
        except sqlite3.Error as error:
            translated = translate(error, self._path)
            self._damaged = self._damaged or isinstance(translated, Damaged)
            raise translated from error
        except UnicodeEncodeError as error:  # of what was handed in, not of what is kept
            raise Unstorable(f"the journal {self._path} keeps no such text ({error.reason})") from error
        except ValueError as error:  # a text that is no UTF-8, a body that is no JSON, a state that there is not
            self._damaged = True
            raise Damaged(f"the journal {self._path} is damaged ({error})") from error

    def connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError(f"the journal {self._path} is not open")
        return self._db

    def to_write(self) -> sqlite3.Connection:
        """The connection, unless its file was removed or replaced: SQLite would write on, where nobody looks. Nor
        where damage was found: what reads the damaged place may be pruning alone, which nobody waits for."""
        db = self.connection()
        if self._damaged:
            raise Damaged(f"the journal {self._path} is damaged")
        if identity(self._path) != self._file:
            raise StoreError(f"the journal {self._path} was removed or replaced under the running agent")
        return db

    def open(self) -> Journal:
        """What is known; of a damaged file what can be read."""
        if self._db is not None:
            raise StoreError(f"the journal {self._path} is open already")
        try:
            self._hold()
            try:
                return self._connect(None)
            except Damaged:
                return self.open_anew()
        except (Refused, StoreBusy):
            self.close()  # nobody will try again
            raise

    def open_anew(self) -> Journal:
        """What can be read of a damaged file, in a fresh one."""
        journal = self._start_afresh(None)
        self.unfamiliar = False  # whoever opens it goes by what was brought over
        return journal

    def _hold(self) -> None:
        """The directory is ours from here to `close`, whatever becomes of the file."""
        if self._lock is None:
            prepare(self._directory)
            self._lock = AgentLock(self._directory)

    def _connect(self, origin: str | None) -> Journal:
        """Open the file, or create it with this name. Raises `Damaged` where it cannot be read."""
        try:
            self._db = connect(self._path, self._busy_timeout, origin=origin)
            with transaction(self._db, durable=True):
                journal = _journal.take_over(self._db, self._vantage)
        except sqlite3.Error as error:
            self._let_go()
            raise translate(error, self._path) from error
        except (ValueError, TypeError, KeyError) as error:
            self._let_go()
            raise Damaged(f"the journal {self._path} is damaged (it holds what nobody has written)") from error
        except BaseException:
            self._let_go()
            raise
        self.epoch = journal.epoch
        self.openings += 1
        self._file, self._log = identity(self._path), identity(log_of(self._path))
        return journal

    def _start_afresh(self, origin: str | None) -> Journal:
        """Keep the damaged file aside, and go on with what can be read of it."""
        self._let_go()
        rescue = Rescue(set_aside(self._path))
        try:
            db = connect(self._path, self._busy_timeout, origin=origin)
            with closing(db), transaction(db, durable=True):
                rescue = bring_over(rescue.aside, db, origin)
        except BaseException:
            remove(self._path)  # it knows nothing, and must not be taken for the one that did
            raise
        finally:
            self.unfamiliar = True
            self.rescues.append(rescue)
        return self._connect(None)

    def revive(self, origin: str) -> str:
        """See `SqliteStore.revive`."""
        if self._damaged:
            return self._start_afresh(origin).origin
        self._hold()
        if self._db is not None:
            try:
                return self._try_a_write()
            except sqlite3.Error as error:
                if primary_code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
                    raise
            except Fenced:
                raise
            except StoreError:
                pass
            self._let_go()  # the file was moved, or the disk mounted anew: what we hold may be of the past
            if identity(self._path) != self._file:
                forget_log(self._path, self._log)
        epoch, known = self.epoch, self._path.exists()
        self.unfamiliar = self.unfamiliar or not known
        try:
            journal = self._connect(origin)
        except Damaged:
            return self._start_afresh(origin).origin
        if known and epoch and journal.origin == origin and journal.epoch != epoch + 1:
            raise Fenced(f"another agent has taken over this journal (epoch {journal.epoch - 1}, ours was {epoch})")
        return journal.origin

    def _try_a_write(self) -> str:
        db = self.to_write()
        with transaction(db, durable=True):
            check_epoch(db, self.epoch)
            set_meta(db, "epoch", str(self.epoch))
            return str(get_meta(db, "origin"))

    def _let_go(self) -> None:
        self._damaged = False
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def close(self) -> None:
        """Let go of the file and of the directory."""
        self._let_go()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
