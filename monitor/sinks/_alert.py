"""An event as Prometheus's world knows alerts: labels that identify it, annotations that people read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from monitor.core.wording import cut
from monitor.sinks._message import compose, plain
from monitor.sinks._paging import SEVERITIES, Act, Step, line, steps
from monitor.sinks._told import Class, Told

Alert = dict[str, Any]
"""``labels``, ``annotations``, ``startsAt``, perhaps ``generatorURL``; ``endsAt`` once it has ended. A sink keeps
them in the memory of the stream, by class."""

_NAMES: Final = {Class.OUTAGE: "BrownoutOutage", Class.DEGRADED: "BrownoutDegradation"}
_VALUE_LIMIT: Final = 200
_SUMMARY_LIMIT: Final = 500
_DESCRIPTION_LIMIT: Final = 4000
_LABELS_LIMIT: Final = 30


def changed(
    told: Told, memory: Mapping[str, Any], event_id: str, more: Mapping[str, str], now: datetime
) -> dict[str, Alert]:
    """The alerts that begin, are told anew or end with this event, by class."""
    found: dict[str, Alert] = {}
    for step in steps(told, firing(memory), event_id, holds=False):
        if step.act is Act.OPEN:
            found[step.cls.value] = _opened(step, told, memory, more, now)
        elif step.act is Act.CLOSE and step.cls in firing(memory):
            alert = ended(memory[step.cls], now)
            over = told.cls is Class.RECOVERED
            found[step.cls.value] = alert | {"annotations": notes(told, now)} if over else alert
    return found


def _opened(step: Step, told: Told, memory: Mapping[str, Any], more: Mapping[str, str], now: datetime) -> Alert:
    """Its labels stay what they were when it was opened, whatever joins the incident: they are its identity."""
    known = firing(memory).get(step.cls, {})
    alert = {
        "labels": known.get("labels") or labels(told, step.cls, more),
        "annotations": notes(told, now),
        "startsAt": known.get("startsAt") or (told.at if memory else told.since),
    }
    url = page(told, now)
    return alert | ({"generatorURL": url} if url else {})


def ended(alert: Mapping[str, Any], now: datetime) -> Alert:
    return {**alert, "endsAt": stamp(now)}


def firing(memory: Mapping[str, Any]) -> dict[str, Any]:
    return {name: alert for name, alert in memory.items() if "endsAt" not in alert}


def stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def labels(told: Told, cls: Class, more: Mapping[str, str]) -> dict[str, str]:
    """What identifies an alert, and what Alertmanager routes by. The severity is among them, so that an outage is
    another alert than the degradation it has grown from, and is told. `more`: written by the user; before those come
    the labels of check and service. Names are of the kind that every Alertmanager takes."""
    service, check = told.part("service"), told.part("check")
    written = {**_texts(check.get("labels")), **_texts(service.get("labels")), **more}
    ours = {
        "alertname": _NAMES[cls],
        "severity": SEVERITIES[cls],
        "incident": told.key.removeprefix("brownout:"),
        "service": service.get("id"),
        "owner": service.get("owner") or check.get("owner"),
        "vantage": told.body.get("vantage"),
        "drill": "true" if told.drill else None,
        "test": "true" if told.test else None,
    }
    found = {_name(name): line(value, _VALUE_LIMIT) for name, value in list(written.items())[:_LABELS_LIMIT]}
    found |= {name: line(value, _VALUE_LIMIT) for name, value in ours.items() if value}
    return {name: value for name, value in found.items() if value}


def notes(told: Told, now: datetime) -> dict[str, str]:
    """The annotations: what people read. The description is plain text of several lines."""
    message = compose(told, now)
    found = {
        "summary": line(told.sentence, _SUMMARY_LIMIT),
        "description": cut(plain(message), _DESCRIPTION_LIMIT),
        "runbook_url": message.link("runbook") or "",
    }
    return {name: value for name, value in found.items() if value}


def page(told: Told, now: datetime) -> str | None:
    """The agent's page, where that is a proper URL: Alertmanager refuses an alert with another."""
    return compose(told, now).link("page")


def _name(text: str) -> str:
    name = re.sub(r"[^a-zA-Z0-9_]", "_", text, flags=re.ASCII)[:100]
    return f"_{name}" if not name or name[0].isdigit() else name


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}


# --- Alertmanager's own webhook, version 4 ----------------------------------------------------------------------

_NEVER: Final = "0001-01-01T00:00:00Z"


def webhook(told: Told, alerts: Mapping[str, Alert]) -> dict[str, Any]:
    """What Alertmanager posts to a webhook (its docs, "webhook_config"): the alerts of one group, which is the
    incident. Receivers tell groups apart by `groupKey`, and alerts by `fingerprint`."""
    shown = [_shown(alert) for alert in alerts.values()]
    everywhere = [{**alert["labels"]}.items() for alert in shown]
    told_by_all = [{**alert["annotations"]}.items() for alert in shown]
    incident = told.key.removeprefix("brownout:")
    return {
        "version": "4",
        "groupKey": f'{{}}:{{incident="{incident}"}}',
        "truncatedAlerts": 0,
        "status": "firing" if any(alert["status"] == "firing" for alert in shown) else "resolved",
        "receiver": "brownout",
        "groupLabels": {"incident": incident},
        "commonLabels": dict(set.intersection(*map(set, everywhere))),
        "commonAnnotations": dict(set.intersection(*map(set, told_by_all))),
        "externalURL": next((alert["generatorURL"] for alert in shown if alert["generatorURL"]), ""),
        "alerts": shown,
    }


def _shown(alert: Alert) -> Alert:
    identity = json.dumps(alert["labels"], sort_keys=True).encode()
    return {
        "status": "resolved" if "endsAt" in alert else "firing",
        "labels": alert["labels"],
        "annotations": alert["annotations"],
        "startsAt": alert["startsAt"],
        "endsAt": alert.get("endsAt", _NEVER),
        "generatorURL": alert.get("generatorURL", ""),
        "fingerprint": hashlib.sha256(identity).hexdigest()[:16],
    }
