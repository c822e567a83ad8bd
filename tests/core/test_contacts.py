from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core.contacts import ADDRESSES, SHARED_FOR, Contacts
from monitor.core.model import Look
from probes.contract import Reason
from tests.core.builders import look


def tried(at: float, check: str, fails: Reason | None = Reason.CONNECT_TIMEOUT, address: str | None = "a:1") -> Look:
    made = look(at, check=check, fails=fails, took=2, response_time=2)
    evidence = {"server": "nginx"} | ({} if address is None else {"address": address})
    return replace(made, observation=replace(made.observation, detail="a:1: ETIMEDOUT", evidence=evidence))


def anybody(check: str) -> bool:
    return True


def closed(*checks: str) -> Contacts:
    """An address where these have tried in vain for some time."""
    contacts = Contacts()
    for number in range(10):
        assert contacts.see(tried(number / 2, checks[number % len(checks)]), anybody) == []
    return contacts


def told(looks: list[Look]) -> list[tuple[str, float, str]]:
    return [(item.check, item.began.tick - 1000, item.observation.evidence["seen_by"]) for item in looks]


def test_once_nobody_has_got_through_for_some_time_all_are_told_of_what_the_others_saw() -> None:
    contacts = closed("one")
    found = told(contacts.see(tried(5, "two"), anybody))
    assert found == [("one", 5, "two"), *(("two", number / 2, "one") for number in range(10))]
    assert told(contacts.see(tried(6, "two"), anybody)) == [("one", 6, "two")]
    assert told(contacts.see(tried(7, "three"), lambda check: check == "three"))[-1] == ("three", 6, "two")


def test_one_check_alone_is_told_nothing() -> None:
    assert closed("one").see(tried(60, "one"), anybody) == []


def test_what_is_told_is_an_extra_look_with_nothing_of_the_other_check() -> None:
    item = closed("one").see(tried(5, "two"), anybody)[-1]
    assert not item.scheduled
    assert item.observation.reason is Reason.CONNECT_TIMEOUT
    assert item.observation.measurements == {}
    assert item.observation.evidence == {"address": "a:1", "seen_by": "one"}


@pytest.mark.parametrize("result", [None, Reason.STATUS, Reason.FIRST_BYTE_TIMEOUT, Reason.TLS_NAME])
def test_as_soon_as_anybody_gets_through_nothing_is_shared(result: Reason | None) -> None:
    contacts = closed("one", "two")
    assert contacts.see(tried(5, "three", result), anybody) == []
    assert contacts.see(tried(6, "two"), anybody) == []


def test_a_look_that_had_a_choice_of_addresses_says_nothing_of_one_of_them() -> None:
    contacts = closed("one")
    made = tried(5, "two")
    told = {**made.observation.evidence, "tried": "a:1: no answer in 0.75 s, b:1: ECONNREFUSED"}
    assert contacts.see(replace(made, observation=replace(made.observation, evidence=told)), anybody) == []
    assert contacts.see(tried(6, "two"), anybody), "one that had none does"


def test_looks_that_tell_nothing_of_the_address_change_nothing() -> None:
    contacts = Contacts()
    assert contacts.see(tried(0, "one", None), anybody) == []
    contacts = closed("one", "two")
    for result, address in ((Reason.NO_ROUTE, "a:1"), (Reason.REFUSED, None), (None, "b:1")):
        assert contacts.see(tried(5, "two", result, address), anybody) == []
    assert contacts.see(tried(6, "two"), anybody)


def test_what_is_told_to_newcomers_is_recent_and_bounded() -> None:
    contacts = Contacts()
    for second in range(1000):
        contacts.see(tried(second, "one"), anybody)
    assert len(contacts.see(tried(1000, "two"), lambda check: check == "two")) == SHARED_FOR - 1
    assert contacts.see(tried(5000, "three"), lambda check: check == "three") == []


def test_an_address_is_dead_when_several_have_long_tried_in_vain() -> None:
    contacts = closed("one")
    contacts.see(tried(5, "one"), anybody)
    assert not contacts.dead(tried(0, "two")), "one check alone has its full time"
    contacts.see(tried(6, "two"), anybody)
    assert contacts.dead(tried(0, "two"))
    assert not contacts.dead(tried(0, "two", address="b:1"))
    assert not contacts.dead(tried(0, "two", address=None))
    assert not contacts.dead(None)
    assert not closed("one", "two").dead(tried(0, "two"))


def test_a_name_that_leads_to_another_dead_address_each_time_fills_no_memory() -> None:
    contacts = Contacts()
    for number in range(3 * ADDRESSES):
        contacts.see(tried(number, "one", address=f"{number}:1"), anybody)
        if number % 1000 == 0:
            contacts.see(tried(number, "two", address="a:1"), anybody)
    assert len(contacts._closed) == ADDRESSES
    assert "a:1" in contacts._closed, "the one that is still tried stays"
    for number in range(200):
        contacts.see(tried(9000 + 10 * number, "two", address="a:1"), anybody)
    assert len(contacts._closed["a:1"].looks) <= SHARED_FOR / 10 + 1, "nobody is told of older ones"
