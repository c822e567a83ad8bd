"""The core at its limits of size. Not beside its other tests: traced for coverage this takes ten times as long."""

from __future__ import annotations

from tests.core.tiers import tiers


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
