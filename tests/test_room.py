from __future__ import annotations

from monitor.room import Room


def test_the_whole_and_each_host_have_a_limit() -> None:
    room: Room[str] = Room(3, 2)
    assert [room.enter("a", 0, "1"), room.enter("a", 1, "2"), room.enter("a", 2, "3")] == [True, True, False]
    assert room.enter("b", 3, "4")
    assert not room.enter("b", 4, "5")
    assert room.taken == 3


def test_whoever_waits_for_the_host_goes_first_then_whoever_waits_for_the_whole() -> None:
    room: Room[str] = Room(2, 1)
    room.enter("a", 0, "a1")
    room.enter("b", 0, "b1")
    assert not room.enter("c", 0, "c1")
    assert not room.enter("a", 1, "a2")
    assert room.leave("a") == "c1", "the whole was full when both came"
    assert room.leave("b") == "a2"
    assert room.leave("c") is None
    assert room.taken == 1


def test_who_waits_for_a_full_host_does_not_hold_up_another() -> None:
    room: Room[str] = Room(2, 1)
    room.enter("a", 0, "a1")
    room.enter("b", 0, "b1")
    assert not room.enter("a", 1, "a2")
    assert not room.enter("c", 2, "c1")
    assert room.leave("b") == "c1", "a2 came first, but its host is full"
    assert room.leave("a") == "a2"


def test_the_lowest_priority_goes_first_and_the_unwanted_not_at_all() -> None:
    wanted = {"2", "3"}
    room: Room[str] = Room(9, 1, lambda item: item in wanted)
    room.enter("a", 0, "0")
    for priority, item in ((5, "3"), (1, "1"), (3, "2")):
        assert not room.enter("a", priority, item)
    assert room.leave("a") == "2"
    assert room.leave("a") == "3"
    assert room.leave("a") is None
    assert room.taken == 0


def test_the_unwanted_who_wait_for_the_whole_are_passed_over() -> None:
    room: Room[str] = Room(1, 1, lambda item: item != "x")
    room.enter(None, 0, "0")
    assert not room.enter(None, 1, "x")
    assert not room.enter("a", 2, "y")
    assert room.leave(None) == "y"
    assert room.leave("a") is None
