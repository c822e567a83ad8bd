"""The generated parts that list what the code declares: keys, probes, sinks, reasons, commands, figures."""

from __future__ import annotations

import argparse
import inspect
import math
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from itertools import groupby
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, PlainValidator

from docs._markdown import code, fenced, sentence, table
from monitor.cli import EXIT_CODES, _parser
from monitor.config.agent import DEFAULT_LISTEN
from monitor.config.conditions import LONGEST_WINDOW, MOST_LOOKS
from monitor.config.fields import Leaf, own_fields, own_model
from monitor.config.foreach import MOST_CHECKS, MOST_FROM_ONE
from monitor.config.model import DEFAULT_EVERY, DEFAULT_TIMEOUT, Limits
from monitor.config.schema import (
    SHORTEST_EVERY,
    SHORTEST_TIMEOUT,
    AgentKeys,
    CheckKeys,
    DefaultsKeys,
    RouteKeys,
    ServiceKeys,
    SinkKeys,
)
from monitor.config.units import format_duration, format_size
from monitor.core import failures, judge, series, threshold
from monitor.core.model import Confirm, Recover
from monitor.outbox import Pace
from monitor.pipeline import FLUSH_EVERY, RETRY_COMMIT
from monitor.sinks.contract import Nature
from monitor.sinks.registry import sinks
from monitor.store.contract import Keep
from probes.contract import Unit
from probes.reasons import Blame, Reason
from probes.registry import builtin

_NONE = "none"
_REQUIRED = "required"
_STATE_DIR = "`$STATE_DIRECTORY` (systemd), else `$XDG_STATE_HOME/brownout`, else `~/.local/state/brownout`"


def _evidence_defaults() -> dict[str, str]:
    confirm, recover = Confirm(), Recover()
    return {
        "confirm": _NONE,
        "confirm.looks": code(confirm.looks),
        "confirm.span": code(format_duration(confirm.span)),
        "recover": _NONE,
        "recover.looks": code(recover.looks),
        "recover.every": code(format_duration(recover.every)),
    }


def _section_defaults() -> dict[type[BaseModel], dict[str, str]]:
    """What the loader puts in for a key that is left out. A key without an entry here stops the generator."""
    limits = Limits()
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
            "public_url": "none: events carry no link to the page",
        },
        DefaultsKeys: {
            **_evidence_defaults(),
            "every": code(format_duration(DEFAULT_EVERY)),
            "timeout": f"{code(format_duration(DEFAULT_TIMEOUT))}, or `every` where that is shorter",
            "labels": _NONE,
            "owner": _NONE,
            "impact": "`outage`",
        },
        ServiceKeys: {
            "title": "the service's name",
            "outage": "any check of the service whose impact is `outage`",
            "owner": _NONE,
            "runbook": _NONE,
            "labels": _NONE,
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
        },
        RouteKeys: {"when": "every incident, and what concerns the agent itself"},
        SinkKeys: {},
    }


# --- the keys of checks.yaml ----------------------------------------------------------------------------------


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
            yield from keys_of(inner, path + ".")


