"""`brownout note TEXT`: tell all who were told of an open incident something about it."""

from __future__ import annotations

from argparse import Namespace

from monitor.commands._incidents import Incident, act


def execute(options: Namespace) -> int:
    return act(options, "notes", {"text": " ".join(options.text)}, _told)


def _told(incident: Incident) -> str:
    note = incident["notes"][-1]
    return f"noted, by {note['by']}: {note['text']}"
