"""What the tests of configurations share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from monitor.config.load import load
from monitor.config.model import Config
from tests.config.kinds import KINDS

Load = Callable[..., Config]
HOME = {"HOME": "/home/ops"}


@pytest.fixture
def read(tmp_path: Path) -> Load:
    def read(text: str, env: Mapping[str, str] = HOME, **parts: str) -> Config:
        path = tmp_path / "checks.yaml"
        path.write_text(text)
        for name, part in parts.items():
            (tmp_path / "checks.d").mkdir(exist_ok=True)
            (tmp_path / "checks.d" / f"{name}.yaml").write_text(part)
        return load(path, kinds=KINDS, env=env)

    return read
