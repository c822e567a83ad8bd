"""A kill between a decision and its entry in the journal: nothing is told twice, and nothing is owed for ever."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.builders import look
from tests.core.calmly import Calmly, once
from tests.core.succeeded import ROUTES, sound
from tests.core.test_world import begun, shop

NAMES = ("home", "checkout", "search")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["kill", "heal", "flap", "maintain", "end", "wait", "crash", "crash"]),
        st.sampled_from(NAMES),
        st.sampled_from([1.0, 20.0, 301.0, 2000.0, 9000.0]),
        st.integers(0, 3),
    ),
    max_size=14,
)


@settings(max_examples=15)
@given(STEPS)
def test_what_the_journal_has_not_got_yet_was_told_to_nobody(steps: Any) -> None:
    here, at = begun_anew(), 30.0
    first = len(here.changes)
    for kind, name, gap, number in steps:
        at += gap
        here.wait(at)
        match kind:
            case "kill":
                here.kill(name, at)
            case "heal":
                here.heal(name, at)
            case "flap":
                for bout in range(number):
                    here.kill(name, at + 30 * bout)
                    here.heal(name, at + 30 * bout + 10)
                at += 30 * number
            case "maintain":
                here.maintain(once(at, at + 400 * (number + 1), name, name=f"w{number}"), at)
            case "end":
                here.end(at, f"w{number}")
            case "crash":
                del here.changes[max(len(here.changes) - number, first) :]
                here.restart(at)
        at = max(at, here.now)
    for name in NAMES:
        at += 20
        here.heal(name, at)
    here.wait(at + 100_000)
    sound(here)
    world = here.world
    assert not world.calm.held
    assert not world.calm.covered
    assert all(status.incident is None and status.state == "operational" for status in world.services.values())
    told: dict[str, str] = {}
    for event in here.events:
        if event["type"] == "check.changed":
            name, state = event["check"]["id"], event["state"]
            assert told.get(name, "up") == state["old"], "each change begins where people were left"
            told[name] = state["new"]
    assert set(told.values()) <= {"up"}


def begun_anew() -> Calmly:
    here = Calmly(shop(routes=ROUTES))
    begun(here)
    for name in NAMES:  # known to be well, with their memory in the journal
        here.feed(look(15, check=name))
    return here
