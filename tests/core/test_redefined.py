"""One check under another definition: what goes on, and what is forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from monitor.core.condition import Aggregate, Bound, Condition, Level, Operator
from monitor.core.model import Confirm, Recover
from monitor.core.series import Samples
from monitor.core.succession import same_target
from probes.contract import Reason, Secret, Unit
from tests.core.builders import above, check
from tests.core.stories import Story
from tests.core.succeeded import Aimed, Heard, reloaded, single, sound


def fails(limit: float, **fields: Any) -> Condition:
    return above(limit, Level.DEGRADED, **fields)


def test_a_reload_in_the_middle_of_a_confirmation_loses_nothing() -> None:
    story = single()
    story.see(30, "home", Reason.REFUSED)
    story.see(31, "home", Reason.REFUSED)
    reloaded(story, check("home", labels={"tier": "web"}, timeout=timedelta(seconds=5)), at=31)
    story.see(32, "home", Reason.REFUSED)
    assert story.told("incident") == [("incident.opened", "outage")]
    assert story.events[-1]["incident"]["since"] == "2026-03-01T12:00:30.000Z"
    assert story.world.judges["home"].check.labels == {"tier": "web"}
    sound(story)


def test_other_figures_of_confirmation_count_for_what_is_being_confirmed() -> None:
    story = single()
    for at in (30, 31):
        story.see(at, "home", Reason.REFUSED)
    eager, patient = Confirm(2, timedelta(seconds=1)), Recover(2, timedelta(seconds=1))
    reloaded(story, check("home", confirm=eager, recover=patient), at=31)
    story.see(32, "home", Reason.REFUSED)
    assert story.told("incident") == [("incident.opened", "outage")]
    for at in (40, 41, 42):
        story.see(at, "home")
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")


MINUTES = timedelta(minutes=5)


def window(story: Story) -> Samples:
    windows = story.world.judges["home"]._measured._windows
    (found,) = windows._samples
    return found


def samples(story: Story) -> list[float]:
    kept = window(story)
    return [kept.at(rank) for rank in range(kept.count)]


def test_changed_thresholds_keep_the_samples() -> None:
    story = single("home", fails(9, window=MINUTES))
    for at in range(30, 300, 30):
        story.see(at, "home", response_time=3)
    kept = samples(story)
    reloaded(story, check("home", fails(2, window=2 * MINUTES)), at=300)
    assert samples(story) == kept
    assert window(story).horizon == 600
    story.see(330, "home", response_time=3)
    assert story.told("incident") == [("incident.opened", "degradation")], "one look, with what is known already"
    sound(story)


def test_a_threshold_that_stays_keeps_its_state_beside_a_new_one() -> None:
    story = single("home", fails(2))
    story.see(30, "home", response_time=3)
    story.see(31, "home", response_time=3)
    told = len(story.events)
    reloaded(story, check("home", fails(2), fails(50, window=MINUTES)), at=40)
    story.see(60, "home", response_time=3)
    assert story.events[told:] == []
    for at in (90, 91):
        story.see(at, "home", response_time=1)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")


def test_another_limit_does_not_announce_an_end_before_looks_show_it() -> None:
    story = single("home", fails(2))
    story.see(30, "home", response_time=3)
    story.see(31, "home", response_time=3)
    told = len(story.events)
    reloaded(story, check("home", fails(2.5)), at=40)
    story.see(60, "home", response_time=3)
    assert story.events[told:] == [], "no end and no second beginning"
    reloaded(story, check("home", fails(5)), at=70)
    story.see(90, "home", response_time=3)
    story.see(91, "home", response_time=3)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    sound(story)


def test_a_removed_threshold_holds_no_longer() -> None:
    story = single("home", fails(2))
    story.see(30, "home", response_time=3)
    story.see(31, "home", response_time=3)
    reloaded(story, check("home", above(9, Level.DOWN)), at=40)
    story.see(60, "home", response_time=3)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")


def test_another_target_keeps_the_state_and_forgets_the_figures() -> None:
    slow = fails(9, window=MINUTES)
    story = single("home", slow, probe=Aimed("http://old/"))
    judge = story.world.judges["home"]
    memory = judge.memory
    memory["position"] = 7
    for at in range(30, 300, 30):
        story.see(at, "home", response_time=3)
    story.kill("home", 300)
    reloaded(story, check("home", slow, probe=Aimed("http://new/")), at=330)
    assert judge is story.world.judges["home"]
    assert (judge.state, judge.last, samples(story)) == ("down", None, [])
    assert (judge.memory, memory) == ({}, {"position": 7}), "a look under way writes into the old one"
    story.heal("home", 340)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")
    sound(story)


def test_a_suspicion_of_another_target_is_dropped() -> None:
    story = single("home", probe=Aimed("http://old/"))
    for at in (30, 31):
        story.see(at, "home", Reason.REFUSED)
    reloaded(story, check("home", probe=Aimed("http://new/")), at=31)
    assert not story.world.judges["home"].suspicious
    story.see(32, "home", Reason.REFUSED)
    assert story.told("incident") == []


def test_slowness_of_another_target_ends_when_looks_show_it() -> None:
    story = single("home", fails(2), probe=Aimed("http://old/"))
    story.see(30, "home", response_time=3)
    story.see(31, "home", response_time=3)
    told = len(story.events)
    reloaded(story, check("home", fails(2), probe=Aimed("http://new/")), at=40)
    story.see(60, "home", response_time=3)
    assert story.events[told:] == []
    for at in (90, 91):
        story.see(at, "home", response_time=1)
    assert story.told("incident")[-1] == ("incident.resolved", "resolved")


def test_what_arrived_is_remembered_under_another_definition() -> None:
    token = Secret("0123456789abcdef")
    story = single("home", probe=Heard(token))
    story.world.judges["home"].memory["last"] = 5
    reloaded(story, check("home", probe=Heard(token, period=2)), at=60)
    assert story.world.judges["home"].memory == {"last": 5}
    reloaded(story, check("home", probe=Aimed("http://new/")), at=70)
    assert story.world.judges["home"].memory == {}


def test_what_is_the_same_target() -> None:
    old = Aimed("http://a/", Secret("one"), {"X": Secret("one"), "Y": "plain"})
    assert same_target(old, Aimed("http://a/", Secret("one"), {"X": Secret("one"), "Y": "plain"}))
    assert same_target(old, Aimed("http://a/", Secret("two"), {"X": Secret("two"), "Y": "plain"}))
    assert not same_target(old, Aimed("http://a/", Secret("one"), {"X": Secret("one"), "Y": "other"}))
    assert not same_target(old, Aimed("http://b/", Secret("one"), {"X": Secret("one"), "Y": "plain"}))
    assert not same_target(old, check("x").probe)


def test_a_ratio_and_a_count_keep_what_they_count() -> None:
    counted = Condition(
        text="count", level=Level.DEGRADED, measurement="response_time", unit=Unit.COUNT,
        bound=Bound(Operator.BELOW, 2.0), aggregate=Aggregate.COUNT, window=MINUTES,
    )  # fmt: skip
    story = single("home", counted)
    for at in range(30, 330, 30):
        story.see(at, "home", response_time=1)
    reloaded(story, check("home", replace(counted, text="fewer", bound=Bound(Operator.BELOW, 1.0))), at=330)
    story.see(360, "home", response_time=1)
    assert story.world.judges["home"].state == "up"
