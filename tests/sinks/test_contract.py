"""What every sink keeps; the registry finds them, so a new one is tested by being there."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
import yaml

from monitor.sinks import registry
from monitor.sinks.contract import Nature, Sink

ALL = registry.load()
KINDS = pytest.mark.parametrize("kind", sorted(ALL.kinds))


def test_ours_are_found_and_none_is_broken() -> None:
    assert {"webhook", "console"} <= set(ALL.kinds)
    assert ALL.broken == {}


@KINDS
def test_it_is_a_frozen_value_of_a_kind_and_a_nature(kind: str) -> None:
    sink = ALL.kinds[kind]
    assert dataclasses.is_dataclass(sink)
    assert sink.__dataclass_params__.frozen
    assert "__dict__" not in dir(sink), "slots=True is missing"
    assert sink.kind == kind
    assert isinstance(sink.nature, Nature)
    assert sink.__module__.rpartition(".")[2] == kind, "one kind a file, named like the kind"
    assert inspect.iscoroutinefunction(sink.send)


@KINDS
def test_its_docstring_is_a_manual_with_an_example_that_names_real_fields(kind: str) -> None:
    sink = ALL.kinds[kind]
    manual = inspect.getdoc(sink) or ""
    examples = re.findall(r"```yaml\n(.*?)```", manual, re.DOTALL)
    assert examples, "show how it is written in checks.yaml"
    fields = {field.name.rstrip("_") for field in dataclasses.fields(sink)}
    for example in examples:
        for entry in yaml.safe_load(example)["sinks"].values():
            assert entry.pop("type") == kind
            assert set(entry) <= fields


@KINDS
def test_every_field_says_what_it_means(kind: str) -> None:
    hints = get_type_hints(ALL.kinds[kind], include_extras=True)
    for field in dataclasses.fields(ALL.kinds[kind]):
        hint = hints[field.name]
        assert get_origin(hint) is Annotated, field.name
        assert len(get_args(hint)[1]) > 10, field.name


def test_a_strangers_class_is_checked() -> None:
    class NoSink: ...

    with pytest.raises(TypeError, match="no Sink of kind x"):
        registry._checked("x", NoSink)
    assert issubclass(registry._checked("console", ALL.kinds["console"]), Sink)
