"""What is said of several events at once: of one stream the present, of a storm a digest. Pure but for its pauses.

A *level* sink is told how it stands now, people are told what they have missed: what waited, because the sink was
gone or because people were told something just before, is not told event by event.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.core.digest import Digest, Item, counted, digest_body, was
from monitor.core.identity import event_id
from monitor.core.model import EventType
from monitor.core.wording import cut, duration
from monitor.sinks._message import moment
from monitor.sinks._told import Class, Told, read
from monitor.sinks.contract import Nature
from monitor.store.contract import Delivery

LATE = timedelta(minutes=5)
"""News that is older says when it was."""
_SLICE = 50
"""Bodies that are read between two turns of the loop (1 ms)."""

_ORDER = (Class.OUTAGE, Class.DEGRADED, Class.UNKNOWN, Class.MARK, Class.RECOVERED)
"""The worst first."""
_STATES = {Class.OUTAGE: "outage", Class.DEGRADED: "degradation", Class.RECOVERED: "operational"}
_TAKEN_ON = frozenset({"acknowledged", "snoozed"})


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent at once: what the sink is handed, and the rows that it stands for."""

    said: Delivery
    rows: tuple[Delivery, ...]
    ended: tuple[str, ...] = ()
    """Streams whose end a digest tells: what the sink keeps of them it needs no more."""

    @property
    def is_mark(self) -> bool:
        """Whether it tells of what is no trouble."""
        return read(self.said).cls is Class.MARK

    @property
    def attempt(self) -> int:
        """Of the newest of them: what is new is tried again as soon as anything else that is."""
        return min(row.attempt for row in self.rows)


async def parcels(
    nature: Nature, rows: Sequence[Delivery], now: datetime, apart: Container[str] = ()
) -> list[Parcel]:
    """How these rows of one sink are sent; those of a stream are in order. The streams `apart` are in no digest."""
    if nature is Nature.LOG:
        return [Parcel(row, (row,)) for row in rows]
    streams: dict[str, list[tuple[Delivery, Told]]] = {}
    for number, row in enumerate(rows, 1):
        streams.setdefault(row.stream, []).append((row, read(row)))
        if number % _SLICE == 0:
            await asyncio.sleep(0)
    present = [
        Parcel(_present(nature, pairs, now), tuple(row for row, _ in pairs)) for pairs in streams.values() if pairs
    ]
    alone = [parcel for parcel in present if _alone(parcel, apart)]
    together = [parcel for parcel in present if not _alone(parcel, apart)]
    if nature is Nature.LEVEL or len(together) < 2:
        return present
    told = []
    for number, parcel in enumerate(together, 1):
        told.append(read(parcel.said))
        if number % _SLICE == 0:
            await asyncio.sleep(0)
    gathered = {parcel.said.stream for parcel in together}
    rows = [row for row in rows if row.stream in gathered]
    ended = (parcel.said.stream for parcel, said in zip(together, told, strict=True) if said.cls is Class.RECOVERED)
    return [*alone, Parcel(_digest(told, rows, now), tuple(rows), tuple(ended))]


def _alone(parcel: Parcel, apart: Container[str]) -> bool:
    """A digest of the journal, of quiet hours, would lose its items as one of another's."""
    return parcel.said.stream in apart or parcel.said.event_type == EventType.DIGEST


def _present(nature: Nature, pairs: Sequence[tuple[Delivery, Told]], now: datetime) -> Delivery:
    """The newest of a stream, in the words that are right by now."""
    newest, told = pairs[-1]
    bad = [earlier for _, earlier in pairs[:-1] if earlier.cls.bad]
    if told.cls is Class.RECOVERED and bad:
        return _reworded(newest, told, _was(told, bad, now))
    if nature is Nature.HUMAN and (aside := _asides(pairs)):
        about = next((said for _, said in reversed(pairs) if said not in aside), aside[0])
        if about is not told:
            # They begin by how it stands.
            done = (said.sentence.removeprefix(about.sentence).strip() for said in aside)
            taken_on = any(said.part("update").get("kind") in _TAKEN_ON for said in aside)
            told = told if taken_on else _as_news(told, about)
            return _reworded(newest, told, " ".join([about.sentence, *done]))
    if now - newest.at > LATE:
        return _reworded(newest, told, f"{_at(newest.at, now)}: {told.sentence}")
    return newest


