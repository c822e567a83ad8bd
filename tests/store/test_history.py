"""What every store keeps of the past: looks, roll-ups, transitions, and the states they make."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from monitor.core.history import LONG, SHORT, Point, Sample
from monitor.core.model import Change, Check, Look, State, Transition
from monitor.core.quantise import quantised
from monitor.core.rows import Rows
from monitor.store.contract import Store, StoreError
from probes.contract import Observation, Reason
from tests.core.builders import START, above, check, moment
from tests.store.conftest import Disk, Opener
from tests.store.made import NOBODY, transition

HOUR = timedelta(hours=1)
EVERY = 60.0


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def look(seconds: float, figure: float = 0.25, of: Check | None = None, **fields: Any) -> Look:
    """A look that took 0.2 s."""
    observed = Observation(
        {"response_time": figure, "connect_time": 0.1}, fields.pop("reason", None), phases={"connect": 0.1}
    )
    made = Look("home", observed, moment(seconds), moment(seconds + 0.2), **({"limit": 10.0} | fields))
    return quantised(made, of or check())


async def recorded(
    store: Store, looks: list[Look], state: State = State.UP, name: str = "home", **fields: Any
) -> None:
    rows = Rows[str]()
    own = check(name, *fields.pop("conditions", ()), every=timedelta(seconds=EVERY), **fields)
    for item in looks:
        rows.add(name, own, item, state)
    await store.record(rows, looks[-1].ended.at)


async def tended(store: Store, now: datetime) -> None:
    while await store.tend(now):
        pass


async def test_looks_come_back_as_they_were_judged(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    looks = [look(0.123456, 0.123456), look(60, scheduled=False, limit=2.0, reason=Reason.REFUSED)]
    await recorded(store, looks, State.DEGRADED)
    assert await store.samples("home", at(-9), at(99)) == [
        Sample(at(0.1), 1000.1, 0.2, State.DEGRADED, True, True, None, {"response_time": 0.123}),
        Sample(at(60), 1060.0, 0.2, State.DEGRADED, False, False, Reason.REFUSED, {"response_time": 0.25}),
    ]


async def test_phases_are_kept_where_a_threshold_names_them(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    named = replace(above(1.0), measurement="connect_time")
    await recorded(store, [look(0)], conditions=(named,))
    [sample] = await store.samples("home", at(-9), at(99))
    assert sample.measurements == {"response_time": 0.25, "connect_time": 0.1}


async def test_answers_are_bounded_and_paged(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await recorded(store, [look(EVERY * number) for number in range(300)])
    await tended(store, at(9 * 3600))
    page = await store.samples("home", at(60), at(EVERY * 9), limit=5)
    assert [sample.began for sample in page] == [at(EVERY * number) for number in range(1, 6)]
    rest = await store.samples("home", page[-1].began + timedelta(milliseconds=1), at(EVERY * 9))
    assert [sample.began for sample in rest] == [at(EVERY * number) for number in range(6, 9)]
    assert await store.samples("home", at(0), at(99), limit=0) == []
    assert await store.samples("nobody", at(0), at(99)) == []


async def test_looks_are_rolled_up(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    looks = [look(EVERY * number, 0.1 + number / 1000) for number in range(5)]
    await recorded(store, [*looks, look(299, 9.0, scheduled=False, reason=Reason.REFUSED)])
    await recorded(store, [look(300, reason=Reason.REFUSED), look(360)], State.DOWN)
    first, second = await store.rollup("home", at(0), at(400), SHORT)
    assert (first.at, first.span, first.looks, first.failed) == (at(0), SHORT, 5, 0)
    assert first.seconds == {State.UP: 299.8}
    figures = first.figures["response_time"]
    assert (figures.count, figures.min, figures.max, figures.p50) == (5, 0.1, 0.104, 0.102)
    assert (second.looks, second.failed) == (2, 1)
    assert second.seconds == {State.UP: 0.2, State.DOWN: 60.0}
    [whole] = await store.rollup("home", at(0), at(400), LONG)
    assert (whole.looks, whole.failed, whole.figures["response_time"].count) == (7, 1, 7)


async def test_sealing_changes_no_answer(disk: Disk, opened: Opener) -> None:
    """The same questions, before the looks are sealed, while some are, and after a restart."""
    store = await opened(disk)
    for number in range(0, 600, 4):
        looks = [
            look(EVERY * n, 0.1 + n % 17 / 100, reason=Reason.REFUSED if n % 50 == 0 else None)
            for n in range(number, number + 4)
        ]
        await recorded(store, looks, State.DOWN if 100 <= number < 130 else State.UP)
    await store.record(Rows(), at(11 * 3600))
    before = await answers(store)
    assert len(before[0]) == 600
    for hours in (1.5, 3.1, 7, 12, 99):
        await tended(store, at(hours * 3600))
        assert await answers(store) == before
    await store.close()
    assert await answers(await opened(disk)) == before


async def answers(store: Store) -> tuple[list[Sample], list[Point], list[Point], list[Point]]:
    end = at(600 * EVERY)
    short = await store.rollup("home", at(0), end, SHORT)
    assert sum(point.looks for point in short) == 600
    return (
        await store.samples("home", at(0), end),
        short,
        await store.rollup("home", at(0), end, LONG),
        await store.rollup("home", at(1000), at(1700), timedelta(minutes=10)),
    )


async def test_the_step_of_a_rollup_is_chosen_by_the_span(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await recorded(store, [look(EVERY * number) for number in range(0, 3000, 3)])
    for hours, step in ((24, 300), (48, 600), (24 * 30, 3 * 3600)):
        points = await store.rollup("home", at(0), at(hours * 3600))
        assert {point.span for point in points} == {timedelta(seconds=step)}
    points = await store.rollup("home", at(0), at(0) + timedelta(days=400), SHORT)
    assert {point.span for point in points} == {timedelta(hours=5)}, "bounded"


async def test_transitions_are_listed_and_paged(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    made = [replace(transition(name, seq), at=at(seq)) for seq in range(1, 4) for name in "ab"]
    await store.commit([Change(transitions=tuple(made))], NOBODY)
    newest = await store.transitions("check", "a", 2)
    assert [past.transition for past in newest] == [made[4], made[2]]
    rest = await store.transitions("check", "a", 99, before=newest[-1].number)
    assert [past.transition for past in rest] == [made[0]]
    assert await store.transitions("service", "a", 99) == []


async def test_states_make_a_ribbon(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit(
        [Change(transitions=(change(1, 10, "up"), change(2, 20, "down"), change(3, 30, "up")))], NOBODY
    )
    found = await store.states("check", "a", at(0), at(40))
    assert [(span.start, span.end, span.state) for span in found] == [
        (at(10), at(20), "up"), (at(20), at(30), "down"), (at(30), at(40), "up"),
    ]  # fmt: skip
    assert found[1].why == "refused"
    assert [(s.start, s.state) for s in await store.states("check", "a", at(22), at(25))] == [(at(22), "down")]
    assert await store.states("service", "a", at(0), at(40)) == []


def change(seq: int, seconds: float, state: str) -> Transition:
    return replace(transition("a", seq), at=at(seconds), new=state)


async def test_nobody_knows_what_was_while_no_agent_was_there(disk: Disk) -> None:
    first, second = disk.store(), disk.store()
    await first.open()
    await first.commit([Change(transitions=(change(1, 0, "up"),))], NOBODY)
    await first.record(Rows(), at(0))
    await first.record(Rows(), at(100))
    await first.close()
    await second.open()
    await second.record(Rows(), at(700))
    found = await second.states("check", "a", at(0), at(800))
    assert [(span.start, span.end, span.state) for span in found] == [
        (at(0), at(100), "up"), (at(100), at(700), None), (at(700), at(800), "up"),
    ]  # fmt: skip
    await second.close()


async def test_a_renamed_check_goes_on_with_its_past(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await recorded(store, [look(0)], name="front")
    await recorded(store, [look(60)], name="home", was=("nothing", "front"))
    assert [sample.began for sample in await store.samples("home", at(0), at(99))] == [at(0), at(60)]
    assert await store.samples("front", at(0), at(99)) == []


async def test_looks_under_both_names_in_one_batch_and_back_again(disk: Disk, opened: Opener) -> None:
    """As a batch around a reload has them; no series is left behind that would stand in the way later."""
    store = await opened(disk)
    home, front = check("home", was=("front",)), check("front", was=("home",))
    await record_as(store, (0, check("front")))
    await record_as(store, (60, check("front")), (120, home))
    await record_as(store, (180, home), (240, front), (300, home), (360, front))
    assert [sample.began for sample in await store.samples("front", at(0), at(999))] == [
        at(EVERY * number) for number in range(7)
    ]
    assert await store.samples("home", at(0), at(999)) == []


async def test_a_name_that_another_check_had_long_ago_is_taken_over(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await record_as(store, (0, check("home")))
    await store.close()
    store = await opened(disk)
    await record_as(store, (60, check("front")))
    await record_as(store, (120, check("home", was=("front",))))
    assert [sample.began for sample in await store.samples("home", at(0), at(999))] == [at(60), at(120)]
    await record_as(store, (180, check("front")), (240, check("home", was=("front",))))
    assert [sample.began for sample in await store.samples("front", at(0), at(999))] == [at(180)]


async def record_as(store: Store, *looks: tuple[float, Check]) -> None:
    rows = Rows[str]()
    for seconds, of in looks:
        rows.add(of.id, of, look(seconds, of=of), State.UP)
    await store.record(rows, at(looks[-1][0]))


async def test_the_past_under_former_names_follows(disk: Disk, opened: Opener) -> None:
    """home, renamed to front, renamed back; meanwhile another check has taken the name that was free."""
    store = await opened(disk)
    made = [
        change(1, 10, "up"), change(2, 20, "down"),
        replace(change(3, 30, "down"), subject="front", old="down", was="a"),
        replace(change(4, 40, "up"), subject="front"),
        change(3, 50, "down"), change(4, 55, "unknown"),
        replace(change(5, 60, "up"), old="up", was="front"),
    ]  # fmt: skip
    await store.commit([Change(transitions=tuple(made))], NOBODY)
    own = [made[6], made[3], made[2], made[1], made[0]]
    found = await store.transitions("check", "a", 99)
    assert [past.transition for past in found] == own
    assert [past.transition for past in await store.transitions("check", "a", 2)] == own[:2]
    rest = await store.transitions("check", "a", 2, before=found[1].number)
    assert [past.transition for past in rest] == own[2:4]
    states = await store.states("check", "a", at(0), at(70))
    assert [(span.start, span.state) for span in states] == [(at(10), "up"), (at(20), "down"), (at(40), "up")]
    assert [span.state for span in await store.states("check", "front", at(0), at(70))] == ["up", "down", "up"]


async def test_a_store_that_is_not_open_keeps_no_looks(disk: Disk) -> None:
    store = disk.store()
    with pytest.raises(StoreError, match="not open"):
        await store.record(Rows(), at(0))
