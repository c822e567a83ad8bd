"""The state of a service while some of its checks are unknown, and what is said of that."""

from __future__ import annotations

from monitor.core.model import OutageRule, Service, State
from monitor.core.service import doubt
from probes.contract import Reason
from tests.core.builders import check, world
from tests.core.stories import begun
from tests.core.succeeded import ROUTES, sound
from tests.core.tiers import Tiers


def test_a_rule_counts_what_is_known_and_says_what_is_open() -> None:
    names = ("a", "b", "c")
    service = Service("shop", "Web shop", names, OutageRule(2, names))
    story = Tiers(world(*(check(name, service="shop") for name in names), services={"shop": service}, routes=ROUTES))
    begun(story, names)
    for at in (30, 50, 70):
        story.see(at, "b", Reason.NO_ROUTE)
    assert story.events[-1]["type"] == "check.changed", "one that is unknown makes no outage of two"
    story.kill("a", 80)
    assert story.world.services["shop"].state == "degradation"
    open_question = "1 of 3 is down, 1 cannot be judged: it may be an outage, as that takes 2."
    assert all(event["sentence"].endswith(open_question) for event in story.events[-2:])
    for at in (90, 110, 130):
        story.see(at, "c", Reason.NO_ROUTE)
    story.heal("a", 140)
    assert story.world.services["shop"].state == "unknown"
    assert "0 of 3 are down, 2 cannot be judged: it may be an outage" in story.events[-1]["sentence"]
    sound(story)


def test_what_is_open_in_words() -> None:
    rule = OutageRule(2, ("a", "b", "c"))
    up, down, unknown = State.UP, State.DOWN, State.UNKNOWN
    said = {
        (up, up, up): "",
        (down, down, unknown): "",
        (down, unknown, up): "1 of 3 is down, 1 cannot be judged: it may be an outage, as that takes 2",
        (up, unknown, up): "0 of 3 are down, 1 cannot be judged: no outage either way, as that takes 2",
    }
    for states, words in said.items():
        assert doubt(rule, dict(zip("abc", states, strict=True))) == words
    assert doubt(OutageRule(1, ("a",)), {"a": unknown}) == "", "one alone needs no counting"
