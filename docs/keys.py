"""The generated tables of keys: those of the sections of checks.yaml, and those of one probe or sink."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, PlainValidator

from docs._markdown import code, sentence, table
from monitor.config.agent import DEFAULT_LISTEN
from monitor.config.conditions import LONGEST_WINDOW, MOST_LOOKS
from monitor.config.deeds import Deed
from monitor.config.document import MAX_BYTES, MAX_NODES
from monitor.config.escalation import MOST_STEPS, ByName, StepKeys
from monitor.config.fields import Leaf, own_fields, own_model
from monitor.config.flapping import FEWEST, LONGEST, MOST, SHORTEST, FlappingKeys, Switched
from monitor.config.foreach import MOST_CHECKS, MOST_FROM_ONE, MOST_MADE
from monitor.config.heartbeat import DEFAULT_EVERY as DEFAULT_HEARTBEAT
from monitor.config.maintenance import MaintenanceKeys
from monitor.config.model import DEFAULT_EVERY, DEFAULT_TIMEOUT, Limits
from monitor.config.oncall import HANDOVER, REFRESH, WEEK, OncallKeys
from monitor.config.people import AWAKE, PersonKeys
from monitor.config.resolving import Named
from monitor.config.schema import (
    SHORTEST_EVERY,
    SHORTEST_REMIND,
    SHORTEST_TIMEOUT,
    AgentKeys,
    CheckKeys,
    DefaultsKeys,
    RouteKeys,
    ServiceKeys,
    SinkKeys,
)
from monitor.config.units import format_duration, format_size
from monitor.core.history import Retention
from monitor.core.hours import clock_time
from monitor.core.model import Confirm, Flapping, Recover
from monitor.sinks.contract import Fallback, Most, Sink
from probes._names.stub_resolver import KEPT

_NONE = "none"
_REQUIRED = "required"
_FLAPPING = dict.fromkeys(("flapping", *(f"flapping.{key}" for key in FlappingKeys.model_fields)), "as in `defaults`")
_STATE_DIR = "`$STATE_DIRECTORY` (systemd), else `$XDG_STATE_HOME/brownout`, else `~/.local/state/brownout`"


def _evidence_defaults() -> dict[str, str]:
    confirm, recover = Confirm(), Recover()
    return {
        "confirm": _NONE,
        "confirm.policy": code(confirm.policy.value),
        "confirm.looks": code(confirm.looks),
        "confirm.span": code(format_duration(confirm.span)),
        "recover": _NONE,
        "recover.looks": code(recover.looks),
        "recover.every": code(format_duration(recover.every)),
    }


def _section_defaults() -> dict[type[BaseModel], dict[str, str]]:
    """What the loader puts in for a key that is left out. A key without an entry here stops the generator."""
    limits, kept, flapping = Limits(), Retention(), Flapping()
    return {
        AgentKeys: {
            "listen": code(f"{DEFAULT_LISTEN.host}:{DEFAULT_LISTEN.port}"),
            "state_dir": _STATE_DIR,
            "vantage": _NONE,
            "vantage.name": "the host's name",
            "vantage.reference": _NONE,
            "limits": _NONE,
            "limits.looks": code(limits.looks),
            "limits.looks_per_host": code(limits.looks_per_host),
            "resolver": "`own`",
            "resolver.use": "`own`",
            "resolver.servers": "those of `/etc/resolv.conf`",
            "resolver.cache": f"`on`: at most {format_duration(timedelta(seconds=KEPT))}",
            "history": _NONE,
            "history.raw": code(format_duration(kept.raw)),
            "history.five_minutes": code(format_duration(kept.five_minutes)),
            "history.hourly": code(format_duration(kept.hourly)),
            "public_url": "none: events carry no link to the page",
            "public": _NONE,
            "public.listen": _NONE,
            "tokens": "none: nobody may write",
            "tokens.NAME.token": _NONE,
            "tokens.NAME.scopes": _NONE,
            "hooks": "none: nobody is heard",
            "hooks.NAME.type": _NONE,
            "hooks.NAME.secret": _NONE,
            "hooks.NAME.services": "all",
            "hooks.NAME.environment": "all",
            "protected": "`false`",
            "actions": "`on`",
            "heartbeat": "none: nobody",
            "heartbeat.healthchecks": _NONE,
            "heartbeat.betterstack": _NONE,
            "heartbeat.honeybadger": _NONE,
            "heartbeat.url": _NONE,
            "heartbeat.fail_url": "none: silence",
            "heartbeat.every": code(format_duration(DEFAULT_HEARTBEAT)),
        },
        DefaultsKeys: {
            **_evidence_defaults(),
            "every": code(format_duration(DEFAULT_EVERY)),
            "timeout": f"{code(format_duration(DEFAULT_TIMEOUT))}, or `every` where that is shorter",
            "labels": _NONE,
            "owner": _NONE,
            "impact": "`outage`",
            "usual": "`on`",
            "flapping": "`on`",
            "flapping.bouts": code(flapping.bouts),
            "flapping.within": code(format_duration(flapping.within)),
            "flapping.quiet": "half of `within`",
        },
        ServiceKeys: {
            "title": "the service's name",
            "outage": "any check of the service whose impact is `outage`",
            "owner": _NONE,
            "runbook": _NONE,
            "labels": _NONE,
            **_FLAPPING,
        },
        CheckKeys: {
            **dict.fromkeys(_evidence_defaults(), "as in `defaults`"),
            "id": "the name",
            "was": _NONE,
            "service": "one of its own, called like the check",
            "every": "as in `defaults`",
            "timeout": "as in `defaults`",
            "labels": "as in `defaults`",
            "owner": "as in `defaults`",
            "runbook": _NONE,
            "impact": "`outage` if the service's rule names it, `degradation` if the rule names others; "
            "without a rule as in `defaults`",
            "enabled": "`true`",
            "depends_on": _NONE,
            "degraded": "the probe's own",
            "down": "the probe's own",
            "defaults": "`on`",
            **dict.fromkeys(("resolver", "resolver.use", "resolver.servers", "resolver.cache"), "as in `agent`"),
            "ip": "both, in the order of RFC 6724",
            "usual": "as in `defaults`, for the probes that have something to compare",
            **_FLAPPING,
        },
        MaintenanceKeys: {
            "checks": _NONE,
            "services": _NONE,
            "labels": _NONE,
            "from": _NONE,
            "until": _NONE,
            "schedule": _NONE,
            "for": _NONE,
            "timezone": "`UTC`",
            "why": _NONE,
        },
        PersonKeys: {
            "timezone": "`UTC`",
            "awake": code("-".join(map(clock_time, AWAKE))),
            "known_as": "the name here",
        },
        OncallKeys: {
            "rotation": _NONE,
            "from": "none: needed for a rotation",
            "every": code(format_duration(WEEK)),
            "handover": code(f"{HANDOVER:%H:%M}"),
            "timezone": "`UTC`",
            "overrides": _NONE,
            "calendar": _NONE,
            "refresh": code(format_duration(REFRESH)),
            "prefer": "`turn`",
        },
        RouteKeys: {
            "during": "always",
            "quiet": "never",
            "when": "every incident, and what concerns the agent itself",
            "to": "required without `escalate`",
            "escalate": "nobody",
            "remind": "never",
        },
        StepKeys: {"after": "at once"},
        SinkKeys: {},
    }


_WORDS = {
    "degraded": "condition, or a list of them",
    "down": "condition, or a list of them",
    "outage": "outage rule",
    "when": "expression",
}
"""Texts that have a grammar of their own, told on the page."""


def section(model: type[BaseModel]) -> str:
    """The keys of one section, nested ones with their path."""
    defaults, prefix = _section_defaults()[model], SECTION_KEYS[model]
    rows = []
    for path, kind, required, told in keys_of(model):
        kind = _WORDS.get(path, kind)
        default = _REQUIRED if required else defaults[path]
        if kind != "mapping" or default != _NONE:
            rows.append((code(prefix + path), kind, default, code(told) if " | " in told else sentence(told)))
    return table(("Key", "Type", "Default", "Meaning"), rows)


def keys_of(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, str, bool, str]]:
    """(path, type, whether it must be written, help) of every key, those of nested mappings included."""
    for name, field in model.model_fields.items():
        path = before + (field.alias or name)
        kind, inner = type_of(field.annotation, field.metadata)
        yield path, kind, field.is_required(), field.description or ""
        if inner is not None:
            yield from keys_of(inner, f"{path}." if kind.endswith("mapping") else f"{path}.NAME.")


def type_of(annotation: Any, metadata: Sequence[Any] = ()) -> tuple[str, type[BaseModel] | None]:
    """How a key is written, in words; and the model of its own keys, if it has any."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_of(args[0], args[1:])
    if leaf := next((item for item in metadata if isinstance(item, Leaf)), None):
        return _short(leaf.noun), None
    if any(isinstance(item, Switched) for item in metadata):
        return "`on`, `off`, or a mapping", annotation
    if any(isinstance(item, Named) for item in metadata):
        return "`own`, `system`, address, a list of them, or a mapping", annotation
    if any(isinstance(item, ByName) for item in metadata):
        return "name, or a list of [steps](#escalations)", None
    if any(isinstance(item, PlainValidator) for item in metadata):
        return "secret", None
    if origin in (Union, types.UnionType):
        return type_of(next(arg for arg in args if arg is not type(None)))
    if origin is tuple:
        return f"{type_of(args[0])[0]}, or a list of them", None
    if origin is dict:
        kind, inner = type_of(args[1])
        return f"mapping of names to {kind}" + ("" if kind.endswith("`") else "s"), inner
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping", annotation
    raise TypeError(f"no words for the type {annotation}")


