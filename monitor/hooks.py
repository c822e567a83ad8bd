"""What GitHub, GitLab, PagerDuty and Slack send: that it is theirs, and what it asks for. Pure values.

Each signs in its own way; what is not signed by the hook's secret is `Forged`, whatever it says. What is signed
and of no use to us is `Ignored`, so that the vendor does not send it again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs

from probes.contract import Secret

TOLERANCE = 300.0
"""Seconds by which a signed time may differ from ours."""
_INCIDENT = re.compile(r"(?:brownout:)?(inc_[a-z2-7]{26})(?:/.*)?")
"""As `monitor.sinks._told.key_of` has it, with what a sink puts behind it."""
_VERSION = re.compile(r"(?:refs/tags/)?(v?\d[\w.+-]*)")


class Vendor(StrEnum):
    """Who sends."""

    GITHUB = "github"
    GITLAB = "gitlab"
    PAGERDUTY = "pagerduty"
    SLACK = "slack"


@dataclass(frozen=True, slots=True)
class Hook:
    """Where one of them sends to. `services` and `environment` are for deploys: of which services those are, and
    which count (empty: all)."""

    name: str
    vendor: Vendor
    secret: Secret
    services: tuple[str, ...] = ()
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deploy to be marked, as `monitor.marking.Marker` is asked; `key` is the same when it is sent again."""

    asked: Mapping[str, Any]
    by: str
    key: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An incident that somebody has."""

    incident: str
    by: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """It is theirs, and asks for nothing."""

    why: str


Wish = Deployed | Acknowledged | Ignored


class Forged(Exception):
    """It is not signed by the secret of this hook; the text says what to look at."""


def read(hook: Hook, headers: Mapping[str, str], body: bytes, now: datetime) -> Wish:
    """Raises `Forged`, or `ValueError` for what is signed and cannot be read."""
    check, reader = _READERS[hook.vendor]
    check(hook.secret.reveal().encode(), headers, body, now)
    try:
        return reader(hook, headers, body)
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"{hook.vendor.value} has sent what it does not describe") from error


# --- whose it is ------------------------------------------------------------------------------------------------


def _by_github(key: bytes, headers: Mapping[str, str], body: bytes, _now: datetime) -> None:
    """https://docs.github.com/webhooks: ``X-Hub-Signature-256: sha256=HEX``."""
    _must_match(["sha256=" + _hex(key, body)], headers.get("X-Hub-Signature-256"), "X-Hub-Signature-256")


def _by_gitlab(key: bytes, headers: Mapping[str, str], _body: bytes, _now: datetime) -> None:
    """The secret itself, in ``X-Gitlab-Token``: so only TLS keeps it."""
    _must_match([key.decode()], headers.get("X-Gitlab-Token"), "X-Gitlab-Token")


def _by_pagerduty(key: bytes, headers: Mapping[str, str], body: bytes, _now: datetime) -> None:
    """V3 webhooks: ``X-PagerDuty-Signature: v1=HEX,v1=HEX``, two while the secret is being changed."""
    given = [part.strip() for part in headers.get("X-PagerDuty-Signature", "").split(",")]
    _must_match(given, "v1=" + _hex(key, body), "X-PagerDuty-Signature")


