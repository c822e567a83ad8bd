"""What is in force as JSON lines, and what was, out of them: looks are judged again by what they were judged by.

All that deciding needs of a configuration is written, and no more of a probe than its kind, its target and a digest
of its fields, without their secrets: by that it is known whether two looked at the same. It lies with the looks, in
the history, and goes when they do.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import types
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

from monitor.core.event import Source
from monitor.core.handled import Updates
from monitor.core.lived import Definition
from monitor.core.maintenance import Window
from monitor.core.model import Check, Service
from monitor.core.plan import Plan
from monitor.core.routing import Route
from monitor.core.rows import from_millis, to_millis
from monitor.core.succession import shown
from probes._passive.schedule import Cron, time_zone
from probes.contract import (
    Arrival,
    Context,
    Measurement,
    Observation,
    Passive,
    Presence,
    Probe,
    Reason,
    Secret,
    Unit,
)

VERSION = 1
KEPT = 200
"""Definitions that are kept at most; of 10,000 checks one has about 300 KB."""
TABLE = """
CREATE TABLE IF NOT EXISTS definitions (
    number INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    digest BLOB    NOT NULL,
    body   BLOB    NOT NULL
)"""
# `at`: from when on it was in force, UTC milliseconds since 1970. Older versions know nothing of this table, and do
# not mind it; so the schema has the number that it had.

_ADD = "INSERT INTO definitions (at, digest, body) VALUES (?, ?, ?)"
_NEWEST = "SELECT digest FROM definitions ORDER BY number DESC LIMIT 1"
_TOO_OLD = """
    DELETE FROM definitions WHERE number <= (SELECT MAX(number) FROM definitions) - ?
        OR number < (SELECT MAX(number) FROM definitions WHERE at <= ?)"""
_ENCODER = json.JSONEncoder(separators=(",", ":"), default=str)
_AS_THEY_ARE = frozenset((str, int, float, bool, type(None)))
_NOBODY = Secret("n" * 16)


@dataclass(frozen=True, slots=True)
class Written:
    """A definition as it is kept."""

    at: int
    digest: bytes
    body: bytes


def written(definition: Definition) -> Written:
    """In lines, so that whoever waits for the interpreter meanwhile gets it after one of them. The digest is that of
    the plan: what was seen before is another each time."""
    digest, packer = hashlib.sha256(), zlib.compressobj()
    packed = [packer.compress(_line({"seen": dict(definition.seen)}))]
    for item in _parts(definition.plan):
        line = _line(item)
        digest.update(line)
        packed.append(packer.compress(line))
    return Written(to_millis(definition.at), digest.digest(), b"".join((*packed, packer.flush())))


def keep(db: sqlite3.Connection, definition: Written, oldest: int, most: int = KEPT) -> None:
    """Unless it is in force already. Looks are kept from `oldest` (ms) on; what was in force then is kept, too."""
    if db.execute(_NEWEST).fetchone() == (definition.digest,):
        return
    db.execute(_ADD, (definition.at, definition.digest, definition.body))
    db.execute(_TOO_OLD, (most, oldest))


@dataclass(frozen=True, slots=True)
class Found:
    """What was in force from `at` on. `plan` is None where that cannot be read."""

    at: datetime
    digest: bytes
    plan: Plan | None
    seen: Mapping[str, float]


def definitions(db: sqlite3.Connection, source: Source) -> Iterator[Found]:
    """In the order in which they came into force; events would be told by `source`. Nothing of histories of older
    versions."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'definitions'").fetchone():
        return
    known: dict[bytes, Check | Service] = {}
    for at, digest, body in db.execute("SELECT at, digest, body FROM definitions WHERE at >= 0 ORDER BY number"):
        yield Found(from_millis(at), digest, *_read(digest, body, source, known))


