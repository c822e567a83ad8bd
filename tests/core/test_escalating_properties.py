"""Whatever happens in whatever order: while somebody has it nobody is called, and what ends leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core import handling
from monitor.core.escalation import PREFIX as ESCALATED
from monitor.core.handled import PREFIX as HANDLED
from monitor.core.routing import Route, Term
from probes.contract import Reason
from tests.core.builders import moment
from tests.core.calling import PAGE, SINKS, Called, Rota, steps
from tests.core.calmly import once
from tests.core.stories import begun, shop
from tests.core.succeeded import sound

ROUTES = (
    Route(("hook",)),
    Route(("chat",), Term("impact", "outage"), replace(PAGE, remind=None)),
    Route(("mail",), Term("impact", "degradation"), steps((10, "bob.sms"), remind=30)),
)
DEEDS = (
    *("kill home", "kill search", "heal home", "heal search", "ack", "snooze", "note"),
    *("restart", "reload", "blind", "maintain", "wait"),
)


def done(here: Called, deed: str, at: float) -> None:
    verb, _, name = deed.partition(" ")
    now, cases = moment(at), list(here.world.cases)
    if verb == "kill":
        here.kill(name, at)
    elif verb == "heal":
        here.heal(name, at)
    elif verb == "restart":
        here.restart(at)
    elif verb == "reload":
        here.succeed(at, *(ROUTES if here.world.plan.routes != ROUTES else ROUTES[:2]))
    elif verb == "blind":
        for check in ("home", "search"):
            here.see(at, check, Reason.NO_DESCRIPTORS)
    elif verb == "maintain":
        here.maintain(once(at, at + 900, "home"), at)
    for incident in cases if verb in ("ack", "snooze", "note") else ():
        here.keep(
            handling.acknowledge(here.world, incident, "ann", now) if verb == "ack"
            else handling.snooze(here.world, incident, moment(at + 1200).at, "ann", now) if verb == "snooze"
            else handling.note(here.world, incident, "hm", "ann", now)
        )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(20, 2000)), max_size=14))
def test_whatever_happens(deeds: list[tuple[str, int]]) -> None:
    here = Called(shop(routes=ROUTES))
    here.world.plan = replace(here.world.plan, roster=Rota(), sinks=SINKS)
    begun(here)
    at = 10.0
    for deed, pause in deeds:
        here.wait(at)
        done(here, deed, at)
        at += pause
    here.wait(at)
    holders: dict[str, bool] = {}
    for event in here.events:
        if not event["type"].startswith("incident."):
            continue
        kind, incident = event.get("update", {}).get("kind"), event["incident"]
        if kind in ("escalated", "reminder"):
            assert incident["acknowledged"] is None, "somebody has it"
        if event["type"] == "incident.resolved":
            holders.pop(incident["id"], None)
        else:
            holders[incident["id"]] = incident["acknowledged"] is not None
    for incident, has in holders.items():
        assert (here.world.handling.acknowledgement(incident) is not None) is has
    for name in ("home", "checkout", "search"):
        here.heal(name, at + 2000)
    here.wait(at + 20_000)
    if not here.world.cases:
        assert not [name for name in here.journal.notes if name.startswith((HANDLED, ESCALATED))]
    sound(here)
