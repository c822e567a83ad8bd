"""The systemd probe against a real systemd, which a namespace has for itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.config.kinds import default_conditions
from monitor.core.judge import Judge
from monitor.core.model import Look
from probes.contract import BadField, Context, Observation, Reason
from probes.systemd import Systemd
from tests.core.builders import check, moment
from tests.servers import systemd as real
from tests.servers import wait_until

BOOTED = Path("/run/systemd/system").exists()
HEAD = "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n"
SERVICE = HEAD + "[Service]\n"
UNITS = {
    "good.service": HEAD + "[Service]\nExecStart=sleep 1000\n[Install]\nAlias=fine.service\n",
    "bad.service": SERVICE + "ExecStart=false\n",
    "app@.service": SERVICE + "ExecStart=sleep 1000\n",
    "flap.service": SERVICE + "ExecStart=sleep 0.02\nRestart=always\nRestartSec=0.02\n",
    "backup.service": SERVICE + "Type=oneshot\nExecStart=true\n",
    "slow.service": SERVICE + "Type=oneshot\nExecStart=sleep 1000\nTimeoutStartSec=infinity\n",
}


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real.Systemd]:
    with real.systemd(tmp_path_factory.mktemp("systemd"), UNITS) as server:
        yield server


@pytest.fixture(autouse=True)
def _clean(systemd: real.Systemd) -> Iterator[None]:
    yield
    systemd.run("stop", "--", *UNITS.keys() - {"app@.service"}, "app@*.service")
    systemd.run("reset-failed")


def _probe(systemd: real.Systemd, *units: str) -> Systemd:
    return Systemd(units=units, _systemctl=systemd.systemctl)


async def _look(systemd: real.Systemd, context: Context, *units: str) -> Observation:
    return await _probe(systemd, *units).look(context)


async def test_the_whole_machine(systemd: real.Systemd, context: Context) -> None:
    seen = await _look(systemd, context)
    assert seen.ok, seen
    assert seen.measurements == {"failed": 0}
    systemd.run("start", "bad.service")
    seen = await _look(systemd, context)
    assert seen.measurements == {"failed": 1}
    assert seen.evidence["failed"] == "bad.service (exit-code)"


async def test_named_units(systemd: real.Systemd, context: Context) -> None:
    systemd.run("start", "good.service", "app@1.service", "app@2.service")
    seen = await _look(systemd, context, "good", "app@*.service")
    assert seen.ok, seen
    figures = dict(seen.measurements)
    assert 0 <= figures.pop("uptime") < 60
    assert figures == {"units": 3, "not_running": 0, "starting": 0, "failed": 0}
    systemd.run("stop", "app@1.service")
    assert (await _look(systemd, context, "app@*")).measurements["not_running"] == 0, "one of them still runs"
    systemd.run("stop", "app@2.service")
    seen = await _look(systemd, context, "good.service", "app@*.service")
    assert seen.measurements["not_running"] == 1
    assert seen.evidence["not_running"] == "no loaded unit fits app@*.service"


async def test_what_does_not_run_is_told_with_its_reason(systemd: real.Systemd, context: Context) -> None:
    systemd.run("start", "bad.service")
    seen = await _look(systemd, context, "bad", "good")
    assert seen.measurements["not_running"] == 2
    assert seen.measurements["failed"] == 1
    assert seen.evidence["not_running"] == (
        "bad.service is failed (failed: exit-code); good.service is inactive (dead)"
    )


async def test_a_oneshot_that_is_done_is_well(systemd: real.Systemd, context: Context) -> None:
    assert (await _look(systemd, context, "backup")).measurements["not_running"] == 0
    systemd.run("start", "--no-block", "slow.service")
    wait_until(lambda: "activating" in systemd.run("is-active", "slow.service"), "slow.service starts")
    seen = await _look(systemd, context, "slow")
    assert (seen.measurements["starting"], seen.measurements["not_running"]) == (1, 0)
    assert seen.evidence["starting"] == "slow.service"


async def test_a_unit_that_is_unknown_is_missing(systemd: real.Systemd, context: Context) -> None:
    systemd.run("start", "good.service")
    seen = await _look(systemd, context, "good", "nope")
    assert (seen.reason, seen.detail) == (Reason.MISSING, "systemd knows no unit nope.service")
    assert seen.measurements["units"] == 1, "the others are reported none the less"
    systemd.run("stop", "good.service")
    systemd.run("mask", "good.service")
    seen = await _look(systemd, context, "good")
    assert seen.evidence["not_running"] == "good.service is masked"
    systemd.run("unmask", "good.service")


async def test_restarts_are_counted_between_looks(systemd: real.Systemd, context: Context) -> None:
    systemd.run("start", "flap.service")
    assert "restarts" not in (await _look(systemd, context, "flap")).measurements, "nothing to compare with"
    first = _restarts(systemd)
    wait_until(lambda: _restarts(systemd) >= first + 3, "it is restarted")
    extra = await _probe(systemd, "flap").look(replace(context, scheduled=False))
    assert extra.measurements["restarts"] >= 3, "what an extra look sees is counted by the next one as well"
    seen = await _look(systemd, context, "flap")
    assert seen.measurements["restarts"] >= 3
    assert seen.evidence["restarts"].startswith("flap.service (")
    context.memory["restarts"] = '{"flap.service": 1000000}'
    seen = await _look(systemd, context, "flap")
    assert 3 <= seen.measurements["restarts"] < 1_000_000, "started by hand, it began again at 0"


def _restarts(systemd: real.Systemd) -> int:
    return int(systemd.run("show", "--value", "--property=NRestarts", "flap.service"))


async def test_no_systemd(context: Context) -> None:
    seen = await Systemd(_systemctl=("systemctl-that-is-not-there",)).look(context)
    assert seen.reason is Reason.UNSUPPORTED
    if BOOTED:
        pytest.skip("a systemd runs here")
    seen = await Systemd(units=("nginx",)).look(context)
    assert seen.reason is Reason.UNSUPPORTED, seen
    assert "not been booted with systemd" in seen.detail


async def test_a_systemctl_that_hangs_tells_nothing_of_the_units(make_context: Any) -> None:
    seen = await Systemd(_systemctl=("sh", "-c", "sleep 100")).look(make_context(0.4))
    assert (seen.reason, seen.detail) == (Reason.SOURCE, "systemctl did not answer within 0.4 s")


@pytest.mark.parametrize("unit", ["", "a b", "x;y", "ü.service"])
def test_bad_names(unit: str) -> None:
    with pytest.raises(BadField, match="no name of a unit"):
        Systemd(units=(unit,))


async def test_from_down_to_up_again(systemd: real.Systemd, context: Context) -> None:
    """The whole way: real observations through the judge, with the probe's own thresholds."""
    judge = Judge(replace(check("web", *default_conditions(Systemd), every=timedelta(seconds=30))), None, moment(0))
    states: list[str] = []

    async def see(beat: int, times: int) -> None:
        for at in range(beat, beat + times):
            seen = await _look(systemd, context, "good", "app@*.service")
            judge.observe(Look("web", seen, moment(at * 30), moment(at * 30 + 0.1), limit=10, scheduled=True))
            if not states or states[-1] != judge.state.value:
                states.append(judge.state.value)

    systemd.run("start", "good.service", "app@1.service", "app@2.service")
    await see(0, 3)
    systemd.run("kill", "--signal=KILL", "app@2.service")
    wait_until(lambda: "failed" in systemd.run("is-active", "app@2.service"), "it has failed")
    await see(3, 3)
    systemd.run("stop", "good.service")
    await see(6, 3)
    systemd.run("start", "good.service", "app@2.service")
    await see(9, 5)
    assert states == ["up", "degraded", "down", "up"]
