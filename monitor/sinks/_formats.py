"""What a webhook is sent for an event, by the format that its receiver wants."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from monitor.sinks import _alert
from monitor.sinks._paging import CLASSES
from monitor.sinks._told import Class, Told
from monitor.store.contract import Delivery


class Format(StrEnum):
    EVENT = "event"
    CLOUDEVENTS = "cloudevents"
    ALERTMANAGER = "alertmanager"


_TYPES: Final = {
    Format.EVENT: "application/json",
    Format.CLOUDEVENTS: "application/cloudevents+json; charset=utf-8",
    Format.ALERTMANAGER: "application/json",
}


@dataclass(frozen=True, slots=True)
class Request:
    """`id` is the same on every attempt."""

    id: str
    content_type: str
    body: bytes


def event(delivery: Delivery) -> Request:
    """As it is in the journal, byte for byte."""
    return Request(delivery.event_id, _TYPES[Format.EVENT], delivery.body)


def cloudevent(told: Told, delivery: Delivery) -> Request:
    """CloudEvents 1.0, structured: the event is `data`. Whoever takes CloudEvents drops what has the same `source`
    and `id` as another."""
    envelope = {
        "specversion": "1.0",
        "id": delivery.event_id,
        "source": f"urn:brownout:{quote(str(told.body.get('vantage') or 'agent'), safe='')}",
        "type": f"brownout.{told.type}",
        "subject": told.key.removeprefix("brownout:"),
        "time": told.at,
        "datacontenttype": "application/json",
        "data": told.body,
    }
    return Request(delivery.event_id, _TYPES[Format.CLOUDEVENTS], _encoded(envelope))


def alerts(told: Told, delivery: Delivery, memory: MutableMapping[str, Any], now: datetime) -> Request | None:
    """Alertmanager's webhook, version 4; none where the event neither opens nor ends an alert. The memory is that of
    the stream, and is changed: keep it once all was accepted."""
    changed = _alert.changed(told, memory, delivery.event_id, {}, now)
    if told.cls is Class.RECOVERED and not changed:
        # Nothing is remembered: its end is told all the same, by what it would have been.
        changed = {
            cls.value: _alert.ended(
                {
                    "labels": _alert.labels(told, cls, {}),
                    "annotations": _alert.notes(told, now),
                    "startsAt": told.since,
                },
                now,
            )
            for cls in CLASSES
        }
    if not changed:
        return None
    memory.update(changed)
    for name in [name for name in memory if name not in _alert.firing(memory)]:
        del memory[name]
    return Request(delivery.event_id, _TYPES[Format.ALERTMANAGER], _encoded(_alert.webhook(told, changed)))


def _encoded(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode(errors="replace")  # half a character is none
