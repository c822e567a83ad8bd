"""Where the looks of a run of failures went, as it is told of them."""

from __future__ import annotations

from dataclasses import replace

from monitor.core.judge import Judge
from monitor.core.model import Look
from probes.contract import Observation, Reason
from tests.core.builders import Watch, check, look, moment
from tests.core.succeeded import single


def seen(at: float, address: str, fails: Reason | None = Reason.CONNECT_TIMEOUT, **fields: str) -> Look:
    evidence = {"address": address, **fields} if address else fields
    return replace(look(at, fails=fails), observation=Observation(reason=fails, evidence=evidence))


def test_the_addresses_of_a_run_are_told_once_each() -> None:
    judge = Watch().judge
    assert judge.facts == {}
    for at, address in enumerate(("a:1", "b:1", "a:1", "")):
        judge.observe(seen(at, address, server="nginx"))
    assert judge.facts == {"addresses": "a:1, b:1", "server": "nginx"}
    judge.observe(seen(5, "b:1", None))
    assert judge.facts == {"address": "b:1"}
    judge.observe(seen(6, "c:1"))
    assert judge.facts == {"address": "c:1"}, "the run before is over"


def test_they_are_bounded() -> None:
    judge = Watch().judge
    for number in range(100):
        judge.observe(seen(number, f"192.0.2.{number}:443"))
    assert judge.facts["addresses"].count(", ") == 7


def test_an_event_has_them() -> None:
    story = single()
    for at in (30, 31, 33):
        story.feed(seen(at, f"192.0.2.{at}:443"))
    (opened,) = [event for event in story.events if event["type"] == "incident.opened"]
    told = opened["evidence"]["facts"]
    assert told["addresses"] == "192.0.2.30:443, 192.0.2.31:443, 192.0.2.33:443"
    (transition,) = [item for change in story.changes for item in change.transitions if item.new == "down"]
    assert transition.evidence["addresses"] == told["addresses"]


def test_after_a_restart_it_goes_on_without_them() -> None:
    judge = Watch().judge
    for at in range(2):
        judge.observe(seen(at, f"192.0.2.{at}:443"))
    again = Judge(check("home"), judge.record(moment(2)), moment(2))
    assert again.facts == {}
    again.observe(seen(3, "192.0.2.3:443"))
    assert again.facts == {"address": "192.0.2.3:443"}
