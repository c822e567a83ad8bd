"""The push probe: what an application may send, what is refused, and what silence means."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from probes.contract import BadField, Refused, Unit
from probes.push import Push
from tests.probes.passive_life import TOKEN, Life

MINUTE = 60.0


def push(**fields: Any) -> Push:
    figures = {"queue_age": Unit.SECONDS, "orders": Unit.COUNT}
    return Push(**({"token": TOKEN, "figures": figures, "expire_after": timedelta(minutes=5)} | fields))


def send(life: Life, **figures: Any) -> None:
    life.send("", json.dumps(figures).encode())


def test_the_last_value_of_each_figure_is_reported() -> None:
    life = Life(push())
    send(life, queue_age=3.2, orders=17)
    assert life.figures == {"queue_age": 3.2, "orders": 17.0, "silent_for": 0.0, "last_push_age": 0.0}
    life.live(10)
    send(life, orders=18)
    send(life, orders=19)
    assert (life.figures["queue_age"], life.figures["orders"]) == (3.2, 19.0), "the last push wins"
    assert [item.name for item in life.probe.measured][:2] == ["queue_age", "orders"]


def test_degraded_down_and_up_again_by_what_was_pushed() -> None:
    life = Life(push(), degraded="queue_age > 60s", down="queue_age > 15m")
    for _ in range(4):
        send(life, queue_age=2)
        life.live(20)
    send(life, queue_age=90)
    life.live(2)
    assert life.state == "degraded"
    life.live(60)
    send(life, queue_age=1000)
    life.live(2)
    assert life.state == "down"
    life.live(60)
    send(life, queue_age=1)
    life.live(2)
    assert [state for _, state in life.told] == ["up", "degraded", "down", "up"]


def test_silence_is_degraded_and_old_figures_are_not_reported() -> None:
    life = Life(push(), degraded="queue_age > 60s")
    send(life, queue_age=2)
    life.live(5 * MINUTE - 1)
    assert life.told == [(0, "up")]
    life.live(MINUTE)
    assert life.told[1] == (pytest.approx(5 * MINUTE, abs=3), "degraded")
    assert "queue_age" not in life.figures
    assert life.figures["silent_for"] == pytest.approx(59, abs=1)
    send(life, orders=1)
    life.live(2)
    assert life.state == "up"
    assert "queue_age" not in life.figures, "each figure expires by itself"


def test_an_application_that_never_pushed_is_waited_for() -> None:
    life = Life(push())
    life.live(5 * MINUTE - 1)
    assert life.told == [(0, "up")]
    life.live(10)
    assert life.state == "degraded"
    assert "last_push_age" not in life.figures


@pytest.mark.parametrize("how", ["killed", "paused", "rebooted"])
def test_nobody_there_to_hear_is_no_silence(how: str) -> None:
    life = Life(push())
    send(life, orders=1)
    life.live(4 * MINUTE)
    getattr(life, how)(10 * MINUTE)
    assert "silent_for" not in life.seen.measurements
    assert "orders" not in life.seen.measurements
    life.live(4 * MINUTE)
    assert life.state == "up"
    life.live(2 * MINUTE)
    assert life.state == "degraded"
    getattr(life, how)(MINUTE)
    life.live(MINUTE)
    assert life.state == "degraded", "silence is not ended by a restart"
    send(life, orders=1)
    life.live(3)
    assert life.state == "up"


def test_a_flood_of_connections_excuses_silence_once() -> None:
    life = Life(push())
    for _ in range(2):
        send(life, orders=1)
        life.live(4 * MINUTE)
        life.turned_away()  # the next push, perhaps
        life.live(4 * MINUTE)
        assert life.state == "up"
    for _ in range(100):
        life.live(2)
        life.turned_away()
    assert life.state == "degraded"


@pytest.mark.parametrize("step", [-86400.0, 86400.0])
def test_a_clock_that_is_set_makes_no_silence(step: float) -> None:
    life = Life(push())
    send(life, orders=1)
    life.live(2 * MINUTE)
    life.set_clock(step)
    life.live(2 * MINUTE)
    assert life.figures["orders"] == 1
    life.live(2 * MINUTE)
    assert life.state == "degraded"


def test_values_survive_a_kill() -> None:
    life = Life(push())
    send(life, orders=5, message="all is well")
    life.killed(20)
    assert life.figures["orders"] == 5
    assert life.seen.evidence["message"] == "all is well"


def test_a_message_is_evidence_without_secrets() -> None:
    token = TOKEN.reveal()
    life = Life(push())
    send(life, orders=5, message=f"cannot reach /push/{token}\x1b[31m \ud800" + "x" * 5000)
    message = life.seen.evidence["message"]
    assert message.startswith("cannot reach /push/***\\x1b[31m ?xxx")
    assert len(message) == 300
    assert token not in repr(life.judge.memory)
    json.dumps(life.judge.record(life.moment).snapshot).encode()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"7", "not a JSON object"),
        (b"{}", "no figure"),
        (b'{"message": "x"}', "no figure"),
        (b'{"order": 1}', "It knows: queue_age, orders."),
        (b'{"orders": 1, "<script>": 2}', "It knows: queue_age, orders."),
        (b'{"orders": "1"}', "orders must be a finite number"),
        (b'{"orders": true}', "orders must be a finite number"),
        (b'{"orders": null}', "orders must be a finite number"),
        (b'{"orders": {"a": 1}}', "orders must be a finite number"),
        (b'{"orders": [1]}', "orders must be a finite number"),
        (b'{"orders": 1e999}', "orders must be a finite number"),
        (b'{"orders": ' + b"9" * 10_000 + b"}", "orders must be a finite number"),
        (b'{"orders": NaN}', "NaN"),
        (b'{"orders": -Infinity}', "NaN"),
        (b'{"orders": 1, "orders": 2}', "comes twice"),
        (b'{"orders": 1, "message": 7}', "message must be a text"),
        (b"[" * 16_000, "not JSON"),
    ],
)
def test_what_is_refused_changes_nothing(body: bytes, told: str) -> None:
    life = Life(push())
    send(life, orders=1)
    before = dict(life.judge.memory)
    with pytest.raises(Refused) as caught:
        life.send("", body)
    assert caught.value.status == 400
    assert told in caught.value.advice
    assert "<script>" not in caught.value.advice
    assert life.judge.memory == before


def test_what_is_too_large_or_goes_elsewhere_is_refused() -> None:
    life = Life(push())
    for fields, status in (({"cut": True}, 413), ({"path": "start"}, 404)):
        with pytest.raises(Refused) as caught:
            life.send(body=b'{"orders": 1}', **fields)
        assert caught.value.status == status


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"figures": {}}, "figures"),
        ({"figures": {f"f{number}": Unit.COUNT for number in range(65)}}, "figures"),
        ({"figures": {"Orders": Unit.COUNT}}, "figures"),
        ({"figures": {"x" * 65: Unit.COUNT}}, "figures"),
        ({"figures": {"message": Unit.COUNT}}, "figures"),
        ({"figures": {"silent_for": Unit.SECONDS}}, "figures"),
        ({"expire_after": timedelta(0)}, "expire_after"),
    ],
)
def test_what_cannot_be(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadField) as caught:
        push(**fields)
    assert caught.value.field == field
