"""Escalation over restarts and reloads, and while it is not known that it is still so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core.escalation import PREFIX, key_of
from monitor.core.hours import Hours
from monitor.core.model import Journal, Moment
from monitor.core.routing import Route
from probes.contract import Reason
from tests.core.builders import check, moment, world
from tests.core.calling import MINUTE, PAGE, SINKS, Called, Rota, home
from tests.core.calmly import once
from tests.core.stories import begun
from tests.core.succeeded import sound


@pytest.mark.parametrize("downtime", [(100, 110), (290, 295), (100, 320), (312, 330)])
def test_timers_go_on_over_a_restart(downtime: tuple[float, float]) -> None:
    here = home(Route(("chat",), policy=PAGE))
    here.wait(downtime[0])
    here.restart(downtime[1])
    here.still_down(downtime[1] + 2)
    here.wait(3600)
    assert [round(call[0]) for call in here.calls] == [5, 15, 30] or downtime == (100, 320)
    assert [call[2][0] for call in here.calls] == ["ann.sms", "ann.call", "ann.sms"]
    sound(here)


def test_nobody_is_called_after_a_start_until_it_is_seen_that_it_is_still_so() -> None:
    here = home(Route(("chat",), policy=PAGE))
    here.restart(1200)
    here.wait(1290)
    assert here.calls == []
    here.still_down(1291)
    here.wait(1300)
    assert [call[1:] for call in here.calls] == [("escalated", ("ann.sms", "chat"))], "one, and not two at once"
    here.wait(1291 + 9 * MINUTE)
    assert len(here.calls) == 1
    here.wait(1291 + 11 * MINUTE)
    assert here.calls[1][2] == ("ann.call", "chat"), "what was late puts off what is behind it"
    healed = home(Route(("chat",), policy=PAGE))
    healed.restart(1200)
    healed.heal("home", 1210)
    healed.wait(3600)
    assert healed.calls == []
    sound(healed)


def test_nobody_is_called_while_the_agent_is_blind() -> None:
    here = home(Route(("chat",), policy=PAGE))
    for at in range(60, 900, 30):
        here.see(at, fails=Reason.NO_DESCRIPTORS)
    assert here.world.judges["home"].state == "unknown"
    assert here.calls == []
    here.kill("home", 900)
    here.wait(910)
    assert [call[1] for call in here.calls] == ["escalated"]


def test_nobody_is_called_while_all_that_is_bad_is_in_maintenance() -> None:
    here = home(Route(("chat",), policy=PAGE))
    here.maintain(once(60, 1200, "home"), 60)
    here.wait(1190)
    assert here.calls == []
    here.wait(1210)
    assert [call[1] for call in here.calls] == ["escalated"]
    here.done(9000)


def test_other_routes_come_into_force_while_it_is_open() -> None:
    here = home(Route(("chat",)))
    here.succeed(20 * MINUTE, Route(("chat",), policy=PAGE))
    here.wait(24 * MINUTE)
    assert here.calls == [], "it begins with them"
    here.wait(26 * MINUTE)
    assert [call[2] for call in here.calls] == [("ann.sms", "chat")]
    here.succeed(27 * MINUTE, Route(("chat", "hook"), policy=PAGE))
    here.wait(36 * MINUTE)
    assert here.calls[1][2] == ("ann.call", "chat", "hook"), "and goes on where it was"
    here.succeed(37 * MINUTE, Route(("chat",)))
    here.wait(2 * 3600)
    assert len(here.calls) == 2
    assert here.notes == {}
    sound(here)


def test_a_sink_that_is_gone_is_not_called() -> None:
    here = home(Route(("chat",), policy=PAGE))
    here.world.plan = replace(here.world.plan, sinks=frozenset(("chat",)))
    here.wait(6 * MINUTE)
    assert here.calls == [(5.0, "escalated", ("chat",))]


def test_one_that_is_merged_is_called_for_no_more() -> None:
    here = Called(
        world(
            check("db"), check("a", depends_on=("db",)), check("b", depends_on=("db",)),
            routes=(Route(("chat",), policy=PAGE),),
        )
    )  # fmt: skip
    here.world.plan = replace(here.world.plan, roster=Rota(), sinks=SINKS)
    begun(here, ["db", "a", "b"])
    for name, at in (("a", 10), ("b", 40)):
        here.kill(name, at)
        here.see(at + 5, "db")
        here.wait(at + 20)
    assert len(here.notes) == 2
    here.kill("db", 80)
    assert len(here.notes) == 1
    here.wait(6 * MINUTE)
    assert len(here.calls) == 1


def test_what_cannot_be_read_is_begun_anew_and_what_has_ended_is_forgotten() -> None:
    here = home(Route(("chat",), policy=PAGE))
    here.wait(4 * MINUTE)
    [name] = here.notes
    for wrong in ({"x": None}, [1], {"x": {"began": "a"}}):
        journal = replace(here.journal, notes={name: wrong})
        again = Called(world(check(), routes=(Route(("chat",), policy=PAGE),), journal=journal, at=270))
        again.keep(again.world.start(moment(270)))
        again.still_down(271)
        again.wait(500)
        assert again.calls == []
        again.wait(600)
        assert [call[1] for call in again.calls] == ["escalated"]
    gone = Called(world(check(), journal=Journal("origin", 2, notes=dict(here.journal.notes)), at=40))
    gone.keep(gone.world.start(moment(40)))
    assert [(note.name, note.value) for change in gone.changes for note in change.notes] == [(name, None)]


def test_a_clock_that_was_set_back_over_a_restart_does_not_put_it_off() -> None:
    here = home(Route(("chat",), policy=PAGE))
    here.wait(2 * MINUTE)
    back = Moment(moment(-7200).at, moment(125).tick)
    again = Called(world(check(), routes=here.world.plan.routes, journal=here.journal))
    again.world = type(again.world)(here.world.plan, here.journal, back)
    run = again.world.escalation.run(here.incident, PAGE)
    assert run is not None
    assert run.began == back.tick


def test_everything_tells_of_it() -> None:
    here = home(Route(("chat",), policy=PAGE))
    kept = [note for note in here.world.everything(moment(40)).notes if note.name.startswith(PREFIX)]
    assert {note.name: note.value for note in kept} == here.notes
    assert list(kept[0].value) == [key_of(PAGE)]


def test_hours_of_a_route_that_end_and_come_again() -> None:
    """12:00 to 12:20 by the clock, each day."""
    here = home(Route(("chat",)), Route(("chat",), policy=PAGE, during=Hours(12 * 60, 12 * 60 + 20, "UTC")))
    here.wait(86400 - 60)
    assert [call[1:] for call in here.calls] == [
        ("escalated", ("ann.sms", "chat")), ("escalated", ("ann.call", "chat")),
    ]  # fmt: skip
    assert here.notes == {}, "it is over with the hours"
    here.wait(86400 + 20 * MINUTE)
    assert [call[2][0] for call in here.calls[2:]] == ["bob.sms", "bob.call"], "and begins anew with them"
    sound(here)
