"""The heartbeat probe: what pings say, when they are late and missing, and that each is told once, in seconds."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from probes._passive.runs import MOST
from probes.contract import BadField, Refused, Secret
from probes.heartbeat import Heartbeat
from tests.probes.passive_life import TOKEN, Life

HOUR, MINUTE = 3600.0, 60.0


def heartbeat(**fields: Any) -> Heartbeat:
    given = {name: timedelta(seconds=value) if isinstance(value, float) else value for name, value in fields.items()}
    return Heartbeat(**({"token": TOKEN} | ({} if "schedule" in given else {"period": timedelta(hours=1)}) | given))


def test_late_is_degraded_missing_is_down_and_the_next_ping_ends_it() -> None:
    life = Life(heartbeat(grace=10 * MINUTE))
    life.live(60)
    life.send()
    for _ in range(3):
        life.live(HOUR + 20)  # not always equally long
        life.send()
    assert life.told == [(0, "up")]
    life.live(2 * HOUR)
    late, missing = life.told[1:]
    last = 60 + 3 * (HOUR + 20)
    assert late[1] == "degraded"
    assert late[0] == pytest.approx(last + HOUR + 5 * MINUTE, abs=3), "half of grace after it was due"
    assert missing[1] == "down"
    assert missing[0] == pytest.approx(last + HOUR + 10 * MINUTE, abs=3)
    assert life.figures["overdue"] == pytest.approx(HOUR, abs=30)
    life.send()
    life.live(3)
    assert life.told[3:] == [(pytest.approx(last + 2 * HOUR, abs=3), "up")]
    assert life.figures["overdue"] == life.figures["missing_for"] == 0


def test_a_failure_is_told_at_once_and_so_is_the_success_after_it() -> None:
    life = Life(heartbeat())
    life.send()
    life.live(100)
    life.send("fail", b"disk is full\n")
    life.live(2)
    assert life.told[-1] == (pytest.approx(100, abs=1.5), "down")
    assert life.seen.evidence["said"] == "disk is full"
    assert life.seen.evidence["last_ping"].startswith("failure at 2026-03-02T12:01:40Z")
    assert life.figures["failures"] == 1
    assert "exit_code" not in life.figures
    life.live(100)
    life.send("3")
    assert (life.figures["failures"], life.figures["exit_code"]) == (2, 3)
    life.send("0")
    life.live(2)
    assert life.state == "up"
    assert (life.figures["failures"], life.figures["exit_code"]) == (0, 0)
    assert "said" not in life.seen.evidence


def test_a_failure_counts_as_a_sign_of_life() -> None:
    life = Life(heartbeat(), down="failures > 2")
    life.send()
    for _ in range(4):
        life.live(HOUR)
        life.send("fail")
    assert life.figures["overdue"] == 0


def test_a_log_says_something_and_nothing_else() -> None:
    life = Life(heartbeat())
    life.send("fail")
    life.live(30)
    life.send("log", b"cleaning up")
    assert life.figures["failures"] == 1
    assert life.figures["last_ping_age"] == 0
    assert life.seen.evidence["said"] == "cleaning up"
    life.live(2 * HOUR)
    assert life.figures["missing_for"] > 0, "a log is no run"


def test_what_was_never_pinged_is_waited_for_once() -> None:
    life = Life(heartbeat(grace=5 * MINUTE))
    life.live(HOUR + 2 * MINUTE)
    assert life.told == [(0, "up")]
    assert life.seen.evidence["last_ping"] == "none yet"
    life.live(10 * MINUTE)
    assert [state for _, state in life.told] == ["up", "degraded", "down"]


def test_run_time_is_measured_of_each_run() -> None:
    life = Life(heartbeat())
    life.send("start")
    life.live(90)
    assert life.figures["running_for"] == 90
    life.send()
    assert life.figures["run_time"] == 90
    assert life.figures["running_for"] == 0
    life.send()
    assert "run_time" not in life.figures, "a run whose beginning nobody told has no time"


def test_runs_that_overlap_are_told_apart() -> None:
    life = Life(heartbeat())
    first, second = str(uuid.uuid4()), str(uuid.uuid4()).upper()
    life.send("start", rid=first)
    life.live(100)
    life.send("start", rid=second)
    life.live(50)
    life.send(rid=second.lower())
    assert life.figures["run_time"] == 50
    assert life.figures["running_for"] == 150
    life.live(10)
    life.send("0", rid=first)
    assert life.figures["run_time"] == 160


def test_the_runs_that_are_kept_are_few() -> None:
    life = Life(heartbeat())
    rids = [str(uuid.uuid4()) for _ in range(MOST + 5)]
    for rid in rids:
        life.send("start", rid=rid)
        life.live(1)
    life.send(rid=rids[0])
    assert "run_time" not in life.figures, "the oldest were forgotten"
    life.send(rid=rids[-1])
    assert life.figures["run_time"] == 1
    assert sum(len(str(value)) for value in life.judge.memory.values()) < 3000


def test_a_run_that_takes_too_long_is_degraded_then_missing() -> None:
    life = Life(heartbeat(max_runtime=20 * MINUTE, grace=10 * MINUTE))
    life.send()
    life.live(HOUR)
    life.send("start")
    life.live(19 * MINUTE)
    assert life.told == [(0, "up")], "at work, so nothing is late"
    life.live(5 * MINUTE)
    assert life.told[1] == (pytest.approx(HOUR + 20 * MINUTE, abs=3), "degraded")
    assert life.figures["overrun_for"] == pytest.approx(4 * MINUTE, abs=1)
    life.live(10 * MINUTE)
    assert life.told[2] == (pytest.approx(HOUR + 30 * MINUTE, abs=3), "down")
    life.send()
    life.live(2)
    assert life.state == "up"


def test_a_run_that_was_killed_is_given_up_when_a_later_one_succeeds() -> None:
    life = Life(heartbeat(max_runtime=20 * MINUTE, grace=10 * MINUTE))
    life.send("start", rid=str(uuid.uuid4()))
    life.live(HOUR)
    assert life.figures["overrun_for"] > 0
    rid = str(uuid.uuid4())
    life.send("start", rid=rid)
    life.send(rid=rid)
    life.live(2)
    assert life.figures["running_for"] == 0
    assert life.state == "up"


def test_without_a_longest_run_time_only_the_end_counts() -> None:
    life = Life(heartbeat(grace=5 * MINUTE))
    life.send()
    life.live(HOUR)
    life.send("start")
    life.live(6 * MINUTE)
    assert life.state == "down"
    assert "overrun_for" not in life.figures


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("256", {}, 400),
        ("-1", {}, 400),
        ("1000", {}, 400),
        ("٣", {}, 400),
        ("stop", {}, 400),
        ("start/again", {}, 400),
        ("", {"rid": "7"}, 400),
        ("start", {"rid": "g" * 36}, 400),
    ],
)
def test_what_means_nothing_is_refused_and_changes_nothing(path: str, query: dict[str, str], status: int) -> None:
    life = Life(heartbeat())
    life.send()
    before = dict(life.judge.memory)
    with pytest.raises(Refused) as caught:
        life.send(path, **query)
    assert caught.value.status == status
    assert life.judge.memory == before


def test_of_what_the_job_said_the_end_is_kept_and_no_secret() -> None:
    token = TOKEN.reveal()
    life = Life(heartbeat())
    life.send("fail", b"line\n" * 10_000 + f"curl /ping/{token}\x1b[31m agent-secret disk full".encode() + b"\xff",
              redact=lambda text: text.replace("agent-secret", "***"))  # fmt: skip
    said = life.seen.evidence["said"]
    assert len(said) == 300
    assert said.startswith("…")
    assert said.endswith("curl /ping/***\\x1b[31m *** disk full\ufffd")
    # Cut off on the way: the head of a secret may be the last of it.
    life.send("fail", b"x" * 4000 + token[:20].encode(), cut=True)
    assert token[:20] not in life.seen.evidence["said"]
    assert token not in repr(life.judge.memory) + repr(life.probe)


def test_a_changed_plan_counts_from_now() -> None:
    life = Life(heartbeat(period=86400.0))
    life.send()
    life.live(5 * HOUR)
    shorter = Life(heartbeat(period=HOUR, grace=5 * MINUTE), start="2026-03-02T17:00")
    shorter.judge.memory.update(life.judge.memory)
    shorter.up = shorter.since = shorter.epoch = life.up
    shorter.live(1)
    assert shorter.figures["overdue"] == 0
    shorter.live(HOUR + 6 * MINUTE)
    assert shorter.figures["missing_for"] > 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"period": None}, "period"),
        ({"schedule": "0 3 * * *", "period": 60.0}, "period"),
        ({"schedule": "0 3 * *"}, "schedule"),
        ({"schedule": "* * 3 * * *"}, "schedule"),
        ({"schedule": "0 3 30 2 *"}, "schedule"),
        ({"schedule": "60 3 * * *"}, "schedule"),
        ({"schedule": "0 3 * * *", "timezone": "Europe/Berln"}, "timezone"),
        ({"schedule": "0 3 * * *", "timezone": "../../etc/passwd"}, "timezone"),
        ({"schedule": "0 3 * * *", "timezone": ""}, "timezone"),
        ({"period": 0.5}, "period"),
        ({"max_runtime": 0.0}, "max_runtime"),
        ({"grace": 60.0, "late_after": 61.0}, "late_after"),
        ({"slug": "start"}, "slug"),
        ({"slug": "17"}, "slug"),
        ({"slug": "Backup"}, "slug"),
        ({"token": Secret("short")}, "token"),
        ({"token": Secret("x" * 129)}, "token"),
        ({"token": Secret("0123456789abcde/")}, "token"),
        ({"token": Secret("0123456789abcdeé")}, "token"),
    ],
)
def test_what_cannot_be(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadField) as caught:
        heartbeat(**fields)
    assert field in {bad.field for bad in caught.value.all}
    assert "0123456789" not in str(caught.value)


def test_defaults_fit_the_period() -> None:
    assert heartbeat().target == "pings every 1h, grace 5m"
    assert heartbeat(period=90.0).target == "pings every 1m30s, grace 1m30s"
    assert heartbeat(schedule="*/5  * * * *", timezone="Europe/Berlin").target == (
        "pings */5 * * * * Europe/Berlin, grace 5m"
    )
