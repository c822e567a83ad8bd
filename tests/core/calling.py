"""Stories of incidents that nobody acknowledges, and a rota for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from monitor.core import handling
from monitor.core.escalation import PREFIX
from monitor.core.routing import Policy, Route, Step
from monitor.core.succession import succeed
from probes.contract import Reason
from tests.core.builders import check, moment, world
from tests.core.calmly import Calmly
from tests.core.stories import begun

MINUTE = 60.0
DOWN = 12.0
"""When the check is down: two seconds after its first failing look."""


@dataclass(frozen=True)
class Rota:
    """Ann is on call for the first hour, then Bob; nobody is for what is called `void`."""

    def sinks(self, target: str, now: datetime) -> tuple[str, ...]:
        who = "ann" if now < moment(3600).at else "bob"
        if target == "void":
            return ()
        if target == "everyone":
            return ("chat", "ann.sms", "bob.sms")
        return (target.replace("oncall", who),)


SINKS = frozenset(("chat", "hook", "mail", "ann.sms", "bob.sms", "ann.call", "bob.call"))


def steps(*pairs: tuple[float, str], remind: float | None = None) -> Policy:
    """Minutes, and who is told then."""
    wait = None if remind is None else timedelta(minutes=remind)
    return Policy(tuple(Step(timedelta(minutes=after), (to,)) for after, to in pairs), wait)


PAGE = steps((5, "oncall.sms"), (15, "oncall.call"), (30, "everyone"))


class Called(Calmly):
    @property
    def calls(self) -> list[tuple[float, str, tuple[str, ...]]]:
        """Of each escalation and reminder: how many minutes after the check was down, and who was told."""
        start = moment(DOWN).at
        events = [event for change in self.changes for event in change.events]
        updates = [(event, event.body.get("update", {}).get("kind")) for event in events]
        return [
            (round((event.at - start).total_seconds() / 60, 1), kind, tuple(sorted(event.sinks)))
            for event, kind in updates
            if kind in ("escalated", "reminder")
        ]

    @property
    def texts(self) -> list[str]:
        return [event["update"]["text"] for event in self.events if "update" in event and event["update"]["text"]]

    @property
    def incident(self) -> str:
        return next(event["incident"]["id"] for event in reversed(self.events) if "incident" in event)

    @property
    def notes(self) -> dict[str, Any]:
        return {name: value for name, value in self.journal.notes.items() if name.startswith(PREFIX)}

    def acknowledge(self, at: float) -> None:
        self.wait(at)
        self.keep(handling.acknowledge(self.world, self.incident, "ann", moment(at)))

    def still_down(self, at: float) -> None:
        self.see(at, fails=Reason.REFUSED)

    def succeed(self, at: float, *routes: Route) -> None:
        self.wait(at)
        self.world, change = succeed(self.world, replace(self.world.plan, routes=routes), moment(at))
        self.keep(change)


def home(*routes: Route) -> Called:
    """One that is down."""
    here = Called(world(check(), routes=routes))
    here.world.plan = replace(here.world.plan, roster=Rota(), sinks=SINKS)
    begun(here, ["home"])
    here.kill("home", DOWN - 2)
    return here
