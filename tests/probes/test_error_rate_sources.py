"""What every source of error_rate promises: it is found by itself, its keys are the probe's, its example works."""

from __future__ import annotations

import dataclasses
import re
from inspect import cleandoc
from pathlib import Path

import pytest

from monitor.config.load import load
from monitor.kinds import installed_kinds
from probes.contract import BadField
from probes.error_rate import ErrorRate
from probes.error_rate._registry import sources

KEYS = {each.name for each in dataclasses.fields(ErrorRate) if not each.name.startswith("_")}


def test_they_are_found() -> None:
    assert {"json", "prometheus", "promql"} <= sources().keys()
    assert list(sources()) == sorted(sources())


@pytest.mark.parametrize("name", sources())
def test_the_keys_of_a_source_are_keys_of_the_probe(name: str) -> None:
    source = sources()[name]
    assert name in KEYS
    assert source.needs | source.takes <= KEYS
    assert not source.needs & source.takes
    assert ErrorRate.chapters[source.title] == source.__doc__


@pytest.mark.parametrize("name", sources())
def test_the_example_of_a_source_works(name: str, tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", cleandoc(sources()[name].__doc__ or ""), re.DOTALL)
    assert example is not None
    path = tmp_path / "checks.yaml"
    path.write_text(example[1])
    env = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)", example[1]), "postgresql://u:secret@127.0.0.1/db")
    checks = load(path, kinds=installed_kinds(), env=env | {"HOME": str(tmp_path)}).checks.values()
    for check in checks:
        assert isinstance(check.probe, ErrorRate)
        assert check.probe.target
        assert "secret" not in f"{check.probe!r} {check.probe.target}"


def test_every_key_belongs_to_a_source_or_to_all() -> None:
    taken = frozenset().union(*(source.needs | source.takes | {name} for name, source in sources().items()))
    common = KEYS - taken
    assert common == {"traffic"}


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(BadField) as error:
        ErrorRate(
            prometheus=("nowhere",), total="sum(x)", bad="y{", percentiles={"p90": "x"}, priority="err"
        )  # fmt: skip
    assert {bad.field for bad in error.value.all} == {"prometheus", "total", "bad", "percentiles", "priority"}
