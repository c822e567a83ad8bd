"""What every store does with the outbox: order, leases, retries, dead letters."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from monitor.core.model import Change
from monitor.store.contract import Backlog, Store
from tests.store.conftest import Disk, Opener
from tests.store.made import NOBODY, T0, after, event, incident, told

LEVEL = frozenset({"pager"})


async def claimed(store: Store, sink: str = "hook", at: float = 0, limit: int = 99) -> list[str]:
    return [delivery.event_id for delivery in await store.claim(sink, after(at), after(at + 30), limit)]


async def test_a_delivery_holds_the_event(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("e1", text="größe €"))], NOBODY)
    [delivery] = await store.claim("hook", after(0), after(30), 9)
    assert (delivery.event_id, delivery.event_type, delivery.sink) == ("e1", "check.changed", "hook")
    assert (delivery.stream, delivery.attempt, delivery.at) == ("check:a", 1, T0)
    assert json.loads(delivery.body) == event("e1", text="größe €").body
    assert b'"text":"gr\xc3\xb6\xc3\x9fe' in delivery.body, "compact, and UTF-8 as it is"


async def test_a_stream_is_in_order_and_streams_are_not_bound(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("a1", "a"), event("a2", "a"), event("b1", "b"))], NOBODY)
    first, second = await store.claim("hook", after(0), after(30), 9)
    assert (first.event_id, second.event_id) == ("a1", "b1")
    assert await claimed(store) == []
    await store.delivered([first], after(1))
    assert await claimed(store) == ["a2"]


async def test_sinks_have_queues_of_their_own(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("e1", sinks=("hook", "chat")), event("e2", sinks=("chat", "chat")))], NOBODY)
    assert await claimed(store, "hook") == ["e1"]
    [delivery] = await store.claim("chat", after(0), after(30), 9)
    await store.delivered([delivery], after(1))
    assert await claimed(store, "chat") == ["e2"]
    assert await claimed(store, "nobody") == []


async def test_the_limit_and_the_oldest_first(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(*(event(f"e{n}", f"s{n}") for n in range(5)))], NOBODY)
    assert await claimed(store, limit=2) == ["e0", "e1"]
    assert await claimed(store, limit=2) == ["e2", "e3"]


async def test_a_retry_waits_and_holds_its_stream(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("a1", "a"), event("a2", "a"), event("b1", "b"))], NOBODY)
    first, other = await store.claim("hook", after(0), after(30), 9)
    await store.failed([first], after(10), "503")
    await store.delivered([other], after(1))
    assert await claimed(store, at=9.999999) == []
    assert await store.next_due("hook") == after(10)
    [again] = await store.claim("hook", after(10), after(40), 9)
    assert (again.event_id, again.attempt, again.body) == ("a1", 2, first.body)


async def test_new_ones_before_retries_then_the_longest_due(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(*(event(f"e{n}", f"s{n}") for n in range(3)))], NOBODY)
    for n, delivery in enumerate(await store.claim("hook", after(0), after(30), 9)):
        await store.failed([delivery], after(10 - n), "503")
    await store.commit([told(event("new", "s9"))], NOBODY)
    assert await claimed(store, at=20) == ["new", "e2", "e1", "e0"]


async def test_a_lease_ends(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("e1"))], NOBODY)
    [late] = await store.claim("hook", after(0), after(30), 9)
    assert await store.next_due("hook") == after(30)
    assert await claimed(store, at=29) == []
    [mine] = await store.claim("hook", after(30), after(60), 9)
    assert mine.attempt == 2
    await store.delivered([late], after(31))
    await store.failed([late], after(31), "late")
    await store.dead([late], after(31), "late")
    assert await store.backlog() == {"hook": Backlog(1, 0, T0)}, "an answer under an old lease does nothing"
    await store.delivered([mine], after(32))
    await store.delivered([mine], after(32))
    assert await store.backlog() == {}


async def test_opening_ends_the_leases_of_before(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("e1"))], NOBODY)
    [lost] = await store.claim("hook", after(0), after(3000), 9)
    next_one = disk.crashed().store()
    await next_one.open()
    await next_one.delivered([lost], after(1))
    [mine] = await next_one.claim("hook", after(0), after(30), 9)
    assert (mine.event_id, mine.attempt, mine.body) == ("e1", 2, lost.body)
    await next_one.close()


async def test_a_level_sink_gets_the_latest_only(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    both = ("hook", "pager")
    await store.commit([told(event("e1", sinks=both)), told(event("e2", sinks=both))], LEVEL)
    await store.commit([told(event("e3", sinks=both), event("other", "check:b", both))], LEVEL)
    assert await claimed(store, "pager") == ["e3", "other"]
    assert (await store.backlog())["hook"].waiting == 4, "a log is never shortened"


async def test_what_was_attempted_is_not_superseded(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("e1", sinks=("pager",)), event("x1", "x", sinks=("pager",)))], LEVEL)
    leased, retried = await store.claim("pager", after(0), after(30), 9)
    await store.failed([retried], after(5), "503")
    for name in ("2", "3"):
        await store.commit([told(event("e" + name, sinks=("pager",)), event("x" + name, "x", ("pager",)))], LEVEL)
    assert (await store.backlog())["pager"].waiting == 4
    await store.delivered([leased], after(1))
    assert await claimed(store, "pager", at=1) == ["e3"]
    [again] = await store.claim("pager", after(5), after(35), 9)
    assert again.event_id == "x1"
    await store.delivered([again], after(6))
    assert await claimed(store, "pager", at=6) == ["x3"]


async def test_dead_letters_are_kept_and_the_stream_goes_on(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("e1"), event("e2"), event("e3"))], NOBODY)
    for at in (1, 2):
        [delivery] = await store.claim("hook", after(0), after(30), 9)
        await store.dead([delivery], after(at), "410 gone")
    newest, oldest = await store.dead_letters(9)
    assert (newest.delivery.event_id, newest.error, newest.died) == ("e2", "410 gone", after(2))
    assert oldest.delivery.event_id == "e1"
    assert len(await store.dead_letters(1)) == 1
    assert await store.backlog() == {"hook": Backlog(1, 2, T0)}
    assert await claimed(store) == ["e3"]


async def test_a_new_row_behind_a_dead_one_can_be_claimed(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("e1"))], NOBODY)
    [delivery] = await store.claim("hook", after(0), after(30), 9)
    await store.dead([delivery], after(1), "410 gone")
    assert await store.next_due("hook") is None
    await store.commit([told(event("e2"))], NOBODY)
    assert await claimed(store) == ["e2"]


async def test_hasten_ends_waiting_and_no_lease(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit(
        [told(event("a1", "a"), event("a2", "a"), event("b1", "b"), event("c1", "c", ("chat",)))], NOBODY
    )
    waiting, _leased = await store.claim("hook", after(0), after(30), 9)
    [elsewhere] = await store.claim("chat", after(0), after(30), 9)
    await store.failed([waiting], after(9000), "503")
    await store.failed([elsewhere], after(9000), "503")
    await store.hasten("hook", after(5))
    assert await store.next_due("hook") == after(5)
    assert await claimed(store, at=5) == ["a1"]
    assert await store.next_due("chat") == after(9000)


async def test_next_due(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    assert await store.next_due("hook") is None
    await store.commit([told(event("e1"))], NOBODY)
    assert await store.next_due("hook") == datetime(1970, 1, 1, tzinfo=UTC)


async def test_a_deep_claim_takes_along_what_stands_behind(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("a1", "a"), event("b1", "b"), event("a2", "a"))], NOBODY)
    rows = await store.claim("hook", after(0), after(30), 1, deep=True)
    assert [row.event_id for row in rows] == ["a1", "a2"]
    assert await claimed(store) == ["b1"]
    await store.failed([rows[0]], after(5), "503")
    await store.failed([rows[1]], after(5), "503")
    again = await store.claim("hook", after(5), after(35), 1, deep=True)
    assert [(row.event_id, row.attempt) for row in again] == [("a1", 2), ("a2", 2)]
    await store.delivered([again[1]], after(6))
    await store.delivered([again[0]], after(6))
    await store.commit([told(event("a3", "a"))], NOBODY)
    assert await claimed(store, at=6) == ["a3"]


async def test_what_is_owed_and_is_queued_for_another_sink_too(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("e1", "a"), event("e2", "b"))], NOBODY)
    assert [item.event_id for item in await store.owed("hook", T0, (), 9)] == ["e1", "e2"]
    assert [item.event_id for item in await store.owed("hook", after(-1), ("b",), 9)] == ["e2"]
    await store.also("e1", "chat")
    await store.also("e1", "chat")
    assert await claimed(store, "chat") == ["e1"]


async def test_who_was_told_of_the_incident_is_not_told_of_it_instead_of_another(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([Change(incidents=(incident("i1"),), events=(event("e1", "i1", ("other",)),))], NOBODY)
    await store.also("e1", "pager")
    await store.also("e1", "chat")
    assert (await claimed(store, "pager"), await claimed(store, "chat")) == ([], ["e1"])


async def test_a_dead_letter_is_sent_again(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("e1"), event("e2"), event("e3"))], NOBODY)
    [first] = await store.claim("hook", after(0), after(30), 9)
    await store.dead([first], after(1), "410 gone")
    [second] = await store.claim("hook", after(0), after(30), 9)
    assert not await store.send_again("e2", "hook", present=False), "it is none"
    assert await store.send_again("e1", "hook", present=False)
    assert not await store.send_again("e1", "hook", present=False)
    assert await claimed(store) == [], "one of the stream is being sent"
    await store.delivered([second], after(2))
    [again] = await store.claim("hook", after(3), after(33), 9)
    assert (again.event_id, again.attempt, again.body) == ("e1", 1, first.body)
    await store.delivered([again], after(4))
    assert await claimed(store) == ["e3"]
    assert (await store.backlog())["hook"].dead == 0


async def test_a_dead_letter_may_bring_what_it_has_come_to(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.commit([told(event("e1", "i1"))], NOBODY)
    [letter] = await store.claim("hook", after(0), after(30), 9)
    await store.dead([letter], after(1), "410 gone")
    await store.commit([told(event("e2", "i1"))], NOBODY)
    [other] = await store.claim("hook", after(0), after(30), 9)
    await store.delivered([other], after(2))
    assert await store.send_again("e1", "hook", present=True)
    rows = await store.claim("hook", after(3), after(33), 9, deep=True)
    assert [row.event_id for row in rows] == ["e1", "e2"]


async def test_many_are_settled_at_once(disk: Disk, opened: Opener) -> None:
    """What a digest tells: several of a stream among them, and one whose lease is no longer ours."""
    store = await opened(disk)
    await store.commit([told(*(event(f"e{n}", f"s{n % 2}") for n in range(6)))], NOBODY)
    rows = await store.claim("hook", after(0), after(30), 9, deep=True)
    assert len(rows) == 6
    other = rows.pop()
    await store.failed([other], after(5), "503")
    await store.delivered([*rows, other], after(1))
    assert await claimed(store, at=4) == []
    [left] = await store.claim("hook", after(6), after(30), 9, deep=True)
    assert (left.event_id, left.attempt) == (other.event_id, 2)
    await store.dead([left, *rows], after(7), "410 gone")
    assert [letter.delivery.event_id for letter in await store.dead_letters(9)] == [other.event_id]
    assert (await store.backlog())["hook"].waiting == 0