def type_of(annotation: Any, metadata: Sequence[Any] = ()) -> tuple[str, type[BaseModel] | None]:
    """How a key is written, in words; and the model of its own keys, if it has any."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_of(args[0], args[1:])
    if leaf := next((item for item in metadata if isinstance(item, Leaf)), None):
        return _short(leaf.noun), None
    if any(isinstance(item, PlainValidator) for item in metadata):
        return "secret", None
    if origin in (Union, types.UnionType):
        return type_of(next(arg for arg in args if arg is not type(None)))
    if origin is tuple:
        return f"{type_of(args[0])[0]}, or a list of them", None
    if origin is dict:
        return f"mapping of names to {type_of(args[1])[0]}s", None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping", annotation
    raise TypeError(f"no words for the type {annotation}")


def _short(noun: str) -> str:
    if match := re.match(r"an? (.+?)( such as .*| of 1 to .*| that .*)?$", noun):
        return match[1]
    return " or ".join(code(word) for word in noun.split(" or "))


def _own_keys(cls: type) -> str:
    """The keys of a probe or sink: types and help from its fields, defaults from its dataclass."""
    rows = []
    for path, kind, required, told in keys_of(own_model(cls)):
        if kind != "mapping":
            rows.append((code(path), kind, _REQUIRED if required else _default(cls, path, kind), sentence(told)))
    return table(("Key", "Type", "Default", "Meaning"), rows)


def _default(cls: Any, path: str, kind: str) -> str:
    name, _, rest = path.partition(".")
    by_key = {field.rstrip("_"): field for field, _ in own_fields(cls)}
    field = next(item for item in fields(cls) if item.name == by_key[name])
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if rest and is_dataclass(value):
        return _default(type(value), rest, kind)
    return _value(value, kind)


def _value(value: Any, kind: str) -> str:
    if value is None or value == () or value == {}:
        return _NONE
    if isinstance(value, bool):
        return code("true" if value else "false")
    if isinstance(value, timedelta):
        return code(format_duration(value))
    if isinstance(value, tuple):
        return ", ".join(_value(item, kind) for item in value)
    return code(format_size(value) if kind == "size" else value)


# --- probes, sinks, reasons, commands -------------------------------------------------------------------------


def probes_part() -> str:
    return "\n\n".join(_probe(kind) for kind in builtin())


def _probe(kind: str) -> str:
    probe = builtin()[kind]
    rows = [
        (code(item.name), _unit(item.unit), item.help + (" A ratio of sums." if item.ratio_of else ""))
        for item in probe.measurements
    ]
    thresholds = [f"- {level}: {code(text)}" for level, texts in probe.thresholds.items() for text in texts]
    return "\n\n".join(
        (
            f"## {kind}",
            _manual(probe),
            "Keys, besides those [of every check](configuration.md#checks):",
            _own_keys(probe),
            "Measurements:",
            table(("Name", "Unit", "What it is"), rows),
            "Default thresholds:" if thresholds else "Default thresholds: none.",
            "\n".join(thresholds),
        )
    ).strip()


def _unit(unit: Unit) -> str:
    return {
        Unit.SECONDS: "seconds, written `800ms`, `5m`",
        Unit.RATIO: "ratio, written `1%`",
        Unit.BYTES: "bytes, written `20MiB`",
        Unit.COUNT: "count, written `50`",
        Unit.PER_SECOND: "a second, written `3/s`",
        Unit.BYTES_PER_SECOND: "bytes a second, written `20MiB/s`",
    }[unit]


def sinks_part() -> str:
    return "\n\n".join(_sink(kind) for kind in sorted(sinks()))


def _sink(kind: str) -> str:
    sink = sinks()[kind]
    nature = {
        Nature.LOG: "*log*: it gets every event, in order",
        Nature.LEVEL: "*level*: it gets the present state; an older one that was never attempted is left out",
        Nature.HUMAN: "*human*: it gets the first at once, and a storm behind it gathered",
    }[sink.nature]
    return "\n\n".join((f"## {kind}", _manual(sink), f"Nature: {nature}.", "Keys, besides `type`:", _own_keys(sink)))


def _manual(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def reasons_part() -> str:
    titles = {
        Blame.TARGET: "The target's trouble: it can make a check down or degraded",
        Blame.CANNOT_TELL: "Cannot tell: never evidence for or against the target",
        Blame.US: "Our own trouble: never evidence for or against the target",
    }
    parts = []
    for blame, title in titles.items():
        rows = [(code(r.value), sentence(r.meaning), sentence(r.advice)) for r in Reason if r.blame is blame]
        parts += [f"## {title}", table(("Reason", "Meaning", "What to do"), rows)]
    return "\n\n".join(parts)


def subcommands() -> Mapping[str, argparse.ArgumentParser]:
    """Every command of the command line, by name."""
    actions = _parser()._actions  # noqa: SLF001  (argparse has no other way to its subparsers)
    found = next(action for action in actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    return dict(found.choices)


def cli_part() -> str:
    rows = [(f"[`{name}`](#{name})", command.description or "") for name, command in subcommands().items()]
    parts = [table(("Command", "What it does"), rows), *map(_command, subcommands()), "## Exit codes"]
    return "\n\n".join((*parts, fenced("text", EXIT_CODES)))


def _command(name: str) -> str:
    command = subcommands()[name]
    words, rows = [f"brownout {name}"], []
    for action in command._actions:  # noqa: SLF001  (as above)
        shown = action.option_strings[-1] if action.option_strings else str(action.metavar)
        if shown == "--help":
            continue
        value = f" {action.metavar or action.dest.upper()}" if action.option_strings and action.nargs != 0 else ""
        optional = bool(action.option_strings) or action.nargs == "?"
        words.append(f"[{shown}{value}]" if optional else shown)
        told = (action.help or "").replace("%(default)s", str(action.default))
        rows.append((code(shown + value), sentence(told)))
    parts = [f"## {name}", command.description or "", fenced("text", " ".join(words))]
    return "\n\n".join([*parts, table(("Argument", "Meaning"), rows)] if rows else parts)


# --- figures --------------------------------------------------------------------------------------------------


def judging_part() -> str:
    confirm, recover = Confirm(), Recover()
    burst = ", ".join(f"{offset:g}" for offset in failures.BURST)
    runs = math.ceil(failures._ALARM / failures._FAILURE_STEP)  # noqa: SLF001  (the docs tell what it is)
    rows = [
        ("Failed looks in a row that call a check down", str(confirm.looks)),
        ("... and the time they must span at least", format_duration(confirm.span)),
        ("Extra looks after a first failure, in seconds", burst),
        ("Extra looks after that, until it is settled", f"every {failures.PACE:g} s"),
        ("Time limit of an extra look", f"{judge.EXTRA_TIMEOUT:g} s, or 3 times the last good look if longer"),
        ("Separate failures that call it degraded", f"{runs}, with few good looks between"),
        ("Good looks in a row after which it is no longer down", str(failures._LOOKS_TO_LEAVE_DOWN)),  # noqa: SLF001
        ("Good looks until it is up", f"about {recover.looks}, one every {format_duration(recover.every)}"),
        ("Looks in a row that cannot tell until `unknown`", f"{judge.BLIND_LOOKS}, over at least one interval"),
        ("Looks that settle a threshold without window or `for`", f"{threshold.SETTLE_LOOKS} in a row"),
        ("Looks an aggregate needs before it says anything", f"{threshold.FEWEST_SAMPLES}, or all the window holds"),
        ("Samples kept of one measurement", f"{series.SAMPLES_LIMIT}, and none older than the longest window"),
    ]
    return table(("What", "Default"), rows)


def delivery_part() -> str:
    pace, keep = Pace(), Keep()
    runs = [(format_duration(timedelta(seconds=wait)), len(list(same))) for wait, same in groupby(pace.backoff)]
    waits = ", ".join(wait if times == 1 else f"{times} times {wait}" for wait, times in runs)
    days = sum(pace.backoff) / 86400
    rows = [
        ("Waits after the first, second, ... failed attempt", waits),
        ("Added to each wait, at random", f"up to {pace.jitter:.0%}"),
        ("Attempts until a dead letter", str(len(pace.backoff) + 1)),
        ("All of them together take", f"about {days:.1f} to {days * (1 + pace.jitter):.1f} days"),
        ("Longest that one attempt may take", f"{pace.send_timeout:g} s"),
        ("Streams that are sent to one sink at the same time", str(pace.streams)),
        ("Events kept", f"{keep.events:,}, besides those that are still owed"),
        ("Dead letters kept", f"{keep.dead:,}"),
        ("Transitions kept", f"{keep.transitions:,}"),
        ("Resolved incidents kept", f"{keep.incidents:,}"),
        ("What checks remember is written", f"every {FLUSH_EVERY:g} s"),
        ("A commit that failed is tried again", f"every {RETRY_COMMIT:g} s"),
    ]
    return table(("What", "Figure"), rows)


def bounds_part() -> str:
    rows = [
        ("`every`", f"at least {format_duration(SHORTEST_EVERY)}"),
        ("`timeout`", f"at least {format_duration(SHORTEST_TIMEOUT)}, at most `every`"),
        ("A window", f"1s to {format_duration(LONGEST_WINDOW)}, and not shorter than `every`"),
        ("`for N of M`", f"M up to {MOST_LOOKS}"),
        ("Checks from one `for_each`", f"{MOST_FROM_ONE:,}"),
        ("Checks in all", f"{MOST_CHECKS:,}"),
    ]
    return table(("What", "Bounds"), rows)


SECTION_KEYS: Mapping[type[BaseModel], str] = {
    AgentKeys: "agent.",
    DefaultsKeys: "defaults.",
    SinkKeys: "",
    ServiceKeys: "",
    CheckKeys: "",
    RouteKeys: "",
}
"""What stands before the keys of each section in docs/configuration.md."""

BLOCKS: Mapping[str, Callable[[], str]] = {
    "agent": lambda: section(AgentKeys),
    "defaults": lambda: section(DefaultsKeys),
    "sink": lambda: section(SinkKeys),
    "service": lambda: section(ServiceKeys),
    "check": lambda: section(CheckKeys),
    "route": lambda: section(RouteKeys),
    "bounds": bounds_part,
    "probes": probes_part,
    "sinks": sinks_part,
    "reasons": reasons_part,
    "commands": cli_part,
    "judging": judging_part,
    "delivery": delivery_part,
}
