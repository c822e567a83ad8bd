"""What is due when."""

from __future__ import annotations

from monitor.core.agenda import AT_ONCE, Agenda


def test_items_are_taken_in_order_of_time_and_once() -> None:
    agenda = Agenda()
    assert agenda.next is None
    agenda.enter("wait", "b", 20.0)
    agenda.enter("wait", "a", 10.0)
    agenda.enter("digest", "a", 10.0)
    assert agenda.next == 10.0
    assert agenda.take(9.9) == []
    assert agenda.take(10.0) == [("digest", "a"), ("wait", "a")]
    assert agenda.take(99.0) == [("wait", "b")]
    assert agenda.next is None


def test_an_item_that_is_put_off_or_called_off_is_not_due() -> None:
    agenda = Agenda()
    agenda.enter("wait", "a", 10.0)
    agenda.enter("wait", "a", 30.0)
    agenda.enter("wait", "a", 30.0)
    agenda.enter("wait", "b", 5.0)
    agenda.drop("wait", "b")
    agenda.drop("wait", "never entered")
    assert agenda.next == 30.0
    assert agenda.take(29.0) == []
    agenda.enter("wait", "a", 12.0)
    assert agenda.take(40.0) == [("wait", "a")]


def test_many_are_taken_a_part_at_a_time() -> None:
    agenda = Agenda()
    for number in range(AT_ONCE + 2):
        agenda.enter("wait", f"{number:03}", 10.0)
    assert len(agenda.take(10.0)) == AT_ONCE
    assert agenda.next == 10.0
    assert agenda.take(10.0) == [("wait", f"{AT_ONCE:03}"), ("wait", f"{AT_ONCE + 1:03}")]
    assert agenda.take(10.0) == []


def test_what_is_hastened_is_never_put_off() -> None:
    agenda = Agenda()
    agenda.hasten("wait", "a", 30.0)
    agenda.hasten("wait", "a", 40.0)
    assert agenda.next == 30.0
    agenda.hasten("wait", "a", 20.0)
    assert agenda.next == 20.0
