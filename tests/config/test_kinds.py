"""Kinds as plug-ins bring them: every field type of the contract is read, and a broken kind is a fault, no crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import pytest

from monitor.config.kinds import check_model, default_conditions
from monitor.config.load import ConfigError, Kinds, load
from probes.contract import BadField, Measurement, Probe, Unit
from probes.registry import builtin
from tests.config.kinds import StandIn

LAG = (Measurement("lag", Unit.SECONDS, "Behind."),)


@dataclass(frozen=True, slots=True)
class OddField(StandIn):
    kind: ClassVar[str] = "odd"
    measurements: ClassVar[tuple[Measurement, ...]] = LAG
    where: complex


@dataclass(frozen=True, slots=True)
class TakenKey(StandIn):
    kind: ClassVar[str] = "taken"
    measurements: ClassVar[tuple[Measurement, ...]] = LAG
    labels: str


@dataclass(frozen=True, slots=True)
class BadThreshold(StandIn):
    kind: ClassVar[str] = "threshold"
    measurements: ClassVar[tuple[Measurement, ...]] = LAG
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"down": ("lagg > 3s",)}


@dataclass(frozen=True, slots=True)
class BadUsual(StandIn):
    kind: ClassVar[str] = "usual"
    measurements: ClassVar[tuple[Measurement, ...]] = LAG
    usual: ClassVar[str | None] = "lagg"


@dataclass(frozen=True, slots=True)
class Picky(StandIn):
    kind: ClassVar[str] = "picky"
    measurements: ClassVar[tuple[Measurement, ...]] = LAG
    from_: Annotated[str, "A field called like a word of Python's."] = ""
    json: str | None = None

    def __post_init__(self) -> None:
        if self.json:
            raise ValueError("json and from cannot be together")
        if self.from_ == "nowhere":
            raise BadField("from_", "is nowhere: write a place")


def first_fault(folder: Path, probe: type[Probe], keys: str = "") -> str:
    path = folder / "checks.yaml"
    path.write_text(f"checks:\n  - name: a\n    probe: {probe.kind}\n    {keys}\n")
    with pytest.raises(ConfigError) as error:
        load(path, kinds=Kinds({probe.kind: probe}, {}), env={"HOME": "/"})
    assert len(error.value.faults) == 1
    return str(error.value.faults[0]).removeprefix(f"{path}:")


@pytest.mark.parametrize("probe", builtin().values(), ids=builtin())
def test_every_probe_of_ours_can_be_read(probe: type[Probe]) -> None:
    check_model(probe)
    default_conditions(probe)


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (OddField, "OddField.where: fields of the type <class 'complex'> cannot be read from YAML"),
        (TakenKey, "TakenKey.labels: every entry has a key of that name already"),
        (
            BadThreshold,
            'its own threshold "lagg > 3s" cannot be read: unknown measurement "lagg" (did you mean lag?)',
        ),
        (BadUsual, 'it has no measurement "lagg", which it compares with the past'),
    ],
)
def test_a_broken_kind(tmp_path: Path, probe: type[Probe], said: str) -> None:
    broken = "this kind of probe is broken, report it to its author"
    assert first_fault(tmp_path, probe) == f"3:5: checks[0].probe: {broken}: {said}"


def test_what_a_probe_refuses(tmp_path: Path) -> None:
    assert first_fault(tmp_path, Picky, "json: a") == "2:5: checks[0]: json and from cannot be together"
    assert first_fault(tmp_path, Picky, "from: nowhere") == "4:5: checks[0].from: is nowhere: write a place"


def test_a_sink_that_cannot_be_used_says_why_and_only_to_whom_uses_it(tmp_path: Path) -> None:
    why = 'sink type "sms" needs gsm: pip install "brownout[sms]"'
    kinds = Kinds({Picky.kind: Picky}, {}, {"sms": why})
    path = tmp_path / "checks.yaml"
    path.write_text("checks: [{name: a, probe: picky}]\n")
    load(path, kinds=kinds, env={"HOME": "/"})
    path.write_text("checks: [{name: a, probe: picky}]\nsinks: {phone: {type: sms}}\n")
    with pytest.raises(ConfigError) as error:
        load(path, kinds=kinds, env={"HOME": "/"})
    assert [fault.message for fault in error.value.faults] == [why]
