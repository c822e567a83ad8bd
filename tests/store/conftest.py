"""Every store behind the contract, with the disk it lives on: tests reopen it, and abandon it as a crash would."""

from __future__ import annotations

import pkgutil
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

import monitor.store
from monitor.store.contract import Keep, Store
from monitor.store.lasting import LastingStore
from monitor.store.memory import MemoryStore, Shelf
from monitor.store.sqlite import SqliteStore

ALL = Keep()


class Disk(Protocol):
    """Where stores of one kind keep what they know."""

    def store(self, keep: Keep = ...) -> Store:
        """Another agent's store on the same disk."""

    def crashed(self) -> Disk:
        """The disk as it is now, with nobody running: what a reboot would find."""

    def unguarded(self) -> None:
        """Let a second agent in, as a deleted lock file would."""


class MemoryDisk:
    def __init__(self, tmp_path: Path) -> None:
        self.shelf = Shelf()

    def store(self, keep: Keep = ALL) -> Store:
        return MemoryStore(self.shelf, keep=keep)

    def crashed(self) -> Disk:
        return self

    def unguarded(self) -> None: ...


class SqliteDisk:
    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "state"

    def store(self, keep: Keep = ALL) -> Store:
        return SqliteStore(self.folder, keep=keep)

    def crashed(self) -> Disk:
        copy = SqliteDisk(self.folder)
        shutil.copytree(self.folder, copy.folder, ignore=lambda *_: ["state"])
        return copy

    def unguarded(self) -> None:
        (self.folder / "agent.lock").unlink()


class LastingDisk(SqliteDisk):
    def store(self, keep: Keep = ALL) -> Store:
        return LastingStore(SqliteStore(self.folder, keep=keep))

    def crashed(self) -> Disk:
        copy = LastingDisk(self.folder)
        shutil.copytree(self.folder, copy.folder, ignore=lambda *_: ["state"])
        return copy


DISKS: dict[str, Callable[[Path], Disk]] = {"memory": MemoryDisk, "sqlite": SqliteDisk, "lasting": LastingDisk}

FOUND = [
    module.name
    for module in pkgutil.iter_modules(monitor.store.__path__)
    if not module.name.startswith("_") and module.name not in ("contract", "holder", "offline", "sql")
]


@pytest.fixture(params=FOUND)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    """A store that is added to monitor/store without a disk here fails the whole suite: it has to be in it."""
    return DISKS[request.param](tmp_path)


Opener = Callable[..., Any]


@pytest.fixture
async def opened() -> AsyncIterator[Opener]:
    """Opens stores and closes them all at the end."""
    stores: list[Store] = []

    async def open_one(disk: Disk, keep: Keep = ALL) -> Store:
        store = disk.store(keep)
        stores.append(store)
        await store.open()
        return store

    yield open_one
    for store in stores:
        await store.close()
