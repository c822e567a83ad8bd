"""`brownout snooze [NAME] --for 2h`: put an open incident off, until it is told anew."""

from __future__ import annotations

from argparse import Namespace

from monitor.commands._agent import clock
from monitor.commands._common import fail
from monitor.commands._incidents import Incident, act


def execute(options: Namespace) -> int:
    if (options.lasts is None) is (options.until is None):
        return fail("say when it is told anew, by --for 2h or by --until 2026-12-01T22:00:00Z")
    span = {"for": options.lasts, "until": options.until}
    return act(options, "snooze", {key: value for key, value in span.items() if value is not None}, _told)


def _told(incident: Incident) -> str:
    return f"put off until {clock(incident['acknowledged']['until'])}; if it is open then, it is told anew"
