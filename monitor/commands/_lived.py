"""By what a replay judges: what was in force at each time, as the history has it, or one configuration for all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from monitor.commands._retold import minute
from monitor.config.model import Config
from monitor.core.event import Source
from monitor.core.lived import Definition, Lived, always
from monitor.parts import plan_of
from monitor.store.offline import Found, definitions, written

EVER = datetime.max.replace(tzinfo=UTC)
_UNREADABLE = "cannot be read (damaged, or by another version of Brownout)"
_UNRECORDED = "is not recorded (an older Brownout has taken the looks, or the history was begun anew)"
_CUT = timedelta(seconds=1)
"""Times of looks are cut: the first ones seem to be from just before what they were judged by."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What looks are judged by, and `by` what people call it."""

    lived: Lived
    by: str
    as_it_was: bool = False
    """Whether it is what the agent had; then the journal should say the same."""
    remarks: tuple[str, ...] = ()
    """Where it is not, from when to when."""


def by_one(config: Config) -> Basis:
    """For all of the past."""
    return Basis(always(plan_of(config)), str(config.path))


def as_it_was(
    db: sqlite3.Connection, config: Config | None, source: Source, first: datetime | None, until: datetime
) -> Basis | None:
    """What was in force from the `first` look to `until`, told by `source`. `config` is the agent's file as it is
    now: where nothing else is known all is judged by it; None where there is neither. Raises `sqlite3.Error`."""
    found = list(definitions(db, source))
    kept = [item for item in found if item.at < until]
    known = [Definition(item.at, item.plan, item.seen) for item in kept if item.plan is not None]
    if not known:
        if config is None:
            return None
        why = _UNREADABLE if kept else _UNRECORDED
        span = f" from {minute(first)} UTC on" if first else ""
        remark = f"what was in force {why}: all{span} is judged by {config.path}"
        return replace(by_one(config), remarks=(remark,))
    remarks = [*_unknown(kept, known[0].at, first)]
    if config is not None and written(Definition(until, plan_of(config))).digest != found[-1].digest:
        remarks.append(f"{config.path} is not what the agent has in force: --config {config.path} judges by that")
    return Basis(Lived(known), "what was in force", as_it_was=True, remarks=tuple(remarks))


def _unknown(kept: Sequence[Found], known: datetime, first: datetime | None) -> Iterator[str]:
    if first is not None and first < kept[0].at - _CUT and kept[0].plan is not None:
        yield (
            f"what was in force before {minute(known)} UTC is not recorded (by an older Brownout, or longer ago than "
            "looks are kept): looks from before are judged by what came then"
        )
    for item, following in pairwise([*kept, Found(EVER, b"", None, {})]):
        if item.plan is None:
            end = f" to {minute(following.at)} UTC" if following.at < EVER else " on"
            instead = "before" if item.at > known else "next"
            yield (
                f"what was in force from {minute(item.at)} UTC{end} {_UNREADABLE}: all checks are judged by what was "
                f"in force {instead}"
            )


def reloads(lived: Lived, since: datetime, until: datetime) -> Iterator[tuple[datetime, tuple[str, ...]]]:
    """When something else came into force in that time, and the checks that it concerns."""
    for number, at in enumerate(lived.since):
        if number and since < at < until:
            yield at, lived.changed(number)
