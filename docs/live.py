"""The generated parts that come from running the real thing: events from the core, metrics from a scrape.

A small world is fed with looks of a shop that turns slow, dies and comes back; clocks and ids are fixed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from docs._markdown import code, fenced, sentence, table
from monitor.config.load import load
from monitor.core.calming import maintain
from monitor.core.deploys import Deploy, mark
from monitor.core.event import Source
from monitor.core.hours import Hours
from monitor.core.judgement import Judgement
from monitor.core.maintenance import Scope, Span, Window
from monitor.core.model import Change, EventType, Journal, Look, Moment
from monitor.core.plan import Plan
from monitor.core.routing import Route
from monitor.core.sight import Ailment, Outlook, Trouble
from monitor.core.world import World
from monitor.kinds import installed_kinds
from monitor.sending import SinkState
from monitor.store.contract import Backlog
from monitor.store.memory import MemoryStore
from monitor.telemetry import Telemetry
from monitor.web.health import Health
from monitor.web.status import StatusDocument
from monitor.web.view import View
from probes.contract import Observation, Reason

START = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)

CONFIG = """
agent: {public_url: "https://status.ops.example.com", vantage: {name: fra1}}
defaults: {every: 15s, timeout: 5s}
sinks:
  hook: {type: webhook, url: "https://ops.example.com/hooks/brownout"}
services:
  shop:
    title: Web shop
    outage: any of home, checkout
    owner: web
    runbook: https://wiki.example.com/shop
    labels: {tier: web}
checks:
  - {name: home, service: shop, probe: http, url: "https://shop.example.com/", defaults: off, labels: {tier: web},
     degraded: "p95(response_time, 5m) > 800ms, clear < 600ms"}
  - {name: checkout, service: shop, probe: http, url: "https://shop.example.com/checkout/health", defaults: off}
routes:
  - {to: [hook]}
  - {when: "event in (check.changed, service.changed, deploy.marked)", to: [hook]}
"""


def moment(seconds: float) -> Moment:
    return Moment(START + timedelta(seconds=seconds), seconds)


class _StillClock:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> Moment:
        return moment(self._seconds)


_WELL = Health(
    scheduler_progress_age=0.1,
    loop_lag=0.001,
    outbox_oldest_age=None,
    refusing_sinks=(),
    beats_begun=400,
    beats_missed=0,
    ready=True,
    stopping=False,
    config_ok=True,
)
_OUTLOOK = Outlook(witnesses={"1.1.1.1:53": True}, relabelled={Reason.OWN_NETWORK: 2})


class _Store:
    """As much of a store as is asked for: one event waits."""

    async def backlog(self) -> Mapping[str, Backlog]:
        return {"hook": Backlog(1, 0, START)}


class _Tour:
    """The shop's bad afternoon: `events` are the bodies that were told, in order."""

    def __init__(self, **otherwise: Any) -> None:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "checks.yaml"
            file.write_text(CONFIG, encoding="utf-8")
            config = load(file, kinds=installed_kinds(), env={"HOME": folder})
        source = Source(config.agent.vantage.name, config.agent.public_url)
        plan = replace(
            Plan(config.checks, config.services, config.routes, source, frozenset(config.sinks)), **otherwise
        )
        self.world = World(plan, Journal("documentation", 1), moment(0))
        self.telemetry = Telemetry(
            self.world,
            clock=_StillClock(1000),
            version="0.1.0",
            vantage="fra1",
            outlook=lambda: _OUTLOOK,
            sinks=lambda: {"hook": SinkState()},
        )
        self.events: list[Mapping[str, Any]] = []
        self._perform()

    def _perform(self) -> None:
        for beat in range(8):
            self._see("home", beat * 15, _answer(0.3))
            self._see("checkout", beat * 15 + 5, _answer(0.05))
        for beat in range(8, 12):
            self._see("home", beat * 15, _answer(2.4))
        at = 185.0
        judgement = self._see("checkout", at, _refused())
        for delay in judgement.burst:
            self._see("checkout", at + delay, _refused(), scheduled=False)
        self.worst = self._status()
        at = 200.0
        while self.world.judges["checkout"].state.bad:
            self._see("checkout", at, _answer(0.05), scheduled=False)
            at += 1
        while self.world.judges["home"].state.bad:
            self._see("home", at, _answer(0.3))
            at += 15
        self._lose_network(at)
        later = moment(at + 300)
        deploy = Deploy(
            "dep_q5x2mcyd7w3a", "v42", later.at, ("shop",), "production", "ci", "https://ci.example.com/42"
        )
        self._keep(mark(self.world, deploy, later))
        begin = later.at.timestamp()
        maintain(self.world, Window("m-l7ykwt", Scope(("home",)), Span(begin, begin + 7200)), later)

    def _lose_network(self, at: float) -> None:
        """For two minutes."""
        why = "neither 1.1.1.1:53 nor 9.9.9.9:53 answers"
        lost = self.world.sighted([Ailment(Trouble.NETWORK, moment(at), why)], moment(at + 2))
        for change in (lost, self.world.elapse(moment(at + 60)), self.world.sighted([], moment(at + 120))):
            self._keep(change)

    def _keep(self, change: Change | None) -> None:
        self.events += [event.body for event in change.events] if change is not None else []

    def _status(self) -> dict[str, Any]:
        """`/api/v1/status` now, with one check only."""
        view = View(
            world=lambda: self.world,
            records=MemoryStore(),
            telemetry=self.telemetry,
            health=lambda: _WELL,
            clock=_StillClock(192),
            version="0.1.0",
            vantage="fra1",
            started=START,
            listen_host="127.0.0.1",
        )
        document = json.loads(b"".join(asyncio.run(StatusDocument(view).pieces(500))))
        return {**document, "checks": document["checks"][:1]}

    def _see(self, check: str, at: float, observation: Observation, *, scheduled: bool = True) -> Judgement:
        took = observation.measurements.get("response_time", 0.001)
        look = Look(check, observation, moment(at), moment(at + took), scheduled=scheduled)
        decision = self.world.observe(look)
        self.telemetry.look(look, self.world.judges[check])
        if decision.change is not None:
            self.events += [event.body for event in decision.change.events]
        return decision.judgement


