"""Who wants to be called, and not to be told all that happens meanwhile: `updates:` of a sink."""

from __future__ import annotations

from dataclasses import replace

from monitor.core import drill, handling
from monitor.core.handled import Updates
from monitor.core.model import Impact
from monitor.core.routing import Route
from monitor.core.sight import Ailment, Trouble
from tests.core.builders import check, moment, world
from tests.core.calling import DOWN, MINUTE, SINKS, Called, Rota, home, steps
from tests.core.calmly import Calmly
from tests.core.stories import begun, shop

CALLED = steps((5, "oncall.sms"), (15, "oncall.call"))


def told(here: Calmly, sink: str) -> list[str]:
    """Each event that a sink was told, in a word."""
    events = [event for change in here.changes for event in change.events if sink in event.sinks]
    return [event.body.get("update", {}).get("kind") or event.type.value.partition(".")[2] for event in events]


def whole(updates: dict[str, Updates]) -> Called:
    """From its beginning over two steps, an acknowledgement and a note to its end."""
    here = home(Route(("chat", "mail"), policy=CALLED))
    here.world.plan = replace(here.world.plan, updates=updates)
    here.acknowledge(16 * MINUTE)
    here.keep(handling.note(here.world, here.incident, "rolling back", "ann", moment(17 * MINUTE)))
    here.heal("home", 20 * MINUTE)
    here.done(7200)
    return here


def test_a_sink_is_told_all_unless_it_says_otherwise() -> None:
    assert told(whole({}), "ann.sms") == ["escalated", "acknowledged", "note", "changed", "resolved"]


def test_calls_and_the_end_or_calls_alone() -> None:
    here = whole({"ann.sms": Updates.END, "ann.call": Updates.NONE, "mail": Updates.NONE})
    assert told(here, "ann.sms") == ["escalated", "resolved"]
    assert told(here, "ann.call") == ["escalated"], "a phone does not ring a second time to say that it is over"
    assert told(here, "mail") == ["opened"], "steps that call others are no call for it, either"
    assert told(here, "chat")[-2:] == ["changed", "resolved"], "others are told as ever"


def test_that_it_gets_worse_calls_and_who_took_on_less_is_told() -> None:
    here = Called(shop(routes=(Route(("chat", "phone")),)))
    here.world.plan = replace(here.world.plan, updates={"phone": Updates.NONE})
    begun(here)
    here.kill("search", DOWN - 2)
    here.keep(handling.acknowledge(here.world, here.incident, "ann", moment(30)))
    here.kill("home", 40)
    here.heal("home", 60)
    assert [event["state"]["new"] for event in here.events if "incident" in event][-1] == "degradation"
    assert told(here, "phone") == ["opened", "changed"]
    assert told(here, "chat") == ["opened", "acknowledged", "changed", "changed"]


def test_what_was_put_off_calls_again() -> None:
    here = home(Route(("phone",)))
    here.world.plan = replace(here.world.plan, sinks=SINKS | {"phone"}, updates={"phone": Updates.NONE})
    here.keep(handling.snooze(here.world, here.incident, moment(600).at, "ann", moment(60)))
    here.wait(700)
    assert told(here, "phone")[-1] == "reminder"


def test_a_drill_is_told_likewise() -> None:
    here = Called(shop(routes=(Route(("chat",), policy=CALLED),)))
    here.world.plan = replace(here.world.plan, roster=Rota(), sinks=SINKS, updates={"ann.sms": Updates.NONE})
    begun(here)
    _, change = drill.begin(here.world, "shop", Impact.OUTAGE, 60, moment(10), only=("chat", "ann.sms"))
    here.keep(change)
    here.wait(100)
    assert told(here, "ann.sms") == ["opened", "escalated"]
    assert told(here, "chat") == ["opened", "resolved"]


def test_that_the_agent_sees_again_is_no_call() -> None:
    watched = Calmly(world(check(), routes=(Route(("chat", "phone", "mail")),)))
    watched.world.plan = replace(watched.world.plan, updates={"phone": Updates.NONE, "mail": Updates.END})
    watched.world.sighted([Ailment(Trouble.NETWORK, moment(5), "nobody answered")], moment(7))
    watched.wait(15)
    watched.keep(watched.world.sighted([], moment(60)))
    assert told(watched, "phone") == ["impaired"]
    assert told(watched, "mail") == ["impaired", "recovered"]
