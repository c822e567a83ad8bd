"""The example of a small SaaS, driven through its five troubles: each is told as a degradation before its outage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.early
@pytest.mark.timeout(400)
def test_every_degradation_is_told_before_its_outage(tmp_path: Path) -> None:
    transcript = tmp_path / "transcript.txt"
    command = [sys.executable, "-m", "examples.saas.drive", "--transcript", str(transcript)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert transcript.read_text().rstrip().endswith("every degradation was told before its outage")
