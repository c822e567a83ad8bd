"""Who is on call, what is silenced, and whether actions are stopped: for the head of the live page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from monitor.core.rota import Directory
from monitor.core.wording import iso
from monitor.core.world import World

MOST = 20
"""Silences that are told, those that last longest."""


def on_duty(world: World, at: datetime) -> dict[str, Any]:
    """All that says who hears of trouble now."""
    roster, unix = world.plan.roster, at.timestamp()
    duties = [(name, roster.duty(name, at)) for name in roster.rotas] if isinstance(roster, Directory) else []
    held = sorted((item for item in world.silences.known.values() if item.end > unix), key=lambda item: -item.end)
    stopped = world.actions.stopped
    return {
        "oncall": [
            {"rota": name, "who": list(duty.who), "until": iso(duty.until) if duty.until else None}
            for name, duty in duties
        ],
        "silences": [
            {"when": item.text, "until": iso(datetime.fromtimestamp(item.end, UTC)), "why": item.why or None}
            for item in held[:MOST]
        ],
        "actions_stopped_by": stopped.by if stopped is not None else None,
    }
