"""The core at its limits of size. Not beside its other tests: traced for coverage this takes ten times as long."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from types import FrameType

from tests.core.tiers import Tiers, tiers


def test_a_thousand_services_on_one_host_are_one_incident_told_a_few_times() -> None:
    names = [f"c{number}" for number in range(1010)]
    story = tiers({"host": (), **dict.fromkeys(names, ("host",))})
    story.kill("host", 30)
    for name in names:
        story.kill(name, 31)
    assert len(story.told("incident")) == 10
    assert story.checks == [("host", "down")]
    assert len(story.changes[-1].incidents) == 0, "beyond the limit of names nothing more is written down"
    sound_incident = story.world.services["c1009"].incident
    assert sound_incident is not None
    assert len(sound_incident.checks) == 1000


def calls(story: Tiers, names: Iterable[str], at: float) -> int:
    """Of functions, while these checks fail: what deciding costs, on a machine that does nothing else or much."""
    counted = Counter[str]()

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        counted[event] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for name in names:
            story.kill(name, at)
    finally:
        sys.setprofile(before)
    return counted["call"]


def test_each_of_a_thousand_services_costs_the_same_to_join_an_incident() -> None:
    """The cost of each was that of all before it: those of ten thousand took a quarter of an hour."""
    names = [f"c{number}" for number in range(600)]
    story = tiers({"host": (), **dict.fromkeys(names, ("host",))})
    story.kill("host", 30)
    for name in names[:16]:
        story.kill(name, 31)
    few = calls(story, names[16:31], 31)
    for name in names[31:560]:
        story.kill(name, 31)
    many = calls(story, names[560:575], 31)
    assert many < 2 * few
