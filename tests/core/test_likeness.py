"""How alike the looks of a target are that come soon after one another: learned from doubts that came to nothing."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from random import Random

import pytest

from monitor.core.judge import Judge
from monitor.core.likeness import MOST, NEAR, Cluster, Likeness
from monitor.core.model import CheckRecord, State
from tests.core.builders import moment
from tests.core.test_slowness import LEARNED, Target

ABOVE = [number / 10 for number in range(1, 31)]


def doubt(chance: Random, *, wander: float, looks: int = 9) -> Cluster:
    """A row of looks two seconds apart, of whose noise such a part is the same for all."""
    made, common = Cluster(), math.sqrt(wander) * chance.gauss(0, 1)
    for number in range(looks):
        made.add(common + math.sqrt(1 - wander) * chance.gauss(0, 1), near=number > 0)
    return made


def taught(wander: float, doubts: int = 300, *, likeness: Likeness | None = None) -> Likeness:
    made, chance = likeness or Likeness(), Random(1)
    for _ in range(doubts):
        made.learn(doubt(chance, wander=wander))
    return made


# --- what is learned -------------------------------------------------------------------------------------------


def test_looks_are_taken_for_alike_as_long_as_nothing_is_known() -> None:
    assert Likeness().alike == 0.8


@pytest.mark.parametrize(("wander", "least", "most"), [(0.0, 0.0, 0.1), (0.6, 0.6, 0.9), (1.0, 0.95, 1.0)])
def test_it_is_learned_how_alike_they_are(wander: float, least: float, most: float) -> None:
    assert least <= taught(wander).alike <= most


def test_what_was_learned_long_ago_fades() -> None:
    changed = taught(1.0, likeness=taught(0.0, 2000))
    assert changed.alike > 0.7
    assert taught(0.0, 600, likeness=changed).alike < 0.4


def test_a_lone_slow_look_says_nothing_of_those_around_it() -> None:
    made = Cluster()
    for off in (9.0, 0.5, -0.5):
        made.add(off, near=off < 9)
    assert (made.looks, made.seen, made.repeated) == (2, 0.25, -0.25)
    made.add(99.0, near=True)
    assert made.repeated == -0.25, "the mean of what came before was usual"
    assert made.level == 1.0


def test_looks_far_apart_do_not_teach_how_alike_near_ones_are() -> None:
    made = Cluster()
    for _ in range(9):
        made.add(2.0, near=False)
    assert (made.looks, made.level, made.seen) == (1, 2.0, 0.0)


# --- what a look is worth --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wander", [0.0, 0.6, 1.0])
def test_the_higher_a_look_is_the_more_it_is_worth_and_the_highest_in_full(wander: float) -> None:
    likeness = taught(wander)
    worth = [likeness.worth(above, 2.0) for above in ABOVE]
    assert all(one <= other for one, other in pairwise(worth))
    assert all(found <= above + 1e-9 for found, above in zip(worth, ABOVE, strict=True))
    assert worth[-1] == pytest.approx(MOST)


def test_looks_whose_noise_is_their_own_count_nearly_in_full_and_others_hardly() -> None:
    own, alike = taught(0.0), taught(1.0)
    assert own.worth(1.0, 2.0) > 0.75
    assert alike.worth(1.0, 2.0) < 0.02


def test_looks_a_second_apart_count_for_half() -> None:
    likeness = taught(0.0)
    assert likeness.worth(2.0, 1.0) == pytest.approx(likeness.worth(2.0, 2.0) / 2)
    assert likeness.worth(2.0, NEAR) == likeness.worth(2.0, 2.0)


# --- kept ------------------------------------------------------------------------------------------------------


def test_it_goes_on_after_a_restart() -> None:
    likeness, again = taught(0.6, 20), Likeness()
    again.load(json.loads(json.dumps(likeness.dump())))
    assert again.alike == likeness.alike
    cluster = doubt(Random(2), wander=0.6)
    kept = Cluster.load(json.loads(json.dumps(cluster.dump())))
    for made in (cluster, kept):
        made.add(1.0, near=True)
    assert kept.dump() == cluster.dump()


@pytest.mark.parametrize("dumped", [[], [1], [0, "x"], [math.nan, 1], [1, 2, 3]])
def test_what_none_has_written_is_refused(dumped: list[object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Likeness().load(dumped)
    with pytest.raises(ValueError, match=r".+"):
        Cluster.load([-1, 0.0, *dumped])


# --- in a judge ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned() -> CheckRecord:
    return Target(every=120).judge.record(moment(LEARNED))


def target(record: CheckRecord) -> Target:
    made = Target(days=0)
    made.judge, made.now = Judge(made.judge.check, record, moment(LEARNED)), LEARNED
    return made


def alike(target: Target) -> float:
    own = target.judge._measured.slowness
    assert own is not None
    return own._likeness.alike


def test_a_doubt_that_came_to_nothing_teaches_and_an_alarm_does_not(learned: CheckRecord) -> None:
    watched = target(learned)
    before = alike(watched)
    watched.until(State.DEGRADED, 2)
    watched.until(State.UP, 1)
    assert alike(watched) == before
    watched.beat(4)
    for number in range(1, 16):
        watched.see(watched.now + 2 * number, (0.85, 1.15)[number % 2], scheduled=False)
    assert not watched.judge._measured.slowness.in_doubt
    assert alike(watched) < before


def test_half_as_slow_again_is_told_sooner_where_looks_are_their_own(learned: CheckRecord) -> None:
    waits = {}
    for wander in (0.0, 1.0):
        watched = target(learned)
        watched.judge._measured.slowness._likeness = taught(wander)
        waits[wander] = watched.until(State.DEGRADED, 1.5)
    assert waits[0.0] <= 75
    assert waits[0.0] < waits[1.0]


@pytest.mark.parametrize("factor", [1.9, 2.4, 2.6, 3.0, 9.0])
def test_however_slow_it_is_it_is_told_within_seconds(learned: CheckRecord, factor: float) -> None:
    assert target(learned).until(State.DEGRADED, factor) <= 18


def test_a_record_of_a_version_that_did_not_learn_it(learned: CheckRecord) -> None:
    watched = target(learned)
    for _ in range(3):
        watched.beat(2)
    snapshot = json.loads(json.dumps(dict(watched.judge.record(moment(watched.now)).snapshot)))
    kept = snapshot["slowness"]["response_time"]
    del kept["alike"], kept["doubt"]["cluster"]
    record = CheckRecord(learned.check, State.UP, learned.since, learned.seq, snapshot)
    again = target(record)
    again.now = watched.now
    assert again.judge.usual(moment(LEARNED).at) is not None
    assert alike(again) == 0.8
    assert again.until(State.DEGRADED, 2) <= 10, "the doubt goes on"
