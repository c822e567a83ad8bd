"""What was in force, out of the history: all that deciding needs, nothing secret, for as long as there are looks."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from contextlib import closing
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from monitor.config.load import load
from monitor.core.history import Retention
from monitor.core.hours import Hours
from monitor.core.lived import Definition
from monitor.core.plan import Plan
from monitor.core.routing import Route, Term
from monitor.core.succession import same_target
from monitor.kinds import installed_kinds
from monitor.parts import plan_of
from monitor.store._definitions import Found, _made, _plain, definitions, keep, written
from monitor.store._files import HISTORY
from monitor.store.sqlite import SqliteStore
from probes.contract import Measurement, Passive
from tests.core.builders import START, Still, check, world
from tests.store.conftest import Disk, Opener
from tests.store.test_history import at, look, recorded

PASSWORD = "hunter2-hunter2-hunter2"
EVERYTHING = f"""\
agent: {{state_dir: state}}
sinks:
  chat: {{type: console}}
  log: {{type: console}}
  sms: {{type: slack, url: "http://127.0.0.2/sms", updates: end}}
services:
  shop:
    title: Web shop
    outage: 2 of home, pages
    labels: {{tier: web}}
checks:
  - name: home
    service: shop
    labels: {{team: web}}
    probe: http
    url: https://user:{PASSWORD}@shop.example.com/
    headers: {{authorization: "Bearer ${{TOKEN}}"}}
    every: 15s
    degraded: ["p95(response_time, 5m) > 800ms, clear < 600ms", "response_time > 3x usual for 3 of 5"]
    down: response_time > 8s for 2m
    flapping: off
  - {{name: pages, service: shop, probe: http, url: "http://127.0.0.1/", usual: off, depends_on: [home], was: [old]}}
  - {{name: nightly, probe: heartbeat, token: "${{TOKEN}}", schedule: "0 3 * * *", grace: 30m}}
  - name: errors
    probe: error_rate
    prometheus: http://127.0.0.1:8000/metrics
    bad: http_requests_total{{status=~"5.."}}
    total: http_requests_total
    degraded: "error_rate(5m) > 1%, at least 50 requests"
    impact: degradation
routes:
  - {{when: "service = shop and (impact = outage or not label.team in (web, ops))", to: [chat]}}
  - {{when: event = check.changed, to: [log, chat]}}
  - {{to: [log]}}
maintenance:
  - {{name: sunday, services: [shop], schedule: "0 3 * * sun", for: 2h, timezone: Europe/Berlin, why: backups}}
  - {{name: move, labels: {{team: web}}, checks: [nightly], from: 2026-12-01 22:00, until: 2026-12-02 02:00}}
