"""Whatever changes come: bouts are counted alike after a restart, messages are few, and there is an end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.flapping import Bouts
from monitor.core.model import Flapping, Moment, State
from probes.contract import Reason
from tests.core.builders import above, check, moment, world
from tests.core.calmly import Calmly, incidents
from tests.core.succeeded import ROUTES

POLICY = Flapping()
states = st.sampled_from([State.UP, State.DEGRADED, State.DOWN, State.UNKNOWN])


@given(st.lists(st.tuples(states, st.floats(0, 4000)), max_size=20))
def test_bouts_come_back_as_they_were(steps: list[tuple[State, float]]) -> None:
    made, other, tick = Bouts(State.UNKNOWN), Bouts(State.UNKNOWN), 1000.0
    for new, later in steps:
        tick += later
        assert made.change(new, tick, POLICY) == other.change(new, tick, POLICY)
        now = Moment(moment(tick).at, tick)
        other = Bouts.load(other.dump(now), now)
        assert other.count == made.count <= max(len(steps), 1)
        assert made.flapping == other.flapping
        if made.flapping:
            assert 0 <= made.bad_share(tick) <= 1
            assert made.next_digest > (made.since or 0)
        assert made.due(POLICY) == pytest.approx(other.due(POLICY))


@settings(max_examples=12)
@given(st.lists(st.tuples(states, st.floats(0, 900)), max_size=12))
def test_whatever_comes_few_messages_and_an_end(steps: list[tuple[State, float]]) -> None:
    """However it flaps, there are at most so many messages of incidents, and what was opened is resolved."""
    fails = {
        State.UP: None, State.DEGRADED: None, State.DOWN: Reason.REFUSED, State.UNKNOWN: Reason.NO_DESCRIPTORS
    }  # fmt: skip
    here, at = Calmly(world(check("home", above(0.8)), routes=ROUTES)), 0.0
    for state, later in steps:
        at += later + 5
        for _ in range(4):
            at += 8
            here.see(at, fails=fails[state], response_time=2.0 if state is State.DEGRADED else 0.1)
    hours = at / 3600 + 1
    assert len(incidents(here)) <= 12 * hours + 12
    for second in range(30):
        here.see(at + 10 + second, response_time=0.1)
    here.done(at + timedelta(hours=2).total_seconds())
    assert incidents(here)[-1:] in ([], ["resolved"])
    assert here.world.services["home"].state == "operational"
    assert not here.world.calm.held
