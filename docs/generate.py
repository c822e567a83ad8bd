"""Renews the generated parts of these pages: `python -m docs.generate`.

A page is written by hand, except what stands between `<!-- generated: NAME -->` and `<!-- end of generated -->`:
that comes from the code, by the function of that name in `docs.keys`, `docs.reference` or `docs.live`. The pages in
`probes/` and `sinks/` come from the code as a whole. The same code gives the same text, so a test can say that a page
is out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from docs import keys, live, reference
from monitor.sinks.registry import sinks
from probes.registry import builtin

FOLDER = Path(__file__).parent

BLOCKS: Mapping[str, Callable[[], str]] = {**keys.BLOCKS, **reference.BLOCKS, **live.BLOCKS}

_BLOCK = re.compile(r"(<!-- generated: ([a-z -]+) -->\n).*?(<!-- end of generated -->)", re.DOTALL)


def renewed(page: str) -> str:
    """The page with its generated parts as the code has them now. Raises `KeyError` for an unknown name."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{_block(found[2])}\n\n{found[3]}", page)


def names(page: str) -> list[str]:
    """The names of the generated parts of a page."""
    return [name for _, name, _ in _BLOCK.findall(page)]


@cache
def _block(name: str) -> str:
    return BLOCKS[name]().strip()


def whole_pages() -> Mapping[Path, str]:
    """The pages that nobody writes by hand, as they should be."""
    probes = {FOLDER / "probes" / f"{kind}.md": reference.probe_page(kind) for kind in builtin()}
    return probes | {FOLDER / "sinks" / f"{kind}.md": reference.sink_page(kind) for kind in sinks()}


def main() -> int:
    """Write the pages that are out of date, and say which."""
    pages = {path: renewed(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.md"))}
    for path, new in {**pages, **whole_pages()}.items():
        if not path.exists() or new != path.read_text(encoding="utf-8"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(new, encoding="utf-8")
            print(f"renewed {path.relative_to(FOLDER)}")
    for path in (*(FOLDER / "probes").glob("*.md"), *(FOLDER / "sinks").glob("*.md")):
        if path not in whole_pages():
            path.unlink()
            print(f"removed {path.relative_to(FOLDER)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
