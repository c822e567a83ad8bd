"""Files that are meant to hurt."""

from __future__ import annotations

from monitor.config.drafts import _cycles


def test_as_many_circles_as_checks_are_each_found_and_told_in_short() -> None:
    names = [f"c{number}" for number in range(5000)]
    edges = {name: tuple(dict.fromkeys((after, "c0"))) for name, after in zip(names, [*names[1:], "c0"], strict=True)}
    found = list(_cycles(edges))
    assert len(found) == len(names)
    assert max(map(len, found)) == 8
    assert ("c0", "c1", "c2", "c3", "c4", "c5", "c6", "...") in found
    assert ("c0",) in found
    assert tuple(names[:8]) in found
