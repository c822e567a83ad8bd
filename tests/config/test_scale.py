"""Ten thousand checks, and ten thousand faults. The time limit finds what is quadratic, not what is slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config.load import ConfigError, load
from tests.config.kinds import KINDS

CHECK = """\
  - name: check-{0}
    service: shop{1}
    labels: {{tier: web}}
    probe: http
    url: https://shop{0}.example.com/
    {2}
"""
pytestmark = pytest.mark.timeout(180)

SERVICES = (
    "services:\n" + "".join(f"  shop{number}: {{title: Shop {number}}}\n" for number in range(100)) + "checks:\n"
)


def write(folder: Path, last_line: str) -> Path:
    path = folder / "checks.yaml"
    checks = (CHECK.format(number, number % 100, last_line.format(number)) for number in range(10_000))
    path.write_text(SERVICES + "".join(checks))
    return path


def test_ten_thousand_checks_share_what_is_equal(tmp_path: Path) -> None:
    path = write(tmp_path, "degraded: p95(response_time, 5m) > 800ms, clear < 600ms")
    config = load(path, kinds=KINDS, env={"HOME": "/"})
    first, last = config.checks["check-0"], config.checks["check-9999"]
    assert len(config.checks) == 10_000
    assert len(config.services["shop7"].checks) == 100
    for name in ("labels", "conditions", "confirm", "recover", "every", "timeout"):
        assert getattr(first, name) is getattr(last, name), name


@pytest.mark.parametrize(
    "last_line", ["degraded: respone_time > 1s", "depends_on: chek-{0}", "evry: 5s", "every: 5", "impact: dwn"]
)
def test_ten_thousand_faults(tmp_path: Path, last_line: str) -> None:
    path = write(tmp_path, last_line)
    with pytest.raises(ConfigError) as error:
        load(path, kinds=KINDS, env={"HOME": "/"})
    assert len(error.value.faults) + error.value.more == 10_000
    assert [fault.line for fault in error.value.faults[:2]] == [108, 114]


def test_a_chain_as_long_as_the_file(tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    links = "".join(
        f"  - {{name: c{n}, probe: http, url: http://a/, depends_on: c{(n + 1) % 5000}}}\n" for n in range(5000)
    )
    path.write_text("checks:\n" + links)
    with pytest.raises(ConfigError) as error:
        load(path, kinds=KINDS, env={"HOME": "/"})
    assert len(error.value.faults) == 1
    assert "c5 -> c6 -> ... -> c0" in error.value.faults[0].message
