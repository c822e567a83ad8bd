"""`brownout replay` tells what was lived: through reloads, restarts, maintenance, blindness, flapping, set clocks."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from monitor.core import calming, handling
from monitor.core.condition import Bound, Level, Operator
from monitor.core.maintenance import Scope, Span, Window
from monitor.core.model import Change, Check, Confirm, Flapping, Moment, OutageRule, Recover, Service
from monitor.core.routing import Policy, Route, Step
from monitor.core.world import World
from monitor.grid import until_beat
from monitor.store.offline import HISTORY
from probes.contract import Context, Measurement, Observation, Probe, Reason, Unit
from tests.core.builders import above, check
from tests.diary import FAR, Agent, Diary, as_told, live, lived, place, plan_of, replayed, shown, story, write_down
from tests.virtual_time import START, VirtualClock

__all__ = ["place"]

Mood = Callable[[float], tuple[float, Reason | None]]
"""Of a target, so many seconds after the start: how long it takes, and why it fails."""
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Played(Probe):
    """A target with a mood; another `url` is another target."""

    kind: ClassVar[str] = "played"
    measurements: ClassVar[tuple[Measurement, ...]] = (Measurement("response_time", Unit.SECONDS, "how long"),)

    url: str
    mood: Mood = field(compare=False, repr=False)

    @property
    def target(self) -> str:
        return self.url

    @property
    def host(self) -> str | None:
        return "shop.example.com"

    async def look(self, context: Context) -> Observation:
        took, reason = self.mood(asyncio.get_running_loop().time())
        await asyncio.sleep(min(took, context.timeout))
        return Observation({} if reason else {"response_time": took}, reason)


def well(_: float) -> tuple[float, Reason | None]:
    return 0.1, None


def down(*spans: tuple[float, float]) -> Mood:
    """In those minutes."""
    return lambda now: (0.02, Reason.REFUSED if any(a <= now / MINUTE < b for a, b in spans) else None)


def slow(*spans: tuple[float, float]) -> Mood:
    return lambda now: (0.4 if any(a <= now / MINUTE < b for a, b in spans) else 0.1, None)


def played(name: str, mood: Mood, *limits: float, url: str = "", **fields: Any) -> Check:
    conditions = [above(limit, for_looks=(2, 3), clear=Bound(Operator.BELOW, limit * 0.8)) for limit in limits]
    known: dict[str, Any] = {"every": timedelta(seconds=10), "confirm": Confirm(), "recover": Recover()}
    return check(name, *conditions, probe=Played(url or f"http://{name}/", mood), **(known | fields))


def told_again(place: Path, diary: Diary, capsys: pytest.CaptureFixture[str], until: datetime | None = None) -> Any:
    """Up to the end of the last life, or to another time."""
    asyncio.run(write_down(diary, place / "state"))
    return replayed(capsys, until=until or diary.ends[-1])


def assert_as_lived(told: Any, diary: Diary) -> None:
    """Transitions and messages, one by one."""
    assert story(told["transitions"]) == as_told(diary.transitions)
    assert sorted((event["type"], event["sentence"]) for event in told["events"]) == sorted(
        (event.type.value, event.body["sentence"]) for event in diary.events
    )
    assert told["differs_from_journal"] == {}
    assert told["remarks"] == [IN_FORCE_ELSEWHERE]


IN_FORCE_ELSEWHERE = "checks.yaml is not what the agent has in force: --config checks.yaml judges by that"
"""The file of these tests is not that of the lives."""


def reloaded() -> Diary:
    """Forty minutes with three reloads: thresholds, targets, intervals, names, homes change; checks come and go."""
    api, slowish = played("api", down((2, 4), (14, 22), (31, 32))), slow((5, 12), (18, 36))
    page, gone = played("page", slowish, 0.3), played("gone", down((6, 90)))
    shop = Service("shop", "Web shop", ("page", "cart"), OutageRule(1, ("page", "cart")))
    first = plan_of(api, page, gone)
    cart = played("cart", down((11, 13)), service="shop")
    looser = replace(page, conditions=played("page", well, 0.6).conditions, service="shop")
    second = plan_of(replace(api, every=timedelta(seconds=7)), looser, cart, services=[shop])
    renamed = replace(second.checks["api"], id="backend", name="backend", service="backend", was=("api",))
    elsewhere = replace(cart, probe=Played("http://elsewhere/", down((24, 90))))
    third = plan_of(renamed, looser, elsewhere, gone, services=[shop])
    fourth = plan_of(renamed, replace(page, impact=page.impact), gone)
    deeds = [  # looks that are taken at once bear times from before, as they are cut
        (570.057, partial(Agent.reload, plan=second)),
        (1201.83, partial(Agent.reload, plan=third)),
        (2022.049, partial(Agent.reload, plan=fourth)),
    ]
    return lived(partial(live, plan=first, until=40 * MINUTE, deeds=deeds))


def test_reloads_are_lived_through(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diary = reloaded()
    assert {(item.kind, item.new) for item in diary.transitions} >= {("check", "down"), ("check", "degraded")}
    assert any(item.was for item in diary.transitions)
    told = told_again(place, diary, capsys)
    assert_as_lived(told, diary)
    assert told["as_it_was"] is True
    assert [item["checks"] for item in told["reloads"]] == [
        ["api", "page", "gone", "cart"],
        ["api", "cart", "backend", "gone"],
        ["page", "cart"],
    ]
    said = shown(capsys)
    assert "looks judged again by what was in force" in said
    assert "another configuration came into force 2026-01-01 00:09 UTC: api, page, gone, cart" in said
    assert "says something else" not in said
    [backend] = {item["subject"] for item in replayed(capsys, "--check", "backend")["transitions"]} & {"backend"}
    assert backend, "also under the name that it had"
    config = replayed(capsys, "--config", place / "checks.yaml")
    assert (config["as_it_was"], config["reloads"], config["transitions"]) == (False, [], [])


def test_an_agent_that_was_stopped_and_begun_with_another_file(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, page = played("api", down((3, 12))), played("page", slow((2, 20)), 0.3)
    after = plan_of(api, replace(page, conditions=()), played("new", well))
    diary = lived(
        partial(live, plan=plan_of(api, page), until=6 * MINUTE),
        partial(live, plan=after, until=14 * MINUTE),
        partial(live, plan=after, until=20 * MINUTE),
    )
    told = told_again(place, diary, capsys)
    assert_as_lived(told, diary)
    assert len(told["reloads"]) == 1, "a start with what was in force is none"
    monkeypatch.chdir(place / "state")
    alone = replayed(capsys, "--state-dir", ".", until=diary.ends[-1])
    assert alone["remarks"] == []
    assert (alone["transitions"], alone["events"]) == (told["transitions"], told["events"])


def test_what_maintenance_held_back_is_held_back_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin, until = (START + timedelta(minutes=minute) for minute in (4, 12))
    window = Window("w1", Scope(("api", "page")), Span(begin.timestamp(), until.timestamp()), why="release", by="ci")
    longer = Window("w2", Scope(("page",)), Span(begin.timestamp(), until.timestamp() + 3600), why="more", by="ci")

    def announce(agent: Agent, which: Window) -> None:
        agent.pipeline.decide(lambda world, now: calming.maintain(world, which, now))

    def end(agent: Agent) -> None:
        agent.pipeline.decide(lambda world, now: calming.end_maintenance(world, "w2", now))

    plan = plan_of(played("api", down((5, 8), (9, 15))), played("page", slow((5, 22)), 0.3))
    deeds = [
        (4 * MINUTE, partial(announce, which=window)),
        (10 * MINUTE, partial(announce, which=longer)),
        (18 * MINUTE, end),
    ]
    diary = lived(partial(live, plan=plan, until=11 * MINUTE, deeds=deeds[:2]),
                  partial(live, plan=plan, until=24 * MINUTE, deeds=deeds[2:]))  # fmt: skip
    quiet = [event for event in diary.events if begin <= event.at < until]
    assert quiet == []
    assert [item.new for item in diary.transitions if item.kind == "maintenance"] == [
        "announced",
        "announced",
        "ended",
    ]
    told = told_again(place, diary, capsys)
    assert_as_lived(told, diary)
    assert any(event["sentence"].endswith("The maintenance is over.") for event in told["events"])


def test_what_people_did_about_incidents_is_done_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def do(agent: Agent, what: Callable[[World, str, Moment], Change | None]) -> None:
        incident = agent.world.services["api"].incident
        assert incident is not None
        agent.pipeline.decide(lambda world, now: what(world, incident.id, now))

    def put_off(world: World, incident: str, now: Moment) -> Change | None:
        return handling.snooze(world, incident, now.at + timedelta(minutes=5), "ann", now)

    plan = plan_of(played("api", down((4, 22))), played("page", slow((5, 22)), 0.3))
    deeds = [
        (7 * MINUTE, partial(do, what=put_off)),
        (9 * MINUTE, partial(do, what=lambda world, name, now: handling.note(world, name, "hm", "bob", now))),
        (15 * MINUTE, partial(do, what=lambda world, name, now: handling.acknowledge(world, name, "ann", now))),
    ]
    diary = lived(partial(live, plan=plan, until=11 * MINUTE, deeds=deeds[:2]),
                  partial(live, plan=plan, until=30 * MINUTE, deeds=deeds[2:]))  # fmt: skip
    kinds = [event.body["update"]["kind"] for event in diary.events if "update" in event.body]
    assert [kind for kind in kinds if kind != "changed"] == ["snoozed", "note", "reminder", "acknowledged"]
    assert_as_lived(told_again(place, diary, capsys), diary)


def test_who_was_called_is_called_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over a restart and a reload; under the names that the routes have, as who was on call is kept nowhere."""
    steps = tuple(Step(timedelta(minutes=after), ("chat",)) for after in (2, 4, 8, 16))
    first = plan_of(played("api", down((4, 26))), played("page", slow((5, 22)), 0.3))
    first = replace(first, routes=(*first.routes, Route(("chat",), policy=Policy(steps, timedelta(minutes=7)))))
    second = replace(first, routes=(*first.routes[:-1], Route(("chat",), policy=Policy(steps[2:]))))
    reload = (28 * MINUTE, partial(Agent.reload, plan=second))
    diary = lived(
        partial(live, plan=first, until=11 * MINUTE), partial(live, plan=first, until=38 * MINUTE, deeds=[reload])
    )
    kinds = [event.body["update"]["kind"] for event in diary.events if "update" in event.body]
    assert kinds.count("escalated") >= 6
    assert "reminder" in kinds
    assert_as_lived(told_again(place, diary, capsys), diary)


