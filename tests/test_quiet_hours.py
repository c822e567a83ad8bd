"""Quiet hours from checks.yaml to what people are sent, over a restart: by a clock of the test, in a real journal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor.config.load import load
from monitor.core.model import Change, Journal, Look, Moment
from monitor.core.world import World
from monitor.kinds import installed_kinds
from monitor.parts import plan_of
from monitor.sinks._message import compose
from monitor.sinks._told import read
from monitor.store.sqlite import SqliteStore
from probes.contract import Observation
from tests.store.made import NOBODY

MIDNIGHT = datetime(2026, 3, 3, 0, 0, tzinfo=UTC)

CONFIG = """
agent: {state_dir: STATE}
sinks:
  mail: {type: email, host: mail.example.com, from: brownout@example.com, to: [ops@example.com]}
  hook: {type: webhook, url: "https://ops.example.com/hook"}
services: {shop: {title: Web shop}}
checks:
  - {name: home, service: shop, probe: http, url: "https://shop.example.com/", every: 15s, defaults: off,
     degraded: "p95(response_time, 5m) > 800ms, clear < 600ms"}
routes:
  - {when: impact = degradation, to: [mail, hook], quiet: "22:00-07:00 UTC"}
"""


def moment(minutes: float) -> Moment:
    return Moment(MIDNIGHT + timedelta(minutes=minutes), minutes * 60)


async def lived(store: SqliteStore, world: World, begin: int, end: int, slow: tuple[int, int]) -> None:
    """Minutes of the night; slow in some of them."""
    changes: list[Change | None] = [world.start(moment(begin))]
    for quarter in range(begin * 4, end * 4):
        now = moment(quarter / 4)
        while (due := world.next_due) is not None and due <= now.tick:
            changes.append(world.elapse(Moment(MIDNIGHT + timedelta(seconds=due), due)))
        took = 1.4 if slow[0] * 4 <= quarter < slow[1] * 4 else 0.2
        changes.append(world.observe(Look("home", Observation({"response_time": took}), now, now)).change)
    await store.commit([change for change in changes if change is not None], NOBODY)


async def test_a_night_of_trouble_is_one_mail_in_the_morning(tmp_path: Path) -> None:
    file = tmp_path / "checks.yaml"
    file.write_text(CONFIG.replace("STATE", str(tmp_path / "state")), encoding="utf-8")
    config = load(file, kinds=installed_kinds(), env={})

    async def night(begin: int, end: int, slow: tuple[int, int]) -> None:
        store = SqliteStore(config.agent.state_dir, vantage=config.agent.vantage.name)
        journal: Journal = await store.open()
        await lived(store, World(plan_of(config), journal, moment(begin)), begin, end, slow)
        await store.close()

    await night(120, 200, (130, 145))  # 02:10-02:25, and in the last 5 min of samples until 02:29
    await night(380, 421, (400, 500))  # 06:40, and still so at 07:00
    store = SqliteStore(config.agent.state_dir, vantage=config.agent.vantage.name)
    await store.open()
    at = moment(421).at
    (mail,) = await store.claim("mail", at, at + timedelta(minutes=1), 10, deep=True)
    (hook,) = await store.claim("hook", at, at + timedelta(minutes=1), 10, deep=True)
    await store.close()
    assert (mail.event_type, hook.event_type) == ("digest", "incident.updated")
    message = compose(read(mail), at)
    assert message.headline == "2 incidents in quiet hours, 1 still open"
    still, over = message.items
    assert still.startswith(
        "🟡 06:40:15 UTC Still open: Web shop is degraded since 06:40:15 UTC: home: response time 1.4 s"
    )
    assert over.startswith("🟢 02:10:15 UTC Web shop was degraded 02:10-02:29 UTC (19 min 30 s). ")
    assert over.endswith("It was home: response time 1.4 s, limit 800 ms (p95 over 5 min).")
