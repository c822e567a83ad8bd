"""An incident's life in PagerDuty, Slack, Statuspage and Intercom, with a crash before and after each request
and commit.

Each of them has a state of its own, that a repeated or a lost request would spoil: an alert for each key, a message
for the incident with its thread, components and an incident that customers read, a ticket. The latter three cannot
tell a repetition.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import pytest

from monitor.core.routing import Route, Term
from monitor.outbox import Pace
from monitor.sinks import statuspage
from monitor.sinks.contract import Sink
from monitor.sinks.pagerduty import PagerDuty
from monitor.sinks.slack import Slack
from monitor.sinks.statuspage import Statuspage
from probes.contract import Secret
from tests.end_to_end.crashes import Fate, MortalSink, Point, Side
from tests.end_to_end.ledger import check_journal, rows
from tests.end_to_end.story import EVERYTHING, STORY, Outside, once, tell_story
from tests.sinks import site as statuspages
from tests.sinks import test_intercom as intercom
from tests.sinks import test_pagerduty as pagerduty
from tests.sinks import test_slack_bot as slack

VENDORS = ("pager", "chat", "public", "tickets")


@dataclass
class Vendors(Outside):
    """Four of them, and a webhook that gets all."""

    names: tuple[str, ...] = ("home",)
    routes: tuple[Route, ...] = (*EVERYTHING, Route(VENDORS, Term("event", "incident.*")))
    level_sinks: frozenset[str] = frozenset({"pager", "public"})
    pace: Pace = field(
        default_factory=lambda: Pace(gather=0.0, backoff=(0.02,) * 5000, jitter=0.0, breaks_after=10**9)
    )
    """The story's clock stands while it waits for what is to be told."""
    away: bool = False
    """Whether they refuse everything from the crash until the trouble is over."""
    pager: pagerduty.Service = field(default_factory=pagerduty.Service)
    chat: slack.Workspace = field(default_factory=slack.Workspace)
    public: statuspages.Site = field(default_factory=statuspages.Site)
    tickets: intercom.Workspace = field(default_factory=intercom.Workspace)
    wrong: list[AssertionError] = field(default_factory=list)
    """What a vendor would have refused."""

    def sinks(self, fate: Fate) -> Mapping[str, Sink]:
        key, components = Secret(statuspages.KEY), {"shop": statuspages.SHOP}
        return {
            "hook": MortalSink(self.sink, fate),
            "pager": PagerDuty(Secret(pagerduty.KEY)),
            "chat": Slack(token=Secret(slack.TOKEN), channel=slack.CHANNEL),
            "public": Statuspage(key, "page1", components, incidents=True),
            "tickets": intercom.SINK,
        }

    def waits(self, life: int) -> bool:
        return not (self.away and life)

    def transport(self, fate: Fate) -> httpx.AsyncBaseTransport:
        async def answer(request: httpx.Request) -> httpx.Response:
            with fate.calling("request"):
                found = self._answer(request)
            return httpx.Response(found.status_code, headers=found.headers, stream=httpx.ByteStream(found.content))

        return httpx.MockTransport(answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        vendors = {
            "slack.com": self.chat.answer,
            "api.statuspage.io": self.public.answer,
            "events.pagerduty.com": self.pager.take,
            "api.intercom.io": self.tickets.answer,
        }
        if self.away and self.crashes and self.act < len(STORY):
            return httpx.Response(503)
        try:
            return vendors[request.url.host](request)
        except AssertionError as error:
            self.wrong.append(error)
            raise

    def check(self, place: Path, *, whole: bool) -> None:
        """Nothing lost, no second id, nothing left open anywhere, nobody told twice."""
        assert self.wrong == []
        check_journal(place, {delivery.event_id for delivery in self.sink.accepted}, unrouted="")
        assert rows(place, "SELECT name FROM notes WHERE name LIKE 'sink:%'") == [], "nothing is kept of what is over"
        assert self.pager.open == {}
        assert self.public.components[statuspages.SHOP] == "operational"
        assert {item["status"] for item in self.public.incidents} <= {"resolved"}
        assert len(self.public.incidents) <= 1
        assert [ticket for ticket in self.tickets.tickets.values() if ticket["open"]] == []
        assert len(self.tickets.tickets) <= 1
        [message] = self.chat.shown
        replies = Counter(json.dumps(reply["blocks"], sort_keys=True) for reply in self.chat.replies)
        assert set(replies.values()) <= {1}, "a reply came twice"
        if whole:
            assert self.pager.paged == ["critical"], "and getting better pages nobody"
            assert len(self.public.incidents) == len(self.tickets.tickets) == 1
            assert len(self.chat.replies) == 3
            assert "back to normal" in message


async def test_without_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statuspage, "SPACING", 0.0)
    fate, vendors = Fate(), Vendors()
    place = await tell_story(vendors, tmp_path, lambda _life: fate, patient=True)
    vendors.check(place, whole=True)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("operation", ["request", pytest.param("commit", marks=pytest.mark.long)])
async def test_a_crash_at_each_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, side: Side
) -> None:
    monkeypatch.setattr(statuspage, "SPACING", 0.0)
    number, crashes = 0, 1
    while crashes:
        number += 1
        vendors, point, folder = Vendors(), Point(operation, side, number), tmp_path / str(number)
        place = await tell_story(vendors, folder, once(point), patient=True)
        try:
            vendors.check(place, whole=True)
        except AssertionError as error:
            raise AssertionError(f"after a crash at {point}") from error
        crashes = vendors.crashes
        shutil.rmtree(folder)
    assert number > 4, "there were points to crash at"


@pytest.mark.timeout(240)
async def test_a_crash_behind_each_request_and_nobody_is_there_until_all_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was opened is not known to be, and the next that can be told is its end."""
    monkeypatch.setattr(statuspage, "SPACING", 0.0)
    number, crashes = 0, 1
    while crashes:
        number += 1
        vendors, point, folder = Vendors(away=True), Point("request", Side.AFTER, number), tmp_path / str(number)
        place = await tell_story(vendors, folder, once(point), patient=True)
        try:
            vendors.check(place, whole=False)
        except AssertionError as error:
            raise AssertionError(f"after a crash at {point}") from error
        crashes = vendors.crashes
        shutil.rmtree(folder)
    assert number > 4, "there were points to crash at"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(4))
async def test_crash_after_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Each life ends after a few calls, wherever that is."""
    monkeypatch.setattr(statuspage, "SPACING", 0.0)
    random, vendors = Random(seed), Vendors()
    patient = seed % 2 == 0
    place = await tell_story(
        vendors,
        tmp_path,
        lambda life: Fate(any_call=random.randint(1, 10 + life) if life < 40 else None),
        patient=patient,
    )
    vendors.check(place, whole=patient)
    assert vendors.crashes > 2
