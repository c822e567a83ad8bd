"""An incident's life, with a crash before and after each commit and each send: nothing lost, nothing told twice.

One agent's decisions, pipeline, journal and outbox are real; the target is a script, the receiver a list. A crash
leaves the state directory as it is at that moment, and another agent goes on from there until the story is told.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from monitor.store.contract import Delivery
from tests.end_to_end.crashes import OPERATIONS, Fate, Point, Side
from tests.end_to_end.ledger import check_journal, rows
from tests.end_to_end.story import Outside, once, tell_story


def check_told(outside: Outside, place: Path, *, whole: bool) -> None:
    """What must hold, wherever it crashed. `whole`: each act was told before the next began."""
    accepted = outside.sink.accepted
    check_journal(place, _first(accepted), unrouted="")
    _same_bytes(accepted)
    _in_order(accepted, place)
    if whole:
        chain = [("unknown", "up"), ("up", "down"), ("down", "degraded"), ("degraded", "up")]
        for name in ("home", "jobs"):
            query = f"SELECT old, new FROM transitions WHERE kind = 'check' AND subject = '{name}' ORDER BY seq"
            assert rows(place, query) == chain
        assert len(_first(accepted)) == 2 * 9


def _first(accepted: list[Delivery]) -> dict[str, Delivery]:
    first: dict[str, Delivery] = {}
    for delivery in accepted:
        first.setdefault(delivery.event_id, delivery)
    return first


def _same_bytes(accepted: list[Delivery]) -> None:
    first = _first(accepted)
    for delivery in accepted:
        assert delivery.body == first[delivery.event_id].body
        assert json.loads(delivery.body)["id"] == delivery.event_id


def _in_order(accepted: list[Delivery], place: Path) -> None:
    """Within a stream, each event is first told before the next one is; a repetition is that of the latest."""
    numbers = dict(rows(place, "SELECT id, number FROM events"))
    latest: dict[str, int] = {}
    for delivery in accepted:
        number = numbers[delivery.event_id]
        assert number >= latest.get(delivery.stream, 0)
        latest[delivery.stream] = number


async def test_the_story_without_a_crash(tmp_path: Path) -> None:
    fate = Fate()
    outside = Outside()
    place = await tell_story(outside, tmp_path, lambda _number: fate, patient=True)
    check_told(outside, place, whole=True)
    assert len(outside.sink.accepted) == 18, "and nothing twice"
    assert fate.counts["commit"] == 8
    assert fate.counts["send"] == fate.counts["delivered"] == 18
    assert fate.counts["save"] > 0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("operation", "patient"),
    [(operation, patient) for operation in OPERATIONS for patient in (True, False) if patient or operation != "save"],
)
async def test_a_crash_at_each_point(tmp_path: Path, operation: str, side: Side, *, patient: bool) -> None:
    """`patient`: each change is told before the next look; otherwise all looks come at once, without a flush."""
    number, crashes = 0, 1
    while crashes:
        number += 1
        point = Point(operation, side, number)
        folder = tmp_path / str(number)
        outside = Outside()
        place = await tell_story(outside, folder, once(point), patient=patient)
        try:
            check_told(outside, place, whole=patient)
        except AssertionError as error:
            raise AssertionError(f"after a crash at {point}") from error
        crashes = outside.crashes
        shutil.rmtree(folder)
    assert number > 1, "there was a point to crash at"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(8))
async def test_crash_after_crash(tmp_path: Path, seed: int) -> None:
    """Each life ends after a few calls, wherever that is."""
    random = Random(seed)
    outside = Outside()
    place = await tell_story(
        outside,
        tmp_path,
        lambda life: Fate(any_call=random.randint(1, 8 + life) if life < 60 else None),
        patient=seed % 2 == 0,
    )
    check_told(outside, place, whole=seed % 2 == 0)
    assert outside.crashes > 2
    with suppress(FileNotFoundError):
        shutil.rmtree(place)
