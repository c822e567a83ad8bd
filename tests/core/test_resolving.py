"""Whether the resolver is dead."""

from __future__ import annotations

from monitor.core.resolving import ALONE, Names
from monitor.core.sight import Trouble
from tests.core.builders import moment


def silent(*times: float, answered: bool = True) -> Names:
    names = Names()
    if answered:
        names.answered(moment(0))
    for at in times:
        names.silent(moment(at))
    return names


def test_one_that_never_answered_says_nothing() -> None:
    names = silent(1, 2, 3, answered=False)
    names.missed()
    assert not names.watchful
    assert names.ailment(moment(100).tick) is None


def test_it_is_trouble_once_a_name_was_missed() -> None:
    names = silent(10, 10.5)
    names.missed()
    assert names.watchful
    assert names.ailment(moment(11).tick) is None, "a question may be lost"
    names.silent(moment(11))
    ailment = names.ailment(moment(11).tick)
    assert ailment is not None
    assert (ailment.trouble, ailment.since) == (Trouble.RESOLVER, moment(10))
    names.answered(moment(12))
    assert names.ailment(moment(12).tick) is None
    assert not names.watchful


def test_a_name_that_was_missed_before_says_nothing_of_this_silence() -> None:
    names = silent()
    names.missed()
    for at in (10.0, 11.0, 12.0):
        names.silent(moment(at))
    assert names.ailment(moment(12).tick) is None
    assert names.ailment(moment(10 + ALONE).tick) is not None, "names go by their last addresses by then"
