"""The kinds of probes and sinks that a file may name, and the models of their entries, each made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, Field

from monitor.config.conditions import parse_condition, split_condition
from monitor.config.fields import TEXT_JSON, Leaf, Listed, build_model
from monitor.config.schema import CheckKeys, SinkKeys
from monitor.core.condition import Condition, Level
from monitor.sinks.contract import Sink
from probes.contract import Probe


@dataclass(frozen=True, slots=True)
class Kinds:
    """By the word that stands after ``probe:`` and ``type:``."""

    probes: Mapping[str, type[Probe]]
    sinks: Mapping[str, type[Sink]]
    broken_sinks: Mapping[str, str] = field(default_factory=dict)
    """Why a kind of sink cannot be used (text for people): told only to whom uses it."""


@cache
def check_model(probe: type[Probe]) -> type[BaseModel]:
    """The model of a check with this probe. Raises `TypeError` when the probe's fields cannot be read from YAML."""
    levels: dict[str, Any] = {
        level.value: (
            Annotated[tuple[Annotated[Condition | str, _condition(probe, level)], ...], Listed(_refuse_split)],
            Field((), description=CheckKeys.model_fields[level.value].description),
        )
        for level in Level
    }
    return build_model(probe, f"check_{probe.kind}", CheckKeys, **levels)


@cache
def sink_model(sink: type[Sink]) -> type[BaseModel]:
    """The model of a sink of this kind. Raises `TypeError` as `check_model` does."""
    return build_model(sink, f"sink_{sink.kind}", SinkKeys)


@cache
def default_conditions(probe: type[Probe]) -> tuple[Condition, ...]:
    """The thresholds that the probe brings along. Raises `TypeError` when one cannot be read."""
    if probe.usual is not None and probe.usual not in {item.name for item in probe.measurements}:
        raise TypeError(f'it has no measurement "{probe.usual}", which it compares with the past')
    found = []
    for level in Level:
        for text in probe.thresholds.get(level.value, ()):
            try:
                found.append(parse_condition(text, level, probe.measurements))
            except ValueError as error:
                raise TypeError(f'its own threshold "{text}" cannot be read: {error}') from None
    return tuple(found)


def names_measurements(probe: type[Probe]) -> bool:
    """Whether fields of a check name its measurements: then its conditions stay text until the probe is made."""
    return probe.measured is not Probe.measured


def _condition(probe: type[Probe], level: Level) -> Leaf:
    noun = f"a condition such as {_example(probe)}"
    if names_measurements(probe):
        return Leaf(str, noun, TEXT_JSON)
    parse: Callable[[str], Condition] = lru_cache(maxsize=1024)(
        lambda text: parse_condition(text, level, probe.measurements)
    )
    return Leaf(parse, noun, TEXT_JSON)


def _example(probe: type[Probe]) -> str:
    return f"{probe.measurements[0].name} > ..." if probe.measurements else "response_time > 800ms"


def _refuse_split(pieces: list[Any]) -> None:
    whole = split_condition([piece for piece in pieces if isinstance(piece, str)])
    if whole is not None:
        raise ValueError(f'the list has split a condition at its comma: quote it: ["{whole}"]')