def test_blindness_and_flapping_are_lived_through(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every_four = down(*((minute, minute + 1.6) for minute in range(10, 60, 4)))
    plan = plan_of(
        played("flaps", every_four, flapping=Flapping(quiet=timedelta(minutes=10))),
        played("api", down((2, 4), (40, 50))),
    )
    deeds = [(2.2 * MINUTE, Agent.lose), (3 * MINUTE, Agent.find_again),
             (40.05 * MINUTE, Agent.lose), (43 * MINUTE, Agent.find_again)]  # fmt: skip
    diary = lived(partial(live, plan=plan, until=75 * MINUTE, deeds=deeds))
    assert any(" flapping" in event.body["sentence"] for event in diary.events)
    assert any(event.type.value == "agent.impaired" for event in diary.events)
    assert_as_lived(told_again(place, diary, capsys), diary)


@dataclass
class SetClock(VirtualClock):
    """A wall clock that somebody sets after ten minutes."""

    by: float

    def now(self) -> Moment:
        now = super().now()
        return Moment(now.at + timedelta(seconds=self.by), now.tick) if now.tick >= 10 * MINUTE else now


@pytest.mark.parametrize("by", [-3600.0, -20.0, 900.0])
def test_a_clock_that_was_set_changes_nothing(by: float, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(played("api", down((4, 14))), played("page", slow((8, 18)), 0.3, every=timedelta(seconds=15)))
    diary = lived(partial(live, plan=plan, until=20 * MINUTE, clock=SetClock(by)))
    told = told_again(place, diary, capsys, FAR)

    def states(items: list[Any]) -> list[Any]:
        return [item[:5] for item in items]

    assert states(story(told["transitions"])) == states(as_told(diary.transitions))


def test_what_is_not_known_of_the_past_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By an older version, or in a part that cannot be read: from when to when, and what is done instead."""
    diary = reloaded()
    asyncio.run(write_down(diary, place / "state", defined=False))
    [remark] = replayed(capsys)["remarks"]
    assert remark == (
        "what was in force is not recorded (an older Brownout has taken the looks, or the history was begun anew): "
        "all from 2026-01-01 00:00 UTC on is judged by checks.yaml"
    )
    history = place / "again" / HISTORY
    asyncio.run(write_down(diary, history.parent))
    with closing(sqlite3.connect(history)) as db, db:
        db.execute("UPDATE definitions SET body = x'00' WHERE number = 2")
    remarks = replayed(capsys, "--state-dir", history.parent)["remarks"]
    assert remarks[0] == (
        "what was in force from 2026-01-01 00:09 UTC to 2026-01-01 00:20 UTC cannot be read (damaged, or by another "
        "version of Brownout): all checks are judged by what was in force before"
    )
    with closing(sqlite3.connect(history)) as db, db:
        db.execute("DELETE FROM definitions WHERE number <= 2")
    told = replayed(capsys, "--state-dir", history.parent)
    assert told["remarks"][0].startswith("what was in force before 2026-01-01 00:20 UTC is not recorded")
    assert told["differs_from_journal"]
    assert "the journal says something else of " in shown(capsys, "--state-dir", history.parent)


def test_of_looks_that_are_gone_the_rest_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(played("api", down((4, 6), (22, 25))))
    diary = lived(partial(live, plan=plan, until=30 * MINUTE))
    _, rest = diary.lives[0].cut(round((START + timedelta(minutes=15)).timestamp() * 1000))
    told = told_again(place, replace(diary, lives=[rest]), capsys)
    assert told["first"].startswith("2026-01-01T00:15:0")
    assert told["differs_from_journal"] == {}
    assert [item["new"] for item in told["transitions"] if item["kind"] == "check"] == [
        "up",
        "down",
        "degraded",
        "up",
    ]
    assert "looks are kept from 2026-01-01 00:15 UTC on" in shown(capsys)


def test_looks_that_a_kill_has_taken_are_a_difference_that_is_told(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diary = lived(partial(live, plan=plan_of(played("api", down((4, 5), (22, 24)))), until=30 * MINUTE))
    millis = round(START.timestamp() * 1000)
    early, later = diary.lives[0].cut(millis + 21 * 60_000)
    _, later = later.cut(millis + 28 * 60_000)
    early.extend(later)
    told = told_again(place, replace(diary, lives=[early]), capsys)
    assert list(told["differs_from_journal"]) == ["api"]
    assert told["differs_from_journal"]["api"].startswith("2026-01-01T00:22:")
    assert "the journal says something else of api (from 2026-01-01 00:22:" in shown(capsys)


def test_levels_are_those_of_the_time(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same looks by what was, and by another file: only the first is as it was lived."""
    page = played("home", slow((3, 9)), 0.3)
    strict = replace(page, conditions=(replace(page.conditions[0], level=Level.DOWN),))
    diary = lived(partial(live, plan=plan_of(page), until=14 * MINUTE,
                          deeds=[(11 * MINUTE, partial(Agent.reload, plan=plan_of(strict)))]))  # fmt: skip
    told = told_again(place, diary, capsys)
    assert_as_lived(told, diary)
    by_the_file = replayed(capsys, "--config", place / "checks.yaml")
    assert [item["new"] for item in by_the_file["transitions"] if item["kind"] == "check"] == ["up"]
    assert by_the_file["journal"]["checks"]["home"]["degraded"] == 1


@pytest.mark.parametrize("after", [-0.001, 0.001])
def test_a_look_that_ends_as_another_file_comes_into_force(
    after: float, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its time, which is cut, both looks seem to be from before that."""
    page = played("home", slow((0, 9)))
    strict = replace(page, conditions=played("home", well, 0.3).conditions)
    ended = until_beat(page, START.timestamp()) + 4 * 10 + 0.4
    assert ended * 10 % 1 > 0.05, "it is cut"
    reload = (ended + after, partial(Agent.reload, plan=plan_of(strict)))
    diary = lived(partial(live, plan=plan_of(page), until=3 * MINUTE, deeds=[reload]))
    [bad] = [item for item in diary.transitions if item.new == "degraded"]
    assert (bad.at - START).total_seconds() == pytest.approx(ended + (10 if after < 0 else 20), abs=0.2)
    assert_as_lived(told_again(place, diary, capsys), diary)
