"""What every store keeps: states, incidents, events; whole changes or nothing; one writer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from monitor.core.model import Change, Impact, Note
from monitor.store._codec import decode_body
from monitor.store.contract import Fenced, Keep, StoreError, Unstorable
from tests.store.conftest import Disk, Opener
from tests.store.made import NOBODY, after, event, incident, record, service, told, transition, whole_change


async def test_opens_empty(disk: Disk) -> None:
    store = disk.store()
    journal = await store.open()
    assert journal.origin
    assert (journal.epoch, journal.checks, journal.services, journal.incidents) == (1, {}, {}, ())
    assert journal.notes == {}
    await store.close()


async def test_a_change_is_there_after_a_restart(disk: Disk) -> None:
    first, second = disk.store(), disk.store()
    before = await first.open()
    await first.commit([whole_change()], NOBODY)
    await first.close()
    journal = await second.open()
    assert journal.checks == {"a": record(window=[0.25, 1.5])}
    assert journal.services == {"shop": service()}
    assert journal.incidents == (incident(),)
    assert journal.notes == {"maintenance:1": {"until": 1}, "told": [1, "x"]}
    assert journal.incidents[0].told == {"hook", "pager"}
    assert (journal.origin, journal.epoch) == (before.origin, 2)
    assert await second.events(10) == [dict(event("e1").body)]
    await second.close()


async def test_a_crash_loses_nothing_committed(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([whole_change()], NOBODY)
    await store.save([record(window=[9.0])])
    after_reboot = disk.crashed().store()
    journal = await after_reboot.open()
    assert journal.checks == {"a": record(window=[9.0])}
    assert [d.event_id for d in await after_reboot.claim("hook", after(0), after(30), 9)] == ["e1"]
    await after_reboot.close()


async def test_times_come_back_to_the_microsecond(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    moments = [datetime(2026, 7, 1, 23, 59, 59, micros, tzinfo=UTC) for micros in (0, 1, 999_999, 123_457)]
    cases = [replace(incident(f"i{n}"), opened=at, resolved=at) for n, at in enumerate(moments)]
    await store.commit([Change(incidents=tuple(cases))], NOBODY)
    found = {i.id: i.opened for i in await store.incidents(9)}
    assert found == {case.id: case.opened for case in cases}


async def test_a_change_that_cannot_be_stored_leaves_nothing(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    with pytest.raises(Unstorable, match="e2"):
        await store.commit([whole_change(), told(event("e2", bad=object()))], NOBODY)
    assert await store.events(10) == []
    assert await store.incidents(10) == []
    assert await store.backlog() == {}


async def test_a_figure_that_is_none_stops_no_alert(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    odd = {"limit": float("inf"), "seen": [float("nan"), 1.5, (2,)]}
    await store.commit([told(event("e1", threshold=odd))], NOBODY)
    [delivery] = await store.claim("hook", after(0), after(30), 9)
    assert decode_body(delivery.body)["threshold"] == {"limit": None, "seen": [None, 1.5, [2]]}
    with pytest.raises(Unstorable, match="note x"):
        await store.commit([Change(notes=(Note("x", float("nan")),))], NOBODY)


async def test_committing_twice_changes_nothing(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([whole_change()], NOBODY)
    [delivery] = await store.claim("hook", after(0), after(30), 9)
    await store.delivered([delivery], after(1))
    await store.commit([whole_change(), whole_change()], NOBODY)
    assert await store.next_due("hook") is None, "a delivered event is not queued again"
    assert len(await store.events(10)) == 1
    assert await store.incidents(10) == [incident()]


async def test_nothing_goes_back(disk: Disk) -> None:
    store, later = disk.store(), disk.store()
    await store.open()
    done = incident(updates=2, resolved=after(9))
    await store.commit([Change((record(seq=5),), (service(seq=5),), (), (done,))], NOBODY)
    await store.commit([Change((record(seq=4),), (service(seq=4),), (), (incident(updates=2),))], NOBODY)
    await store.save([record(seq=3)])
    assert await store.incidents(9) == [done], "a resolved incident does not open by a late repetition"
    await store.close()
    journal = await later.open()
    assert journal.checks["a"].seq == 5
    assert journal.services["shop"].seq == 5
    await later.close()


async def test_notes_are_replaced_and_forgotten(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    first = Change(notes=(Note("a", 1), Note("b", "\ud800x"), Note("c", False), Note("d", {"x": [1.5, None]})))
    await store.commit([first], NOBODY)
    mutable = {"x": [2]}
    again = Change(notes=(Note("a", None), Note("d", mutable), Note("nobody", None), Note("e", 0), Note("e", None)))
    await store.commit([again, again], NOBODY)
    mutable["x"].append(3)
    with pytest.raises(Unstorable, match="note f"):
        await store.commit([Change(notes=(Note("c", 2), Note("f", object())))], NOBODY)
    later = disk.crashed().store()
    assert (await later.open()).notes == {"b": "?x", "c": False, "d": {"x": [2]}}
    await later.close()


async def test_the_worst_that_an_incident_was_is_kept(disk: Disk) -> None:
    store = disk.store()
    await store.open()
    less = replace(incident(updates=1), impact=Impact.DEGRADATION)
    mild = replace(incident("i2"), impact=Impact.DEGRADATION, worst=Impact.DEGRADATION)
    for state in (incident(), mild, less, replace(less, updates=2, resolved=after(9))):
        await store.commit([Change(incidents=(state,))], NOBODY)
    found = {item.id: (item.impact, item.worst) for item in await store.incidents(9)}
    assert found == {"i1": (Impact.DEGRADATION, Impact.OUTAGE), "i2": (Impact.DEGRADATION, Impact.DEGRADATION)}
    await store.close()


async def test_open_incidents_only_are_told_at_opening(disk: Disk) -> None:
    store, later = disk.store(), disk.store()
    await store.open()
    incidents = (incident("new", opened=5), incident("old", opened=1), incident("over", resolved=after(9)))
    await store.commit([Change(incidents=incidents)], NOBODY)
    assert [i.id for i in await store.incidents(2)] == ["new", "old"]
    await store.close()
    journal = await later.open()
    assert [i.id for i in journal.incidents] == ["old", "new"]
    await later.close()


async def test_an_agent_that_was_replaced_may_not_write(disk: Disk, opened: Opener) -> None:
    old = await opened(disk)
    await old.commit([told(event("e1"))], NOBODY)
    [delivery] = await old.claim("hook", after(0), after(30), 9)
    disk.unguarded()
    new = await opened(disk)
    for attempt in (
        old.commit([told(event("e2"))], NOBODY),
        old.save([record()]),
        old.claim("hook", after(0), after(30), 9),
        old.delivered([delivery], after(1)),
        old.failed([delivery], after(5), "x"),
        old.dead([delivery], after(5), "x"),
        old.hasten("hook", after(5)),
    ):
        with pytest.raises(Fenced, match="another agent"):
            await attempt
    assert [e["id"] for e in await new.events(9)] == ["e1"]


async def test_the_past_is_pruned_and_what_is_owed_is_not(disk: Disk) -> None:
    keep = Keep(events=3, dead=2, evidence=2, incidents=2)
    store = disk.store(keep)
    await store.open()
    await store.commit([told(*(event(f"owed{n}", f"s{n}", ("slow",)) for n in range(2)))], NOBODY)
    await store.commit([told(*(event(f"dead{n}", f"s{n}", ("hook",)) for n in range(4)))], NOBODY)
    for n, delivery in enumerate(await store.claim("hook", after(0), after(30), 9)):
        await store.dead([delivery], after(n), "gone")
    past = tuple(incident(f"i{n}", resolved=after(50 + n), opened=n) for n in range(5))
    transitions = tuple(transition(seq=n) for n in range(5))
    events = tuple(event(f"sent{n}", sinks=()) for n in range(6))
    await store.commit([Change((), (), transitions, (*past, incident("open", opened=-9)), events)], NOBODY)
    await store.close()
    later = disk.store(keep)
    await later.open()
    assert [e["id"] for e in await later.events(99)] == [
        "sent5", "sent4", "sent3", "dead3", "dead2", "owed1", "owed0",
    ]  # fmt: skip
    assert [letter.delivery.event_id for letter in await later.dead_letters(9)] == ["dead3", "dead2"]
    assert [i.id for i in await later.incidents(9)] == ["i4", "i3", "open"]
    assert len(await later.claim("slow", after(0), after(30), 9)) == 2
    kept = [
        (past.transition.seq, bool(past.transition.evidence)) for past in await later.transitions("check", "a", 9)
    ]
    assert kept == [(4, True), (3, True), (2, False), (1, False), (0, False)], "transitions are kept for ever"
    await later.close()


async def test_hostile_text_does_not_stop_a_commit(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("e1", excerpt="\ud800 \x00 '; DROP TABLE events; -- \u2028"))], NOBODY)
    [body] = await store.events(1)
    assert body["excerpt"] == "? \x00 '; DROP TABLE events; -- \u2028"


async def test_a_store_that_is_not_open_says_so(disk: Disk) -> None:
    store = disk.store()
    with pytest.raises(StoreError, match="not open"):
        await store.commit([], NOBODY)
    await store.close()
    await store.open()
    with pytest.raises(StoreError, match="open already"):
        await store.open()
    await store.close()
    await store.close()


async def test_an_incident_its_events_and_what_came_after_an_event(disk: Disk) -> None:
    store = disk.store()
    await store.open()
    opened, other, ended = event("e1", stream="inc_1"), event("e2"), event("e3", stream="inc_1")
    await store.commit([Change(incidents=(incident("inc_1"),), events=(opened, other, ended))], NOBODY)
    found = await store.incident("inc_1")
    assert found is not None
    assert found.id == "inc_1"
    assert await store.incident("inc_2") is None
    assert [body["id"] for body in await store.incident_events("inc_1", 9)] == ["e1", "e3"]
    assert [body["id"] for body in await store.incident_events("inc_1", 1)] == ["e1"]
    assert await store.incident_events("inc_2", 9) == []
    assert [body["id"] for body in await store.events_after("e1", 9) or []] == ["e2", "e3"]
    assert [body["id"] for body in await store.events_after("e1", 1) or []] == ["e2"]
    assert await store.events_after("e3", 9) == []
    assert await store.events_after("e4", 9) is None
    await store.close()
