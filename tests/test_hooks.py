"""What vendors send: that it is theirs, and what it asks for."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from monitor.hooks import Acknowledged, Deployed, Forged, Hook, Ignored, Vendor, Wish, read
from probes.contract import Secret
from tests.core.builders import START

KEY = "0123456789abcdef"
INCIDENT = "inc_" + "a" * 26


def hook(vendor: Vendor, **more: Any) -> Hook:
    return Hook("ops", vendor, Secret(KEY), **more)


def signed(vendor: Vendor, body: bytes, key: str = KEY, late: float = 0.0, **more: str) -> Mapping[str, str]:
    """As the vendor's own documents have it."""
    at = str(int((START - timedelta(seconds=late)).timestamp()))

    def hexed(message: bytes) -> str:
        return hmac.new(key.encode(), message, "sha256").hexdigest()

    match vendor:
        case Vendor.GITHUB:
            return {"X-Hub-Signature-256": f"sha256={hexed(body)}", "X-GitHub-Event": "deployment_status"} | more
        case Vendor.GITLAB:
            return {"X-Gitlab-Token": key} | more
        case Vendor.PAGERDUTY:
            return {"X-PagerDuty-Signature": f"v1={'0' * 64}, v1={hexed(body)}"} | more
        case _:
            signature = "v0=" + hexed(f"v0:{at}:".encode() + body)
            return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": signature} | more


def take(vendor: Vendor, sent: Any, *, form: bool = False, fields: Mapping[str, Any] = {}, **more: Any) -> Wish:
    text = json.dumps(sent)
    body = urlencode({"payload": text}).encode() if form else text.encode()
    return read(hook(vendor, **fields), signed(vendor, body, **more), body, START)


def github(state: str = "success", ref: str = "v42") -> dict[str, Any]:
    return {
        "deployment_status": {"state": state, "target_url": "https://ci/7"},
        "deployment": {"id": 77, "ref": ref, "sha": "a1b2c3d4e5f6", "environment": "production"},
        "repository": {"html_url": "https://github.com/o/shop"},
        "sender": {"login": "ann\n"},
    }


def gitlab(**more: Any) -> dict[str, Any]:
    return {
        "object_kind": "deployment",
        "status": "success",
        "deployment_id": 15,
        "deployable_url": "https://gitlab/-/jobs/796",
        "environment": "staging",
        "ref": "main",
        "short_sha": "279484c0",
        "user": {"username": "root"},
    } | more


def pagerduty(kind: str = "incident.acknowledged", key: Any = f"brownout:{INCIDENT}/outage") -> dict[str, Any]:
    return {"event": {"event_type": kind, "agent": {"summary": "Ann"}, "data": {"incident_key": key}}}


def slack(action: str = "acknowledge", value: Any = INCIDENT) -> dict[str, Any]:
    return {"actions": [{"action_id": action, "value": value}], "user": {"id": "U1", "username": "ann"}}


@pytest.mark.parametrize("form", [False, True])
def test_github_tells_of_a_deploy(form: bool) -> None:
    found = take(Vendor.GITHUB, github(), form=form, fields={"services": ("shop",)})
    asked = {"version": "v42", "environment": "production", "url": "https://ci/7", "services": ["shop"]}
    assert found == Deployed(asked, "ann at ops", "ops:77")


@pytest.mark.parametrize(
    ("ref", "version"),
    [("main", "a1b2c3d4"), ("refs/tags/v1.2.3", "v1.2.3"), ("2026.11", "2026.11"), ("feature/1", "a1b2c3d4")],
)
def test_a_branch_is_no_version(ref: str, version: str) -> None:
    found = take(Vendor.GITHUB, github(ref=ref))
    assert isinstance(found, Deployed)
    assert found.asked["version"] == version


def test_gitlab_tells_of_a_deploy() -> None:
    found = take(Vendor.GITLAB, gitlab())
    assert isinstance(found, Deployed)
    assert (found.asked["version"], found.asked["environment"], found.by, found.key) == (
        "279484c0", "staging", "root at ops", "ops:15",
    )  # fmt: skip


def test_somebody_acknowledges_at_a_vendor() -> None:
    assert take(Vendor.PAGERDUTY, pagerduty()) == Acknowledged(INCIDENT, "Ann at ops")
    assert take(Vendor.SLACK, slack(), form=True) == Acknowledged(INCIDENT, "ann at ops")


@pytest.mark.parametrize(
    ("vendor", "sent", "why"),
    [
        (Vendor.GITHUB, github("failure"), "only the state success counts"),
        (Vendor.GITLAB, gitlab(status="running"), "only the status success counts"),
        (Vendor.GITLAB, gitlab(object_kind="push"), "only deployment events count"),
        (Vendor.PAGERDUTY, pagerduty("incident.resolved"), "only incident.acknowledged counts"),
        (Vendor.PAGERDUTY, pagerduty("pagey.ping"), "only incident.acknowledged counts"),
        (Vendor.PAGERDUTY, pagerduty(key="of somebody else"), "it is no incident of this agent"),
        (Vendor.PAGERDUTY, pagerduty(key=None), "it is no incident of this agent"),
        (Vendor.SLACK, slack("other"), "only the button Acknowledge counts"),
        (Vendor.SLACK, {"user": {"id": "U1"}}, "only the button Acknowledge counts"),
        (Vendor.SLACK, slack(value=INCIDENT + "\n<script>"), "it is no incident of this agent"),
    ],
)
def test_what_asks_for_nothing(vendor: Vendor, sent: Any, why: str) -> None:
    assert take(vendor, sent) == Ignored(why)


def test_only_what_is_wanted_of_github_counts() -> None:
    body = b"{}"
    for event, why in (("ping", "pong"), ("push", "only deployment_status counts")):
        headers = {**signed(Vendor.GITHUB, body), "X-GitHub-Event": event}
        assert read(hook(Vendor.GITHUB), headers, body, START) == Ignored(why)
    found = take(Vendor.GITHUB, github(), fields={"environment": "staging"})
    assert found == Ignored("it is of another environment")


@pytest.mark.parametrize("vendor", Vendor)
def test_what_is_not_signed_is_refused(vendor: Vendor) -> None:
    body = json.dumps(slack()).encode()
    for headers in ({}, signed(vendor, body, key="another-secret-00"), dict.fromkeys(signed(vendor, body), "ü")):
        with pytest.raises(Forged) as caught:
            read(hook(vendor), headers, body, START)
        assert KEY not in str(caught.value)
    if vendor is not Vendor.GITLAB:
        with pytest.raises(Forged):
            read(hook(vendor), signed(vendor, body), body + b" ", START)


def test_what_slack_signed_long_ago_is_refused() -> None:
    with pytest.raises(Forged, match="is not of now"):
        take(Vendor.SLACK, slack(), late=301)


@pytest.mark.parametrize("vendor", Vendor)
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"payload=", b"[" * 9000, b'{"event":3,"actions":3}'])
def test_what_cannot_be_read_is_no_crash(vendor: Vendor, body: bytes) -> None:
    try:
        wish = read(hook(vendor), signed(vendor, body), body, START)
    except ValueError:
        return
    assert isinstance(wish, Ignored)


def test_the_secret_is_in_no_repr() -> None:
    assert KEY not in repr(hook(Vendor.SLACK))