"""


def loaded(folder: Path, text: str = EVERYTHING) -> Plan:
    path = folder / "checks.yaml"
    path.write_text(text, encoding="utf-8")
    return plan_of(load(path, kinds=installed_kinds(), env={"TOKEN": PASSWORD}))


async def kept(folder: Path, *plans: tuple[float, Plan], **retention: timedelta) -> Path:
    store = SqliteStore(folder, retention=Retention(**retention))
    await store.open()
    for seconds, plan in plans:
        await store.define(Definition(at(seconds), plan, {"home": 1000.25}))
    await store.close()
    return folder / HISTORY


def found(file: Path, plan: Plan) -> list[Found]:
    with closing(sqlite3.connect(file)) as db:
        return list(definitions(db, plan.source))


async def test_all_that_deciding_needs_comes_back(tmp_path: Path) -> None:
    plan = loaded(tmp_path)
    file = await kept(tmp_path / "state", (0, plan))
    [it] = found(file, plan)
    assert (it.at, it.seen) == (START, {"home": 1000.25})
    again = it.plan
    assert again is not None
    for item in fields(Plan):
        if item.name not in ("checks", "roster"):  # who was on call is not known any more, and told by name
            assert getattr(again, item.name) == getattr(plan, item.name), item.name
    assert list(again.checks) == list(plan.checks)
    for name, was in plan.checks.items():
        now = again.checks[name]
        assert replace(now, probe=was.probe) == was
        assert (now.probe.target, now.probe.host) == (was.probe.target, was.probe.host)
        assert isinstance(now.probe, Passive) is isinstance(was.probe, Passive)
        assert now.probe.measured == tuple(replace(item, help="") for item in was.probe.measured)
    assert [window.span(at(0).timestamp()) for window in again.maintenance] == [
        window.span(at(0).timestamp()) for window in plan.maintenance
    ]


async def test_no_secret_is_written(tmp_path: Path) -> None:
    plan = loaded(tmp_path)
    with closing(sqlite3.connect(await kept(tmp_path / "state", (0, plan)))) as db:
        [(body,)] = db.execute("SELECT body FROM definitions")
    text = zlib.decompress(body)
    assert b"shop.example.com" in text
    assert PASSWORD.encode() not in text
    other = plan_of(load(tmp_path / "checks.yaml", kinds=installed_kinds(), env={"TOKEN": PASSWORD[::-1]}))
    assert written(Definition(START, other)).digest == written(Definition(START, plan)).digest, (
        "another token is no other definition"
    )


async def test_what_looks_at_the_same_is_known_as_such(tmp_path: Path) -> None:
    one = loaded(tmp_path)
    two = loaded(tmp_path, EVERYTHING.replace("every: 15s", "every: 20s").replace("metrics\n", "other\n"))
    file = await kept(tmp_path / "state", (0, one), (60, two))
    first, second = (item.plan.checks for item in found(file, one) if item.plan)
    assert {name: same_target(first[name].probe, second[name].probe) for name in first} == {
        "home": True, "pages": True, "nightly": True, "errors": False,
    }  # fmt: skip
    assert first["pages"] is second["pages"], "what has not changed is the same object"
    assert first["home"] is not second["home"]


async def test_the_same_again_is_kept_once_and_all_goes_with_the_looks(tmp_path: Path) -> None:
    one, two = world(check("home")).plan, world(check("home"), check("mail")).plan
    day = 86_400.0
    file = await kept(tmp_path, (0, one), (10, one), (20, two), (30, one), raw=timedelta(days=2))
    assert [item.at for item in found(file, one)] == [at(0), at(20), at(30)]
    await kept(tmp_path, (day, one), (2 * day + 25, two), raw=timedelta(days=2))
    assert [item.at for item in found(file, one)] == [at(20), at(30), at(2 * day + 25)], (
        "the first was in force till 20"
    )
    with closing(sqlite3.connect(file)) as db, db:
        keep(db, written(Definition(at(2 * day + 26), one)), 0, most=2)
    assert [item.at for item in found(file, one)] == [at(2 * day + 25), at(2 * day + 26)]


async def test_a_history_of_an_older_version_has_none_and_gets_some(tmp_path: Path) -> None:
    plan = world(check("home")).plan
    file = await kept(tmp_path)
    with closing(sqlite3.connect(file)) as db:
        db.execute("DROP TABLE definitions")
    assert found(file, plan) == []
    await kept(tmp_path, (0, plan))
    assert len(found(file, plan)) == 1


def packed(text: bytes) -> str:
    """Text as a definition that is whole."""
    body = zlib.compress(b'{"seen":{}}\n' + text)
    return f"body = x'{body.hex()}', digest = x'{hashlib.sha256(text).hexdigest()}'"


@pytest.mark.parametrize(
    "damage",
    [
        "body = x'00'",
        "body = 7",
        "digest = x'00'",
        packed(b""),
        packed(b"nonsense\n"),
        packed(b'{"version":2}\n'),
        packed(b'{"version":1,"sinks":[],"routes":[],"maintenance":[]}\n{"check":{"id":"home"}}\n'),
        packed(b'{"version":1,"sinks":[],"routes":[],"maintenance":[{"schedule":{"is":"Every"}}]}\n'),
    ],
)
async def test_what_cannot_be_read_is_none(tmp_path: Path, damage: str) -> None:
    """Damage, and what another version has written."""
    plan = world(check("home")).plan
    file = await kept(tmp_path, (0, plan))
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(f"UPDATE definitions SET {damage}")
    assert [item.plan for item in found(file, plan)] == [None]


async def test_a_file_that_is_begun_anew_knows_what_is_in_force(tmp_path: Path) -> None:
    plan = world(check("home")).plan
    store = SqliteStore(tmp_path)
    await store.open()
    await store.define(Definition(START, plan))
    (tmp_path / HISTORY).unlink()
    await recorded(store, [look(60)])
    await store.close()
    assert [item.at for item in found(tmp_path / HISTORY, plan)] == [START]


@dataclass(frozen=True, slots=True)
class Nameless(Still):
    """A plug-in with a bug."""

    kind: ClassVar[str] = "nameless"
    measurements: ClassVar[tuple[Measurement, ...]] = ()

    @property
    def target(self) -> str:
        raise RuntimeError("a bug")


async def test_every_store_takes_what_is_in_force(disk: Disk, opened: Opener) -> None:
    store = await opened(disk)
    await store.define(Definition(START, world(check("home")).plan))
    await store.define(Definition(START, world(check("home", probe=Nameless())).plan))
    await recorded(store, [look(0)])
    assert len(await store.samples("home", at(-9), at(99))) == 1


def test_hours_of_routes_come_back() -> None:
    hours, quiet = Hours(480, 1320, "Europe/Berlin", (0, 1)), Hours(1320, 360, "UTC")
    route = Route(("chat",), Term("service", "shop"), None, hours, quiet)
    assert _made(Route, json.loads(json.dumps(_plain(route)))) == route
