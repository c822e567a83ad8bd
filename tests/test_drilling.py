"""What is said of how a drill goes: by the API, and by the command."""

from __future__ import annotations

from typing import Any, cast

import pytest

from monitor.clock import SystemClock
from monitor.commands.drill import Account
from monitor.core import drill, handling
from monitor.core.model import Impact
from monitor.drilling import Course, Drills
from monitor.pipeline import Pipeline
from tests.core.builders import moment
from tests.core.calmly import Calmly
from tests.core.stories import begun, shop


def played(*only: str) -> dict[str, Any]:
    """One that Ann acknowledges."""
    here = Calmly(shop())
    begun(here)
    drills = Drills(cast(Pipeline, None), SystemClock())
    one, opened = drill.begin(here.world, "shop", Impact.OUTAGE, 60, moment(10), "ops", only)
    drills._courses[one.incident.id] = Course(one)  # as `begin` does, which needs a pipeline
    taken_on = handling.acknowledge(here.world, one.incident.id, "ann", moment(15))
    assert taken_on is not None
    for change in (opened, taken_on):
        drills.told(change.events)
    course = drills.course(one.incident.id)
    assert course is not None
    return course


def test_who_has_acknowledged_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    course = played()
    assert course["acknowledged"]["by"] == "ann"
    account = Account(course["opened"])
    account.take(course)
    assert capsys.readouterr().out.splitlines() == [
        "    +0.0 s  opened       for hook",
        "    +5.0 s  acknowledged by ann, for hook",
    ]
    done = {**course, "owed": []}
    assert account.verdict(done) == "Every sink was reached. ann has acknowledged it: no further step was taken."
    assert account.verdict({**done, "acknowledged": None}) == "Every sink was reached."


def test_why_nobody_is_told_something(capsys: pytest.CaptureFixture[str]) -> None:
    course = played("hook")
    course["told"] = [{**told, "sinks": []} for told in course["told"]]
    Account(course["opened"]).take(course)
    assert "for nobody: this drill is for hook only" in capsys.readouterr().out
    Account(course["opened"]).take({**course, "only": []})
    assert "opened       for nobody: no route takes it" in capsys.readouterr().out