def _by_slack(key: bytes, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """``X-Slack-Signature: v0=HEX`` over ``v0:TIME:BODY``."""
    stamp = headers.get("X-Slack-Request-Timestamp", "")
    signed = "v0=" + _hex(key, b"v0:" + stamp.encode("utf-8", "replace") + b":" + body)
    _must_match([signed], headers.get("X-Slack-Signature"), "X-Slack-Signature")
    if not stamp.isascii() or not stamp.isdigit() or abs(now.timestamp() - int(stamp[:12])) > TOLERANCE:
        raise Forged("X-Slack-Request-Timestamp is not of now: is the clock right?")


def _hex(key: bytes, message: bytes) -> str:
    return hmac.digest(key, message, "sha256").hex()


def _must_match(known: list[str], given: str | None, header: str) -> None:
    digest = hashlib.sha256((given or "").encode("utf-8", "replace")).digest()
    same = [hmac.compare_digest(hashlib.sha256(item.encode()).digest(), digest) for item in known]
    if not given:
        raise Forged(f"{header} is missing: has the hook a secret there?")
    if not any(same):
        raise Forged(f"{header} is not of this hook's secret: is it the same there?")


# --- what it asks for -------------------------------------------------------------------------------------------


def _of_github(hook: Hook, headers: Mapping[str, str], body: bytes) -> Wish:
    event, sent = headers.get("X-GitHub-Event", ""), _payload(body)
    if event != "deployment_status":
        return Ignored("pong" if event == "ping" else "only deployment_status counts")
    deployment, status = sent["deployment"], sent["deployment_status"]
    if status["state"] != "success":
        return Ignored("only the state success counts")
    asked = {
        "version": _version(deployment["ref"], deployment["sha"]),
        "environment": deployment["environment"],
        "url": status.get("target_url") or sent["repository"]["html_url"],
    }
    return _deployed(hook, asked, sent["sender"]["login"], deployment["id"])


def _of_gitlab(hook: Hook, _headers: Mapping[str, str], body: bytes) -> Wish:
    sent = _payload(body)
    if sent.get("object_kind") != "deployment":
        return Ignored("only deployment events count")
    if sent["status"] != "success":
        return Ignored("only the status success counts")
    asked = {
        "version": _version(sent.get("ref") or "", sent["short_sha"]),
        "environment": sent["environment"],
        "url": sent.get("deployable_url") or "",
    }
    return _deployed(hook, asked, sent["user"]["username"], sent["deployment_id"])


def _deployed(hook: Hook, asked: dict[str, Any], by: Any, number: Any) -> Wish:
    if hook.environment and asked["environment"] != hook.environment:
        return Ignored("it is of another environment")
    if not isinstance(number, int):
        raise TypeError("a deployment has a number")
    short = {name: _plain(text, 500 if name == "url" else 100) for name, text in asked.items()}
    who = f"{_plain(by, 80)} at {hook.name}"
    return Deployed({**short, "services": list(hook.services)}, who, f"{hook.name}:{number}")


def _version(ref: Any, commit: Any) -> str:
    """The tag, where it is one; a branch says nothing, so then the commit."""
    found = _VERSION.fullmatch(str(ref))
    return found[1] if found else str(commit)[:8]


def _of_pagerduty(hook: Hook, _headers: Mapping[str, str], body: bytes) -> Wish:
    """https://developer.pagerduty.com/docs/webhooks-overview: the `incident_key` is the `dedup_key` of our alert. The
    `agent` may be none."""
    event = _payload(body)["event"]
    if event["event_type"] != "incident.acknowledged":
        return Ignored("only incident.acknowledged counts")
    who = (event.get("agent") or {}).get("summary") or "somebody"
    return _acknowledged(event["data"].get("incident_key"), f"{_plain(who, 80)} at {hook.name}")


def _of_slack(hook: Hook, _headers: Mapping[str, str], body: bytes) -> Wish:
    sent = _payload(body)
    actions = sent.get("actions") or []
    pressed = next((item for item in actions if item.get("action_id") == "acknowledge"), None)
    if pressed is None:
        return Ignored("only the button Acknowledge counts")
    user = sent["user"]
    who = user.get("name") or user.get("username") or user["id"]
    return _acknowledged(pressed.get("value"), f"{_plain(who, 80)} at {hook.name}")


def _acknowledged(key: Any, by: str) -> Wish:
    found = _INCIDENT.fullmatch(str(key))
    return Acknowledged(found[1], by) if found else Ignored("it is no incident of this agent")


def _payload(body: bytes) -> dict[str, Any]:
    """JSON, or a form whose `payload` is JSON, as Slack sends it, and GitHub if it is told so."""
    text = body.decode()
    if text.startswith("payload="):
        text = parse_qs(text, max_num_fields=20)["payload"][0]
    sent = json.loads(text)
    if not isinstance(sent, dict):
        raise TypeError("an object is expected")
    return sent


def _plain(text: Any, longest: int) -> str:
    """Printable, on one line."""
    return "".join(letter for letter in str(text)[:longest] if letter.isprintable()).strip()


_Check = Callable[[bytes, Mapping[str, str], bytes, datetime], None]
_Reader = Callable[[Hook, Mapping[str, str], bytes], Wish]
_READERS: Mapping[Vendor, tuple[_Check, _Reader]] = {
    Vendor.GITHUB: (_by_github, _of_github),
    Vendor.GITLAB: (_by_gitlab, _of_gitlab),
    Vendor.PAGERDUTY: (_by_pagerduty, _of_pagerduty),
    Vendor.SLACK: (_by_slack, _of_slack),
}
