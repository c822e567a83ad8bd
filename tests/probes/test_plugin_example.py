"""The example of docs/writing-a-probe.md: loaded by its entry point, held to the contract, and it looks."""

from __future__ import annotations

import os
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from probes.contract import Context, Probe, Reason
from probes.registry import builtin, with_plugins
from tests.probes.judged import look
from tests.probes.promises import check_class, check_instance

FOLDER = Path(__file__).parents[2] / "examples" / "probe_plugin"


@pytest.fixture
def file_age() -> Iterator[type[Probe]]:
    announced = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]["entry-points"]["brownout.probes"]
    points = [EntryPoint(name, value, "brownout.probes") for name, value in announced.items()]
    sys.path.insert(0, str(FOLDER))
    yield with_plugins(builtin(), points)["file_age"]
    sys.path.remove(str(FOLDER))


def test_it_keeps_the_contract(file_age: type[Probe]) -> None:
    check_class(file_age)
    check_instance(file_age(path="/x"))  # type: ignore[call-arg]


async def test_it_looks(file_age: type[Probe], context: Context, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    probe = file_age(path=str(backup))  # type: ignore[call-arg]
    assert (await look(probe, context)).reason is Reason.MISSING
    backup.write_bytes(b"data")
    os.utime(backup, (time.time() - 3600,) * 2)
    seen = await look(probe, context)
    assert seen.measurements == {"age": pytest.approx(3600, abs=5), "size": 4}


def test_the_manual_shows_what_the_example_says() -> None:
    manual = (FOLDER.parents[1] / "docs" / "writing-a-probe.md").read_text()
    code = (FOLDER / "brownout_file_age.py").read_text()
    for line in ('kind: ClassVar[str] = "file_age"', "found = await asyncio.to_thread(Path(self.path).stat)"):
        assert line in manual
        assert line in code
    assert 'file_age = "brownout_file_age:FileAge"' in manual
