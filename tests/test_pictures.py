"""The pictures of docs/judgement.md show what the text beside them says."""

from __future__ import annotations

import pytest

from docs import _stories
from docs._drawing import Drawing
from docs.pictures import IMAGES, way


def told(drawing: Drawing) -> list[str]:
    return [words.partition(":")[0] for _, words in drawing.messages]


@pytest.mark.parametrize("name", ["cause", "flapping", "maintenance", "network"])
def test_a_story_is_told_as_it_is_drawn(name: str) -> None:
    drawing = getattr(_stories, name)()
    assert drawing.svg() == (IMAGES / f"judgement-{name}.svg").read_text("utf-8"), "run: python -m docs.pictures"
    words = " ".join(words for _, words in drawing.messages)
    match name:
        case "cause":
            assert told(drawing) == ["incident.opened", "incident.updated", "incident.resolved"]
            assert "Database and 2 more services have an outage" in drawing.messages[0][1]
        case "flapping":
            assert told(drawing).count("incident.opened") == 3
            assert "home is flapping" in words
            assert "home is still flapping" in words
        case "maintenance":
            assert told(drawing)[0] == "incident.opened"
            assert "checkout" in drawing.messages[0][1]
            assert "The maintenance is over." in drawing.messages[0][1]
            assert "home" not in words
        case "network":
            assert told(drawing)[:3] == ["agent.impaired", "agent.recovered", "incident.opened"]
            assert "Mail" in drawing.messages[2][1]


def test_the_way_to_a_page() -> None:
    assert way() == (IMAGES / "judgement-way.svg").read_text("utf-8"), "run: python -m docs.pictures"