class _Night(_Tour):
    """The same shop turns slow twice in hours in which the chat wants to be left alone."""

    def __init__(self) -> None:
        route = Route(("chat",), quiet=Hours(12 * 60, 16 * 60, "Europe/Berlin"))
        super().__init__(routes=(route,), sinks=frozenset({"chat"}), human=frozenset({"chat"}))

    def _perform(self) -> None:
        self._keep(self.world.start(moment(0)))
        for beat in range(230):
            self._see("home", beat * 15, _answer(2.4 if 40 <= beat < 60 or beat > 200 else 0.3))
            self._see("checkout", beat * 15 + 5, _answer(0.05))
        while (due := self.world.next_due) is not None and due <= 3600:
            self._keep(self.world.elapse(moment(due)))


def _answer(seconds: float) -> Observation:
    phases = {"resolve": 0.002, "connect": 0.011, "tls": 0.024, "first_byte": seconds - 0.037, "transfer": 0.002}
    figures = {f"{name}_time": value for name, value in phases.items()}
    figures |= {"response_time": seconds, "body_size": 18204.0, "certificate_expires_in": 61 * 86400.0}
    facts = {"address": "192.0.2.10:443", "status": "200", "server": "nginx"}
    return Observation(figures, phases=phases, evidence=facts)


def _refused() -> Observation:
    phases = {"resolve": 0.002, "connect": 0.0004}
    detail = "192.0.2.10:443: ECONNREFUSED"
    return Observation({"resolve_time": 0.002}, Reason.REFUSED, detail, phases, {"address": "192.0.2.10:443"})


@cache
def tour() -> _Tour:
    return _Tour()


# --- events ---------------------------------------------------------------------------------------------------

_SHOWN = (EventType.INCIDENT_OPENED, EventType.INCIDENT_UPDATED, EventType.INCIDENT_RESOLVED,
          EventType.CHECK_CHANGED, EventType.SERVICE_CHANGED, EventType.AGENT_IMPAIRED,
          EventType.AGENT_RECOVERED, EventType.DEPLOY_MARKED, EventType.DIGEST)  # fmt: skip


def examples() -> Mapping[str, Mapping[str, Any]]:
    """One event a type, as the core makes it. Of checks the one that went down, which has most to tell."""
    found: dict[str, Mapping[str, Any]] = {}
    for event in (*tour().events, *(event for event in _Night().events if event["type"] == EventType.DIGEST)):
        if event["type"] != "check.changed" or event["state"]["new"] == "down":
            found.setdefault(event["type"], event)
    return {told.value: found[told.value] for told in _SHOWN}


