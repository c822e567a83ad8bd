"""What holds for the whole suite: nothing is timed, and with `CI` set, as in `.ci/run`, nothing is skipped."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import suppress
from importlib import import_module

import pytest
from hypothesis import settings

from tests.servers import Absent

# A busy machine is no fault of what is tested, and the whole suite must stay below a quarter of an hour.
settings.register_profile("suite", deadline=None, max_examples=50)
settings.load_profile("suite")


def pytest_collection(session: pytest.Session) -> None:
    """Each worker of several reads its own share of the tests before all of them, so that no two rewrite the same
    asserts: where nothing is kept from an earlier run, as in CI, that takes longer than all else about collecting."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    root, ignored = session.config.rootpath, tuple(map(os.path.abspath, session.config.getoption("ignore") or ()))
    given = (root / argument.partition("::")[0] for argument in session.config.args)
    files = sorted(file for path in given for file in ([path] if path.is_file() else path.rglob("test_*.py")))
    wanted = [file for file in files if not str(file).startswith(ignored)]
    for file in wanted[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        with suppress(Exception, pytest.skip.Exception):  # collecting it tells
            import_module(".".join(file.relative_to(root).with_suffix("").parts))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Those marked `early` begin first: one of two minutes that begins last keeps all other workers waiting.

    Each worker of xdist's `worksteal` begins with a contiguous part of the list, all of one length.
    """
    workers = getattr(config, "workerinput", {"workercount": 1})["workercount"]
    early = [item for item in items if item.get_closest_marker("early")]
    others = [item for item in items if not item.get_closest_marker("early")]
    left = len(items)
    items.clear()
    for worker in range(workers):
        share, part = early[worker::workers], left // (workers - worker)
        left -= part
        filling = max(part - len(share), 0)
        items += share + others[:filling]
        del others[:filling]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In CI a failure is told when it happens: a run that hangs afterwards has told its cause."""
    if report.failed and os.environ.get("CI") and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\n{report.nodeid} ({report.when}): {report.longreprtext[-1500:]}", flush=True)


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
