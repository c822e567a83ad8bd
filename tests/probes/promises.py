"""What every probe class promises, built in or not."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, get_args, get_origin, get_type_hints

from probes.contract import Measurement, Probe, Unit


def check_class(probe: type[Probe]) -> None:
    """Asserts what can be known of a probe's class without taking a look."""
    assert dataclasses.is_dataclass(probe)
    assert probe.__dataclass_params__.frozen, "a frozen dataclass"  # type: ignore[attr-defined]
    assert "__slots__" in vars(probe), "with slots"
    assert re.fullmatch(r"[a-z][a-z0-9_]*", probe.kind)
    _check_manual(probe)
    _check_fields(probe)
    names = [measurement.name for measurement in probe.measurements]
    assert len(names) == len(set(names)), "measurements have unique names"
    for measurement in probe.measurements:
        assert isinstance(measurement, Measurement)
        assert isinstance(measurement.unit, Unit)
        assert measurement.help.endswith("."), f"{measurement.name} has its sentence"
    for level, conditions in probe.thresholds.items():
        assert level in ("degraded", "down")
        for condition in conditions:
            assert any(re.search(rf"\b{name}\b", condition) for name in names), (
                f"{condition!r} speaks of a measurement"
            )


def _check_manual(probe: type[Probe]) -> None:
    manual = probe.__doc__ or ""
    assert re.search(rf"```yaml\n.*probe: {probe.kind}\n.*```", manual, re.DOTALL), "an example in the docstring"
    assert "efault thresholds" in manual, "why these default thresholds, or none"
    assert "Limits:" in manual


def _check_fields(probe: type[Probe]) -> None:
    hints = get_type_hints(probe, include_extras=True)
    for each in dataclasses.fields(probe):
        if each.name.startswith("_"):
            assert not each.repr or probe.__repr__ is not object.__repr__
            continue
        hint = hints[each.name]
        assert get_origin(hint) is Annotated, f"{each.name} has no text"
        assert get_args(hint)[1].endswith("."), f"{each.name}'s text is a sentence"


def check_instance(probe: Probe) -> None:
    assert probe.target
    assert probe.host is None or probe.host
