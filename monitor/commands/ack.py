"""`brownout ack [NAME]`: take an open incident on, so that nobody else is called for it."""

from __future__ import annotations

from argparse import Namespace

from monitor.commands._agent import clock
from monitor.commands._incidents import Incident, act


def execute(options: Namespace) -> int:
    return act(options, "acknowledge", {}, _told)


def _told(incident: Incident) -> str:
    given = incident["acknowledged"]
    return f"{given['by']} has it, since {clock(given['at'])}; nobody else is called, until it ends or gets worse"