def _read(
    digest: bytes, body: bytes, source: Source, known: dict[bytes, Check | Service]
) -> tuple[Plan | None, Mapping[str, float]]:
    """The plan, and what was seen before. None for damage, and for what another version has written otherwise."""
    try:
        first, _, text = zlib.decompress(body).partition(b"\n")
        if hashlib.sha256(text).digest() != digest:
            return None, {}
        seen = {name: float(tick) for name, tick in json.loads(first)["seen"].items()}
        return _plan(text.splitlines(), source, known), seen
    except (zlib.error, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return None, {}


# --- writing ------------------------------------------------------------------------------------------------------


def _parts(plan: Plan) -> Iterator[dict[str, Any]]:
    yield {
        "version": VERSION,
        "sinks": sorted(plan.sinks),
        "human": sorted(plan.human),
        "updates": dict(plan.updates),
        "routes": [_plain(item) for item in plan.routes],
        "maintenance": [_plain(item) for item in plan.maintenance],
    }
    clean = plan.source.redact
    for check in plan.checks.values():
        yield {"check": {**_plain(check), "probe": _probe(check.probe, clean)}}
    for service in plan.services.values():
        yield {"service": _plain(service)}


def _line(value: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(value).encode() + b"\n"


def _plain(value: Any) -> Any:
    kind: Any = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is tuple:
        return [_plain(item) for item in value]
    if kind is timedelta:
        return value.total_seconds()
    if kind is Cron:
        return {"cron": value.expression, "zone": value.zone.key}
    if (names := _names(kind)) is not None:
        return {"is": kind.__name__} | {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return value


@lru_cache(maxsize=128)
def _names(kind: type) -> tuple[str, ...] | None:
    """The fields that make a value of that type, but for a probe, see below; None where it is no dataclass."""
    if not is_dataclass(kind):
        return None
    return tuple(item.name for item in fields(kind) if item.init and item.name != "probe")


@lru_cache(maxsize=128)
def _measured(measurements: tuple[Measurement, ...]) -> list[Any]:
    return [[item.name, item.unit.value, item.ratio_of, item.cut_by] for item in measurements]


def _probe(probe: Probe, clean: Callable[[str], str]) -> dict[str, Any]:
    known = clean(repr((type(probe).__qualname__, shown(probe))))
    return {
        "kind": probe.kind,
        "target": clean(probe.target),
        "host": clean(probe.host) if probe.host else None,
        "fields": hashlib.sha256(known.encode("utf-8", "replace")).hexdigest()[:16],
        "passive": isinstance(probe, Passive),
        "measured": _measured(probe.measured),
    }


# --- reading ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """What was written of a probe."""

    of_kind: str
    address: str
    near: str | None
    digest: str
    names: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class Remembered(Probe):
    """A probe of the past. It never looks: its looks have been taken."""

    kind: ClassVar[str] = "remembered"
    measurements: ClassVar[tuple[Measurement, ...]] = ()

    known: _Known

    @property
    def target(self) -> str:
        return self.known.address

    @property
    def host(self) -> str | None:
        return self.known.near

    @property
    def measured(self) -> tuple[Measurement, ...]:
        return self.known.names

    async def look(self, context: Context) -> Observation:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class RememberedPassive(Passive):
    """The same of one that things arrived for."""

    kind: ClassVar[str] = "remembered passive"
    measurements: ClassVar[tuple[Measurement, ...]] = ()
    door: ClassVar[str] = ""

    known: _Known

    @property
    def target(self) -> str:
        return self.known.address

    @property
    def measured(self) -> tuple[Measurement, ...]:
        return self.known.names

    def receive(self, arrival: Arrival, memory: Any) -> None:
        raise NotImplementedError

    def report(self, presence: Presence, memory: Any) -> Observation:
        raise NotImplementedError


def _plan(lines: Sequence[bytes], source: Source, known: dict[bytes, Check | Service]) -> Plan:
    """What is `known` by its line is the same object again: by that a reload tells what goes on as it is. Raises many
    errors for what is no definition of this version."""
    head = json.loads(lines[0])
    if head["version"] != VERSION:
        raise ValueError("another version")
    checks: dict[str, Check] = {}
    services: dict[str, Service] = {}
    for line in lines[1:]:
        item = known.get(line)
        if item is None:
            item = known[line] = _item(json.loads(line))
        if isinstance(item, Check):
            checks[item.id] = item
        else:
            services[item.id] = item
    return Plan(
        checks,
        services,
        tuple(_made(Route, item) for item in head["routes"]),
        source,
        frozenset(head["sinks"]),
        tuple(_made(Window, item) for item in head["maintenance"]),
        human=frozenset(head.get("human", ())),
        updates={name: Updates(value) for name, value in head.get("updates", {}).items()},
    )


def _item(told: Mapping[str, Any]) -> Check | Service:
    found: Check | Service = _made(Check, told["check"]) if "check" in told else _made(Service, told["service"])
    return found


def _made(kind: Any, value: Any) -> Any:
    """The value of that type, of what `_plain` has made of it."""
    origin, within = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _made(_meant(within, value), value)
    if origin is tuple:
        several = within[-1] is Ellipsis
        return tuple(_made(within[0 if several else place], item) for place, item in enumerate(value))
    if origin is not None:  # a mapping, of names
        return {name: _made(within[1], item) for name, item in value.items()}
    if kind is Probe:
        return _remembered(value)
    if kind is timedelta:
        return timedelta(seconds=value)
    if isinstance(value, dict) and "cron" in value:
        return Cron(value["cron"], time_zone(value["zone"]))
    if isinstance(kind, type) and is_dataclass(kind):
        kinds = _kinds(kind)
        return kind(**{name: _made(kinds[name], item) for name, item in value.items() if name in kinds})
    return kind(value)


def _meant(kinds: tuple[Any, ...], value: Any) -> Any:
    """Which one of them."""
    real = [kind for kind in kinds if kind is not type(None)]
    return next((kind for kind in real if isinstance(value, dict) and kind.__name__ == value.get("is")), real[0])


@lru_cache(maxsize=64)
def _kinds(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _remembered(value: Mapping[str, Any]) -> Probe:
    names = tuple(
        Measurement(name, Unit(unit), "", (ratio[0], ratio[1]) if ratio else None, Reason(cut) if cut else None)
        for name, unit, ratio, cut in value["measured"]
    )
    known = _Known(value["kind"], value["target"], value["host"], value["fields"], names)
    return RememberedPassive(_NOBODY, known) if value["passive"] else Remembered(known)
