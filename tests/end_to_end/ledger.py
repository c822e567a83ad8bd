"""What a receiver's ledger and the agent's journal must agree on, whatever befell the agent in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from monitor.core.identity import event_id
from tests.end_to_end.rig import Receiver, Webhook, until


def check_ledger(receiver: Receiver, *, ended: bool = True) -> None:
    """Every webhook verified; each stream in order and without a gap; no transition told under two ids; and each
    incident that was opened was resolved, if all trouble has `ended`."""
    assert receiver.forged == []
    _check_order(receiver.webhooks)
    streams: dict[str, list[dict[str, Any]]] = {}
    for webhook in receiver.told:
        streams.setdefault(webhook.stream, []).append(webhook.event)
    for stream, events in streams.items():
        _check_chain(stream, events)
        if stream.startswith("inc_"):
            _check_incident(stream, [event["type"] for event in events], ended=ended)


def _check_order(webhooks: Iterable[Webhook]) -> None:
    """Within a stream each event is first told before the next one is; a repetition is that of the latest."""
    streams: dict[str, list[str]] = {}
    for webhook in webhooks:
        streams.setdefault(webhook.stream, []).append(webhook.id)
    for stream, ids in streams.items():
        assert sorted(ids, key=list(dict.fromkeys(ids)).index) == ids, f"{stream} was told out of order"


def _check_chain(stream: str, events: list[dict[str, Any]]) -> None:
    """Each change begins where the one before it ended: none is missing, and none is there twice under two ids."""
    states = [(event["state"]["old"], event["state"]["new"]) for event in events]
    for (_, reached), (left, _) in pairwise(states):
        assert reached == left, f"{stream} has a gap or a double: {states}"


def _check_incident(stream: str, types: list[str], *, ended: bool) -> None:
    assert types[0] == "incident.opened", f"{stream} began with {types[0]}"
    assert types.count("incident.opened") == 1, f"{stream} was opened twice"
    assert "incident.resolved" not in types[:-1], f"{stream} went on after its end"
    if ended:
        assert types[-1] == "incident.resolved", f"{stream} was never closed"


def check_journal(state_dir: Path, told: Iterable[str], *, unrouted: str = "service.changed") -> None:
    """The journal's events are those that were told, each with the id that it must have; nothing is owed or open.

    `unrouted` is the type of event that the routes of a stage send nowhere.
    """
    events = rows(state_dir, "SELECT id, type FROM events ORDER BY number")
    journalled = [name for name, kind in events if kind != unrouted]
    assert sorted(told) == sorted(journalled), "what was told is not what is in the journal"
    check_ids(state_dir)
    assert rows(state_dir, "SELECT id FROM incidents WHERE resolved IS NULL") == []
    assert rows(state_dir, "SELECT * FROM outbox") == []


def check_ids(state_dir: Path) -> None:
    """The events in the journal are those of its transitions and incidents, each with the id that it must have."""
    [(origin,)] = rows(state_dir, "SELECT value FROM meta WHERE key = 'origin'")
    expected = []
    own = check_own(state_dir, origin)
    query = "SELECT kind, subject, seq, old, new FROM transitions WHERE kind IN ('check', 'service')"
    for kind, subject, seq, old, new in rows(state_dir, query):
        if (old, seq) == ("unknown", 1) and new in ("up", "operational"):
            continue  # the first good news is no news
        key = (subject, "test", seq) if kind == "check" else (subject, seq)
        expected.append(event_id(origin, f"{kind}.changed", *key))
    for name, updates in rows(state_dir, "SELECT id, updates FROM incidents"):
        expected.append(event_id(origin, "incident.opened", name, 0, "incident.opened"))
        expected += [
            event_id(origin, "incident.updated", name, number, "incident.updated") for number in range(1, updates + 1)
        ]
        expected.append(event_id(origin, "incident.resolved", name, updates, "incident.resolved"))
    journalled = [name for (name,) in rows(state_dir, "SELECT id FROM events")]
    assert sorted(journalled) == sorted(expected + own)


def check_own(state_dir: Path, origin: str) -> list[str]:
    """The ids of what was told of the agent itself: trouble and its end in turns, each of a transition of its own."""
    seqs = [seq for (seq,) in rows(state_dir, "SELECT seq FROM transitions WHERE kind = 'vantage'")]
    told = rows(state_dir, "SELECT id, type FROM events WHERE type LIKE 'agent.%' ORDER BY number")
    for place, (name, kind) in enumerate(told):
        assert kind == ("agent.recovered" if place % 2 else "agent.impaired")
        assert name in {event_id(origin, kind, "vantage", "test", seq) for seq in seqs}
    return [name for name, _ in told]


async def all_sent(state_dir: Path) -> None:
    """Wait until the journal owes nothing to anybody."""
    await until(lambda: is_all_sent(state_dir), "the last webhooks")


def is_all_sent(state_dir: Path, besides: str = "") -> bool:
    """Whether nothing waits, but for the sink `besides`."""
    return {sink for [sink] in rows(state_dir, "SELECT DISTINCT sink FROM outbox WHERE state <> 'dead'")} <= {besides}


def rows(state_dir: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(state_dir / "brownout.db") as db:
        found = db.execute(query).fetchall()
    db.close()
    return found