def _short(noun: str) -> str:
    if match := re.match(r"an? (.+?)( such as .*| of 1 to .*| that .*)?$", noun):
        return match[1]
    return " or ".join(code(word) for word in noun.split(" or "))


def own_keys(cls: type) -> str:
    """The keys of a probe or sink: types and help from its fields, defaults from its dataclass."""
    shared = {path for path, *_ in keys_of(own_model(Sink))} if issubclass(cls, Sink) else set()
    return table(("Key", "Type", "Default", "Meaning"), list(_own_rows(cls, shared)))


def sink_section() -> str:
    """The keys that every sink has."""
    kind = (code("type"), "text", _REQUIRED, "Which kind of sink.")
    nested = {code("fallback.after"): _default(Fallback, "after", "duration")}
    rows = [(key, noun, nested.get(key, default), told) for key, noun, default, told in _own_rows(Sink, set())]
    return table(("Key", "Type", "Default", "Meaning"), [kind, *rows])


def _own_rows(cls: type, left_out: set[str]) -> Iterator[tuple[str, str, str, str]]:
    for path, kind, required, told in keys_of(own_model(cls)):
        if kind != "mapping" and path not in left_out:
            yield code(path), kind, _REQUIRED if required else _default(cls, path, kind), sentence(told)


def _default(cls: Any, path: str, kind: str) -> str:
    name, _, rest = path.partition(".")
    by_key = {field.rstrip("_"): field for field, _ in own_fields(cls)}
    field = next(item for item in fields(cls) if item.name == by_key[name])
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if rest and is_dataclass(value):
        return _default(type(value), rest, kind)
    return _value(value, kind)


