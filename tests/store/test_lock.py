"""What lies in the place of the lock: only a person can tell whose it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.store.contract import Refused
from monitor.store.holder import holder
from monitor.store.lasting import LastingStore
from monitor.store.sqlite import SqliteStore

KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "directory": Path.mkdir,
    "link": lambda path: path.symlink_to("precious"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_no_lock_is_refused(tmp_path: Path, kind: str) -> None:
    """And not lived with in memory, as a full disk is."""
    KINDS[kind](tmp_path / "agent.lock")
    store = LastingStore(SqliteStore(tmp_path))
    with pytest.raises(Refused, match=r"agent\.lock is a .*: remove it"):
        await store.open()
    await store.close()
    assert not (tmp_path / "precious").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_who_asks_for_the_holder_waits_for_nobody(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / "agent.lock")
    writer = os.open(tmp_path / "agent.lock", os.O_RDWR) if kind == "pipe" else -1
    assert holder(tmp_path) is None
    if writer >= 0:
        os.close(writer)
