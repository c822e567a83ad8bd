"""What was learned of a target: kept over a restart, kept under other thresholds, forgotten with the target."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from monitor.core.judge import Judge
from monitor.core.model import Check, CheckRecord, Confirm, Recover
from probes.contract import Reason
from tests.core.builders import above, check, look, moment
from tests.core.succeeded import Aimed

DAYS = 3
END = DAYS * 86_400.0


def home(target: str = "http://old/", *limits: float, **fields: Any) -> Check:
    of: dict[str, Any] = {
        "probe": Aimed(target),
        "confirm": Confirm(),
        "recover": Recover(),
        "usual": "response_time",
        **fields,
    }
    return check("home", *(above(limit, window=timedelta(minutes=5)) for limit in limits), **of)


@pytest.fixture(scope="module")
def record() -> CheckRecord:
    """A target that answers in 0.3 s and is gone for three seconds twice a day."""
    chance, judge = Random(8), Judge(home("http://old/", 9), None, moment(0))
    for number in range(DAYS * 720):
        at = number * 120.0
        judge.observe(look(at, took=0.3, response_time=0.3 * chance.lognormvariate(0, 0.1)))
        if number % 360 == 100:
            for second in range(10, 40):
                fails = Reason.REFUSED if second < 14 else None
                judge.observe(look(at + second, fails=fails, scheduled=False))
    return judge.record(moment(END))


def learned(judge: Judge, at: float = END) -> dict[str, float | None]:
    """What it takes to call it down, what is usual, how long looks may take."""
    usual, needed = judge.usual(moment(at).at), judge.confirmation(moment(at).tick)
    found = {name: round(figure, 6) for name, figure in asdict(needed).items()}
    found |= {"usual": usual and round(usual.value, 6), "spread": usual and round(usual.spread, 6)}
    return found | {"soft": judge.soft_deadline, "extra": judge.extra_timeout}


def read(record: CheckRecord, of: Check, at: float = END) -> Judge:
    return Judge(of, replace(record, snapshot=json.loads(json.dumps(record.snapshot))), moment(at))


def restarted(judge: Judge, of: Check) -> Judge:
    return read(judge.record(moment(END)), of)


def reloaded(judge: Judge, of: Check) -> Judge:
    judge.redefine(of, same_target=of.probe == judge.check.probe)
    return judge


GO_ON = pytest.mark.parametrize("goes_on", [restarted, reloaded])


def test_something_is_learned(record: CheckRecord) -> None:
    fresh, known = learned(Judge(home(), None, moment(END))), learned(read(record, home()))
    assert fresh != known
    assert (fresh["span"], fresh["usual"], fresh["soft"]) == (5, None, None)
    assert (known["span"] or 0) > 8
    assert known["usual"] == pytest.approx(0.3, abs=0.03)
    assert known["soft"] == pytest.approx(0.9, abs=0.1)


@GO_ON
@pytest.mark.parametrize(
    "of",
    [
        home("http://old/", 9),
        home("http://old/"),
        home("http://old/", 1, 2, 3),
        home("http://old/", 9, every=timedelta(seconds=60)),
        home("http://old/", 9, timeout=timedelta(seconds=20), recover=Recover(looks=20)),
    ],
    ids=["same", "without thresholds", "other thresholds", "another interval", "other figures"],
)
def test_other_thresholds_and_a_restart_keep_it(
    record: CheckRecord, goes_on: Callable[[Judge, Check], Judge], of: Check
) -> None:
    judge = read(record, home("http://old/", 9))
    before = learned(judge)
    assert learned(goes_on(judge, of)) == before


def test_another_target_begins_anew(record: CheckRecord) -> None:
    of = home("http://new/", 9)
    assert learned(reloaded(read(record, home("http://old/", 9)), of)) == learned(Judge(of, None, moment(END)))


def test_ten_years_of_silence_are_no_ten_years_of_good_looks(record: CheckRecord) -> None:
    late = END + 10 * 365 * 86_400.0
    judge = read(record, home("http://old/", 9), late)
    assert learned(judge, late)["span"] == learned(read(record, home("http://old/", 9)))["span"]
    before = judge.state
    for number in range(9):
        judge.observe(look(late + number * 0.4, fails=Reason.REFUSED, scheduled=not number))
    assert judge.state is before, "nine looks are not ten, whatever lies between them and the last one"
