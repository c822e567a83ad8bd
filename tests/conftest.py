"""What holds for the whole suite: nothing is timed, and with `CI` set, as in `.ci/run`, nothing is skipped."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.servers import Absent

# A busy machine is no fault of what is tested, and the whole suite must stay below a quarter of an hour.
settings.register_profile("suite", deadline=None, max_examples=50)
settings.load_profile("suite")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A machine that lacks what a test needs may skip it; where everything was installed, a skip hides something."""
    report = yield
    if call.excinfo is not None and call.excinfo.errisinstance(Absent):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: {call.excinfo.value}")
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"with CI set nothing may be skipped: {reason}"
    return report