def examples_part() -> str:
    parts = []
    for told, event in examples().items():
        parts += [f"### {told}", fenced("json", json.dumps(event, indent=2, ensure_ascii=False))]
    return "\n\n".join(parts)


def schema() -> dict[str, Any]:
    text = files("monitor").joinpath("schemas/event.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def event_fields() -> Iterator[tuple[str, str, str]]:
    """(path, type, help) of every field that the schema knows."""
    document = schema()
    yield from _fields(document, document["$defs"], "")


def _fields(node: Mapping[str, Any], definitions: Mapping[str, Any], before: str) -> Iterator[tuple[str, str, str]]:
    required = set(node.get("required", ()))
    for name, given in node["properties"].items():
        inner = {**definitions[given["$ref"].rpartition("/")[2]], **given} if "$ref" in given else given
        path = before + name
        kind = _kind(given) + ("" if name in required else ", not always there")
        yield path, kind, inner.get("description", "")
        items = inner.get("items", inner)
        if "properties" in items:
            yield from _fields(items, definitions, path + ("[]." if "items" in inner else "."))


def _kind(given: Mapping[str, Any]) -> str:
    if "$ref" in given:
        named = {"moment": "time", "text": "text, at most 500 characters", "labels": "object of texts"}
        return named[given["$ref"].rpartition("/")[2]]
    if "enum" in given:
        return ", ".join(code(value) for value in given["enum"])
    if "const" in given:
        return code(given["const"])
    if "anyOf" in given:
        return " or ".join(_kind(option) for option in given["anyOf"])
    if given["type"] == "array":
        return f"list of {_plural(_kind(given['items']))}"
    if isinstance(given.get("additionalProperties"), Mapping):
        return f"object of {_plural(_kind(given['additionalProperties']))}"
    names: list[str] = given["type"] if isinstance(given["type"], list) else [given["type"]]
    return " or ".join("text" if name == "string" else name for name in names)


def _plural(kind: str) -> str:
    word, comma, rest = kind.partition(",")
    return f"{word}s{comma}{rest}"


def fields_part() -> str:
    rows = [(code(path), kind, sentence(told) if told else "") for path, kind, told in event_fields()]
    return table(("Field", "Type", "Meaning"), rows)


def status_part() -> str:
    return fenced("json", json.dumps(tour().worst, indent=2, ensure_ascii=False))


# --- metrics --------------------------------------------------------------------------------------------------


async def _scrape(telemetry: Telemetry) -> str:
    telemetry.delivery("hook", "accepted", 0.01)
    telemetry.arrival("ping", "accepted")
    telemetry.api_refused("missing")
    telemetry.turned_away("public")
    telemetry.heartbeat("healthchecks", "well", "taken")
    telemetry.hook("deploys", "done")
    telemetry.acted("drain", "dry")
    watching = asyncio.create_task(telemetry.watch_outbox(_Store()))
    await asyncio.sleep(0)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    return b"".join([piece async for piece in telemetry.metrics(openmetrics=True)]).decode()


@cache
def families() -> Mapping[str, tuple[str, str, str]]:
    """(type, labels, help) of every metric family, by the name that a query uses."""
    found = {}
    for family in text_string_to_metric_families(asyncio.run(_scrape(tour().telemetry))):  # type: ignore[no-untyped-call]
        labels = {label: None for sample in family.samples for label in sample.labels if label != "le"}
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        kind = {"info": "gauge, always 1", "stateset": "gauge, 1 for the present one"}.get(family.type, family.type)
        found[name] = (kind, ", ".join(code(label) for label in labels), family.documentation)
    return found


def metrics_part() -> str:
    def rows(of: Callable[[str], bool]) -> list[tuple[str, str, str, str]]:
        return [(code(name), *told) for name, told in families().items() if of(name)]

    head = ("Name", "Type", "Labels", "What it is")
    groups = {
        "Checks": lambda name: name.startswith("brownout_check"),
        "Services and incidents": lambda name: name.startswith(("brownout_service", "brownout_incident")),
        "The agent itself": lambda name: name.startswith("brownout_") and not name.startswith(_OTHERS),
        "The agent's process": lambda name: not name.startswith("brownout_"),
    }
    return "\n\n".join(f"## {title}\n\n{table(head, rows(of))}" for title, of in groups.items())


_OTHERS = ("brownout_check", "brownout_service", "brownout_incident")

BLOCKS: Mapping[str, Callable[[], str]] = {
    "event examples": examples_part,
    "event fields": fields_part,
    "status example": status_part,
    "metrics": metrics_part,
}
