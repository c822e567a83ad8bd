"""The pages of the documentation and the blocks in them, for the tests of both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.glob("**/*.md")])
EXAMPLES = [ROOT / "checks.yaml", *sorted((ROOT / "examples").glob("*.yaml")),
            *sorted((ROOT / "examples").glob("*/checks.yaml"))]  # fmt: skip

FENCE = re.compile(r"(?:<!-- ([^\n]*?) -->\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, its text, and the comment above it."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def _blocks(path: Path) -> Iterator[Block]:
    page = path.read_text(encoding="utf-8")
    for found in FENCE.finditer(page):
        line = page.count("\n", 0, found.start()) + 1
        yield Block(path, line, found[2], found[3], found[1] or "")


BLOCKS = [block for path in PAGES for block in _blocks(path)]


def blocks(language: str, *, mark: str = "") -> list[Any]:
    found = [block for block in BLOCKS if block.language == language and block.mark.startswith(mark)]
    return [pytest.param(block, id=str(block)) for block in found]


def marked(mark: str, page: str) -> Block:
    return next(block for block in BLOCKS if block.mark == mark and block.page.name == page)


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")
