"""Whatever looks come: transitions alternate, no evidence is no alarm, and a restart changes nothing."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.condition import Level
from probes.contract import Reason
from tests.core.builders import Watch, above

LOOKS = st.lists(
    st.tuples(
        st.floats(0.01, 90),
        st.sampled_from([None, None, None, Reason.REFUSED, Reason.STATUS, Reason.BLOCKED, Reason.LATE]),
        st.booleans(),
        st.one_of(st.floats(0, 5), st.just(float("nan")), st.just(float("inf")), st.just(-1.0)),
    ),
    max_size=120,
)


@given(LOOKS)
def test_transitions_alternate_and_deciding_is_deterministic(
    looks: list[tuple[float, Reason | None, bool, float]],
) -> None:
    def play() -> list[tuple[float, str, str]]:
        watch, at = Watch(above(1), above(3, Level.DOWN, window=timedelta(minutes=3))), 0.0
        for gap, fails, scheduled, value in looks:
            at += gap
            watch.see(at, fails=fails, scheduled=scheduled, response_time=value)
        return watch.transitions

    first = play()
    assert first == play()
    for (_, _, new), (_, old, _) in pairwise(first):
        assert old == new
    assert all(old != new for _, old, new in first)


@given(LOOKS, st.sampled_from([Reason.BLOCKED, Reason.NO_ROUTE, Reason.LATE]))
def test_no_evidence_no_alarm(looks: list[tuple[float, Reason | None, bool, float]], reason: Reason) -> None:
    watch, at = Watch(), 0.0
    for gap, fails, scheduled, _ in looks:
        at += gap
        watch.see(at, fails=reason if fails else None, scheduled=scheduled)
    assert not {"down", "degraded"} & {new for _, _, new in watch.transitions}


@given(LOOKS, st.integers(0, 119))
def test_a_restart_anywhere_gives_the_same_transitions(
    looks: list[tuple[float, Reason | None, bool, float]], restart_at: int
) -> None:
    def play(*, restart: bool) -> list[tuple[float, str, str]]:
        watch, at = Watch(above(1, for_looks=(2, 3))), 0.0
        for index, (gap, fails, scheduled, _) in enumerate(looks):
            at += gap
            watch.see(at, fails=fails, scheduled=scheduled, response_time=2.0 if scheduled else 0.5)
            # A blind spell is not kept: after a restart it is judged from what is seen then.
            if restart and index == restart_at and not watch.judge._blind:
                watch.restart(at)
        return watch.transitions

    assert play(restart=True) == play(restart=False)
