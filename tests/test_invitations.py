"""Links in messages: signed, of one incident, and not for ever."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from monitor.invitations import KEY_FILE, VALID, Expired, Invitations, link_key
from monitor.store.contract import Delivery
from tests.core.builders import START

INCIDENT = "inc_" + "a" * 26
BASE = "https://status.example.com"
LINKS = Invitations(b"key", BASE)


def ticket(links: Invitations = LINKS) -> str:
    link = links.link(INCIDENT, START)
    assert link is not None
    assert link.startswith(f"{BASE}/acknowledge/{INCIDENT}.")
    return link.rpartition("/")[2]


def test_a_link_is_known_again_until_it_expires() -> None:
    assert LINKS.incident(ticket(), START) == INCIDENT
    assert LINKS.incident(ticket(), START + VALID - timedelta(seconds=1)) == INCIDENT
    with pytest.raises(Expired):
        LINKS.incident(ticket(), START + VALID)


def test_what_is_changed_is_no_link() -> None:
    name, until, signature = ticket().split(".")
    later = str(int(until) + 1)
    for changed in (
        f"{name}.{later}.{signature}",
        f"{name[:-1]}b.{until}.{signature}",
        f"{name}.{until}.{signature[:-1]}!",
        f"{name}.{until}.{'A' * 22}",
        f"{name}.{until}.",
        "",
        "x" * 9999,
    ):
        assert LINKS.incident(changed, START) is None
    assert LINKS.incident(ticket(Invitations(b"of another agent", BASE)), START) is None


def delivery(told: str = "incident.opened", **more: Any) -> Delivery:
    body = {"incident": {"id": INCIDENT, "acknowledged": None}, "links": {"page": BASE}, "sentence": "ü"} | more
    return Delivery(1, "evt_1", told, "chat", INCIDENT, 1, json.dumps(body).encode(), START)


def test_what_people_are_sent_has_a_link() -> None:
    invited = json.loads(LINKS.inviting(delivery()).body)
    assert invited["links"] == {"page": BASE, "acknowledge": f"{BASE}/acknowledge/{ticket()}"}
    assert invited["sentence"] == "ü"


@pytest.mark.parametrize(
    "sent",
    [
        delivery("incident.resolved"),
        delivery("check.changed"),
        delivery("digest"),
        delivery(drill=True),
        delivery(test=True),
        delivery(incident={"id": INCIDENT, "acknowledged": {"by": "ann"}}),
        delivery(incident={"id": "drill-1"}),
        delivery(incident=3),
        delivery(links=3),
    ],
)
def test_where_there_is_nothing_to_acknowledge_there_is_no_link(sent: Delivery) -> None:
    assert LINKS.inviting(sent) is sent
    assert Invitations(b"key", None).inviting(delivery()).body == delivery().body


def test_the_key_stays_and_is_of_one_journal(tmp_path: Path) -> None:
    key = link_key(tmp_path, "origin")
    assert link_key(tmp_path, "origin") == key
    assert link_key(tmp_path, "another") != key
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / KEY_FILE).write_bytes(b"cut")
    assert link_key(tmp_path, "origin") != key


def test_where_nothing_can_be_kept_links_are_made_all_the_same(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).mkdir()
    assert len(link_key(tmp_path, "origin")) == 32
    assert len(link_key(tmp_path / "nowhere", "origin")) == 32


def test_a_key_that_others_may_read_is_made_anew(tmp_path: Path) -> None:
    before = link_key(tmp_path, "origin")
    (tmp_path / KEY_FILE).chmod(0o644)
    with structlog.testing.capture_logs() as logged:
        after = link_key(tmp_path, "origin")
    assert after != before
    assert [line["event"] for line in logged] == ["links_void"]
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert link_key(tmp_path, "origin") == after