def _value(value: Any, kind: str) -> str:
    if value is None or value in ((), {}, ""):
        return _NONE
    if isinstance(value, Most):
        return code(f"{value.count} per {format_duration(value.per)}")
    if isinstance(value, bool):
        return code("true" if value else "false")
    if isinstance(value, timedelta):
        return code(format_duration(value))
    if isinstance(value, tuple):
        return ", ".join(_value(item, kind) for item in value)
    return code(format_size(value) if kind == "size" else value)


def bounds_part() -> str:
    rows = [
        ("`every`", f"at least {format_duration(SHORTEST_EVERY)}"),
        ("`timeout`", f"at least {format_duration(SHORTEST_TIMEOUT)}, at most `every`"),
        ("`flapping.bouts`", f"{FEWEST} to {MOST}"),
        ("`flapping.within`, `flapping.quiet`", f"{format_duration(SHORTEST)} to {format_duration(LONGEST)}"),
        ("Steps of an escalation", f"{MOST_STEPS}"),
        ("`remind`", f"at least {format_duration(SHORTEST_REMIND)}"),
        ("A window", f"1s to {format_duration(LONGEST_WINDOW)}, and not shorter than `every`"),
        ("`for N of M`", f"M up to {MOST_LOOKS}"),
        ("Checks from one `for_each`", f"{MOST_FROM_ONE:,}"),
        ("Checks in all", f"{MOST_CHECKS:,}"),
        ("A file", format_size(MAX_BYTES)),
        ("Texts, lists and mappings in all files", f"{MAX_NODES:,}; what `for_each` makes of them: {MOST_MADE:,}"),
    ]
    return table(("What", "Bounds"), rows)


SECTION_KEYS: Mapping[type[BaseModel], str] = {
    AgentKeys: "agent.",
    DefaultsKeys: "defaults.",
    SinkKeys: "",
    ServiceKeys: "",
    CheckKeys: "",
    RouteKeys: "",
    PersonKeys: "",
    OncallKeys: "oncall.",
    StepKeys: "",
    MaintenanceKeys: "",
}
"""What stands before the keys of each section in docs/configuration.md."""

BLOCKS: Mapping[str, Callable[[], str]] = {
    "agent": lambda: section(AgentKeys),
    "defaults": lambda: section(DefaultsKeys),
    "sink": sink_section,
    "service": lambda: section(ServiceKeys),
    "check": lambda: section(CheckKeys),
    "route": lambda: section(RouteKeys),
    "person": lambda: section(PersonKeys),
    "oncall": lambda: section(OncallKeys),
    "step": lambda: section(StepKeys),
    "maintenance": lambda: section(MaintenanceKeys),
    "action": lambda: own_keys(Deed),
    "bounds": bounds_part,
}