def _as_news(told: Told, about: Told) -> Told:
    """What stands now, told for what was new: an outage, and not that an action was taken as it began."""
    why = ("state", "update")
    body = {name: value for name, value in told.body.items() if name not in why}
    return replace(told, body=body | {name: about.body[name] for name in why if name in about.body})


def _asides(pairs: Sequence[tuple[Delivery, Told]]) -> list[Told]:
    """Those at the end that tell nothing of how it stands: they are told along with what does."""
    aside: list[Told] = []
    for _, told in reversed(pairs):
        if not told.is_aside:
            break
        aside.insert(0, told)
    return aside


def _was(told: Told, bad: Sequence[Told], now: datetime) -> str:
    """``Web shop was down 14:02-14:09 UTC (7 min). It was home: connection refused.``"""
    incident = told.part("incident")
    begun = min(filter(None, (moment(item.since) for item in bad)), default=now)
    over = moment(incident.get("resolved") or told.since) or moment(told.at) or now
    what = "down" if any(item.cls is Class.OUTAGE for item in bad) else "degraded"
    services = incident.get("services")
    more = len(services) - 1 if isinstance(services, list) else 0
    who = f"{told.title} and {more} more" if more > 0 else told.title
    mark = next((word for word in ("[DRILL] ", "[TEST] ") if told.sentence.startswith(word)), "")
    root, why = incident.get("root"), bad[-1].body.get("why")
    because = f" It was {root}: {why}." if root and why else f" It was: {why}." if why else ""
    return f"{mark}{was(who, what, begun, over, now, several=more > 0)}{because}"


def _at(at: datetime, now: datetime) -> str:
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    return f"{at:%H:%M} UTC" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M} UTC"


def _whole(span: timedelta) -> timedelta:
    return timedelta(seconds=round(span.total_seconds()))


def _reworded(row: Delivery, told: Told, sentence: str) -> Delivery:
    return replace(row, body=_encoded({**told.body, "sentence": cut(sentence)}))


def _digest(told: Sequence[Told], rows: Sequence[Delivery], now: datetime) -> Delivery:
    """One event about many streams: counts, and the worst first."""
    ordered = sorted(told, key=lambda item: (_ORDER.index(item.cls), item.since))
    worst, first = ordered[0], min(row.at for row in rows)
    olds = {str(item.part("state").get("old")) for item in told}
    words = counted(["other" if item.cls is Class.MARK else _state(item) for item in told])
    lasted = _whole(max(now - first, timedelta(seconds=1)))
    digest = Digest(
        at=now,
        sentence=f"{len(told)} events within {duration(lasted)}: {words}. First: {worst.sentence}",
        vantage=str(worst.body.get("vantage") or ""),
        old=next((o for o in _BAD_OLD if o in olds), "operational"),
        since=first,
        items=[_item(item) for item in ordered],
        events=len(rows),
    )
    page = {kind: link for kind, link in worst.part("links").items() if kind == "page"}
    name = event_id(*(row.event_id for row in rows))  # the same for the same events, whenever they are told
    body = digest_body(name, digest, page)
    for mark in ("drill", "test"):
        if all(item.body.get(mark) is True for item in told):
            body[mark] = True
    newest = rows[-1]
    return replace(
        newest, event_id=body["id"], event_type=EventType.DIGEST, stream=EventType.DIGEST, body=_encoded(body), at=now
    )


_BAD_OLD = ("outage", "down", "degradation", "degraded", "unknown")


def _item(told: Told) -> Item:
    return Item(told.at, told.sentence, _state(told), told.part("incident").get("id"))


def _state(told: Told) -> str:
    return _STATES.get(told.cls, "unknown")


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
