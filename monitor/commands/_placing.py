"""Files put where the system looks for them, again and again: what is right stays, what somebody edited is kept.

A file of ours says in its first line what the rest of it was when it was written. So without any record elsewhere it
is known whether somebody has edited it since.
"""

from __future__ import annotations

import grp
import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from difflib import unified_diff
from enum import Enum
from pathlib import Path

_ORDINARY = 0o644
_STAMP = "# brownout install: "


class Result(Enum):
    """What was done, or would be, with one path."""

    MADE = "made"
    RENEWED = "renewed"
    SET = "given its mode and owner"
    SAME = "as it should be"
    KEPT = "kept, as it is yours"
    EDITED = "kept, as somebody edited it"
    REMOVED = "removed"
    GONE = "not there"


@dataclass(frozen=True, slots=True)
class Item:
    """A folder (no `text`) or a file, as it should be below a root.

    `yours`: written once, and never changed after that. `group`: who may read it besides root; None: root alone.
    `stamped`: an edited one is known as such; without it, which is a package's way, it is simply written.
    """

    path: str
    text: str | None = None
    mode: int = _ORDINARY
    group: str | None = None
    yours: bool = False
    stamped: bool = True

    def at(self, root: Path) -> Path:
        return root / self.path.lstrip("/")

    @property
    def written(self) -> str:
        text = self.text or ""
        return text if self.yours or not self.stamped else stamped(text)


@dataclass(frozen=True, slots=True)
class Done:
    """One path and what became of it; `difference` to ours, in lines, where somebody's own was kept."""

    item: Item
    outcome: Result
    difference: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return self.outcome in (Result.MADE, Result.RENEWED, Result.SET, Result.REMOVED)

    def told(self, *, dry: bool) -> str:
        """One line for people; `dry`: nothing was done, it only would be."""
        item = self.item
        kind = "" if item.text is not None else "/"
        who = "" if item.mode == _ORDINARY else f" ({item.mode:04o} root:{item.group or 'root'})"
        return f"{item.path}{kind}{who}: {'would be ' if dry and self.changed else ''}{self.outcome.value}"


def stamped(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{_STAMP}{digest}; edits are kept, a drop-in is better (systemctl edit)\n{text}"


def edited(text: str) -> bool:
    """True unless it is what `stamped` once made."""
    return stamped(text.partition("\n")[2]) != text


def place(item: Item, root: Path, *, dry: bool) -> Done:
    """Make it so, unless somebody's own is there. Raises `OSError`."""
    path = item.at(root)
    if not path.exists():
        if not dry:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(item, path)
            _own(item, path, root)
        return Done(item, Result.MADE)
    if item.text is not None and not item.yours:
        present = path.read_text(encoding="utf-8")
        if present != item.written:
            if item.stamped and edited(present):
                return Done(item, Result.EDITED, _difference(present, item))
            if not dry:
                _write(item, path)
                _own(item, path, root)
            return Done(item, Result.RENEWED)
    if not _owned(item, path, root):
        if not dry:
            _own(item, path, root)
        return Done(item, Result.SET)
    return Done(item, Result.KEPT if item.yours else Result.SAME)


def remove(item: Item, root: Path, *, dry: bool, edits: bool) -> Done:
    """Take a file away, or a folder if nothing else is in it. `edits`: even an edited one. Raises `OSError`."""
    path = item.at(root)
    if not path.exists():
        return Done(item, Result.GONE)
    if item.text is None:
        if not dry:
            with suppress(OSError):
                path.rmdir()
        return Done(item, Result.REMOVED if dry or not path.exists() else Result.KEPT)
    present = path.read_text(encoding="utf-8")
    if edited(present) and not edits:
        return Done(item, Result.EDITED, _difference(present, item))
    if not dry:
        path.unlink()
    return Done(item, Result.REMOVED)


def remove_tree(path: str, root: Path, *, dry: bool) -> Done:
    """Take away a folder with all that is in it, or a link. Raises `OSError`."""
    item = Item(path)
    where = item.at(root)
    if not os.path.lexists(where):
        return Done(item, Result.GONE)
    if not dry:
        if where.is_symlink():
            where.unlink()
        else:
            shutil.rmtree(where)
    return Done(item, Result.REMOVED)


def anything_changed(done: Iterable[Done]) -> bool:
    return any(each.changed for each in done)


def _write(item: Item, path: Path) -> None:
    if item.text is None:
        path.mkdir(mode=item.mode)
        return
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(item.written, encoding="utf-8")
    beside.chmod(item.mode)
    beside.replace(path)


def _own(item: Item, path: Path, root: Path) -> None:
    """Its mode and owner; in a staging folder, whose users are not ours, the mode alone."""
    path.chmod(item.mode)
    if root == Path("/"):
        shutil.chown(path, "root", item.group or "root")


def _owned(item: Item, path: Path, root: Path) -> bool:
    found = path.stat()
    if found.st_mode & 0o7777 != item.mode:
        return False
    return root != Path("/") or (found.st_uid == 0 and found.st_gid == _number(item.group or "root"))


def _number(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _difference(present: str, item: Item) -> tuple[str, ...]:
    lines = unified_diff(
        present.splitlines(), item.written.splitlines(), "yours", f"this version's {item.path}", lineterm="", n=1
    )
    return tuple(lines)
