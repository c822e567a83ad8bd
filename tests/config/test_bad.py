"""One bad file a rule: the comments at its top are the faults, word for word and all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config.load import ConfigError, load
from tests.config.kinds import KINDS

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_file(path: Path) -> None:
    expected = []
    for line in path.read_text().splitlines():
        if not line.startswith("# "):
            break
        expected.append(line[2:])
    assert expected, "a bad file begins with the faults that it has"
    with pytest.raises(ConfigError) as error:
        load(path, kinds=KINDS, env={"HOME": "/home/ops"})
    said = [str(fault).removeprefix(f"{path}:").strip().replace(str(path), "FILE") for fault in error.value.faults]
    assert said == expected


def test_the_error_counts_its_faults() -> None:
    with pytest.raises(ConfigError, match="1 fault in the configuration"):
        load(BAD[0], kinds=KINDS, env={})
