"""What people ask of the sinks: how they stand, a test, and dead letters to be listed and sent again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from monitor.clock import Clock
from monitor.config.suggest import Vocabulary
from monitor.core.identity import event_id, incident_id
from monitor.core.wording import cut, iso
from monitor.outbox import Outbox
from monitor.sending import SinkState
from monitor.sinks._http import new_client
from monitor.sinks._overheard import Overheard
from monitor.sinks._told import read
from monitor.sinks.contract import Nature, SendFailed, Sink, SinkContext
from monitor.store.contract import Backlog, DeadLetter, Delivery, Store
from monitor.strays import ADVICE, SAID

LETTERS, MOST_LETTERS = 50, 10_000
TEST_LIMIT = 20.0
"""Seconds that a test may take."""
_BACKLOG = Backlog(0, 0, None)


class Unknown(LookupError):
    """No sink is called so. Its text is which one may be meant."""


class Postmaster:
    """What the API hands over. `sinks` are asked for anew each time, as a reload brings others."""

    def __init__(
        self,
        outbox: Callable[[], Outbox],
        store: Store,
        sinks: Callable[[], Mapping[str, Sink]],
        clock: Clock,
        vantage: str,
    ) -> None:
        self._outbox = outbox
        self._store = store
        self._sinks = sinks
        self._clock = clock
        self._vantage = vantage

    async def all(self) -> list[dict[str, Any]]:
        """How each sink stands, also those that are only remembered. Raises `StoreError`."""
        backlog, states, sinks = await self._store.backlog(), self._outbox().states, self._sinks()
        owed = await self._outbox().owed()
        names = dict.fromkeys((*sinks, *states, *sorted(backlog), *sorted(owed)))
        return [
            _item(name, sinks.get(name), states.get(name), backlog.get(name, _BACKLOG), owed.get(name, []))
            for name in names
        ]

    async def dead(self, limit: int) -> list[dict[str, Any]]:
        """Dead letters, the newest first. Raises `StoreError`."""
        return [_letter(letter) for letter in await self._store.dead_letters(limit)]

    async def replay(self, event: str | None, sink: str | None) -> int:
        """Have dead letters sent again: one event, or all of one sink, or all; how many. Those of sinks that are no
        more stay. A sink that is told the present gets what has come of it since, too. Raises `StoreError`."""
        sinks, again = self._sinks(), 0
        for letter in reversed(await self._store.dead_letters(MOST_LETTERS)):
            delivery = letter.delivery
            if event not in (None, delivery.event_id) or sink not in (None, delivery.sink):
                continue
            if (known := sinks.get(delivery.sink)) is not None:
                present = known.nature is not Nature.LOG
                again += await self._store.send_again(delivery.event_id, delivery.sink, present=present)
        if again:
            for name in sinks if sink is None else (sink,):
                self._outbox().restore(name)
        return again

    async def test(self, name: str) -> dict[str, Any]:
        """Send a marked event now, past the queue, and its end where it would stay open; what the other side said.
        Raises `Unknown`."""
        sink = self._sinks().get(name)
        if sink is None:
            raise Unknown(Vocabulary("sink", self._sinks()).meant(name))
        began, memory = self._clock.now(), dict[str, Any]()
        steps: list[dict[str, Any]] = []
        overheard = Overheard()
        async with new_client(overheard) as client:
            for resolved in (False,) if sink.nature is Nature.HUMAN else (False, True):
                delivery = self._delivery(name, resolved=resolved)
                overheard.answers.clear()
                error = await self._send(sink, delivery, client, memory)
                steps.append({"type": delivery.event_type, "error": error, "answers": list(overheard.answers)})
                if error is not None:
                    break
        accepted = all(step["error"] is None for step in steps)
        if accepted:
            self._outbox().restore(name)
        return {
            "sink": name,
            "type": sink.kind,
            "accepted": accepted,
            "seconds": round(self._clock.now().tick - began.tick, 3),
            "sent": steps,
        }

    async def _send(
        self, sink: Sink, delivery: Delivery, client: httpx.AsyncClient, memory: dict[str, Any]
    ) -> str | None:
        """Why it was not accepted; None: it was."""
        context = SinkContext(client, self._clock.now().at, self._outbox().terminal, memory)
        try:
            async with asyncio.timeout(TEST_LIMIT):
                await sink.send(delivery, context)
        except SendFailed as error:
            return str(error)
        except TimeoutError:
            return f"no answer within {TEST_LIMIT:g} s"
        except Exception as error:  # noqa: BLE001  (a sink may be anyone's code, and its error may hold a secret)
            return f"the sink failed with {type(error).__name__} (a bug in it)"
        return None

    def _delivery(self, name: str, *, resolved: bool) -> Delivery:
        now = self._clock.now().at
        at, kind = iso(now), "incident.resolved" if resolved else "incident.opened"
        told = f"[TEST] Brownout at {self._vantage} tries the sink {name}: nothing is wrong."
        told = f"[TEST] The test of the sink {name} is over." if resolved else told
        identity, incident = event_id("test", name, at, kind), incident_id("test", name)
        body: dict[str, Any] = {
            "id": identity,
            "version": "1",
            "type": kind,
            "at": at,
            "sentence": cut(told),
            "vantage": self._vantage,
            "test": True,
            "state": {"old": "degradation", "new": "resolved"}
            if resolved
            else {"old": "operational", "new": "degradation"},
            "since": at,
            "reason": None,
            "why": "somebody has asked for a test",
            "incident": {
                "id": incident,
                "impact": "degradation",
                "opened": at,
                "since": at,
                "resolved": at if resolved else None,
                "duration_seconds": 0.0,
                "root": "test",
                "checks": ["test"],
                "services": ["test"],
                "affected": [] if resolved else ["test"],
            },
            "service": {
                "id": "test",
                "title": "Brownout test",
                "state": "operational" if resolved else "degradation",
                "owner": None,
                "labels": {},
            },
            "evidence": {},
            "links": {},
        }
        return Delivery(0, identity, kind, name, incident, 1, json.dumps(body, ensure_ascii=False).encode(), now)


def _item(
    name: str, sink: Sink | None, state: SinkState | None, backlog: Backlog, owed: Sequence[str]
) -> dict[str, Any]:
    state = state or SinkState(retired=True, error=ADVICE if owed else "")
    return {
        "name": name,
        "type": sink.kind if sink else None,
        "nature": sink.nature.value if sink else None,
        "condition": state.condition.value,
        "retired": state.retired,
        "since": iso(state.since),
        "error": state.error or None,
        "accepted": iso(state.accepted),
        "owed": list(owed[:SAID]),
        "waiting": backlog.waiting,
        "oldest": iso(backlog.oldest),
        "dead": backlog.dead,
        "gathered": state.gathered,
        "handed_over": state.handed_over,
        "fallback": sink.fallback.to if sink and sink.fallback else None,
    }


def _letter(letter: DeadLetter) -> dict[str, Any]:
    delivery, told = letter.delivery, read(letter.delivery)
    return {
        "event": delivery.event_id,
        "type": delivery.event_type,
        "sink": delivery.sink,
        "at": iso(delivery.at),
        "died": iso(letter.died),
        "attempts": delivery.attempt,
        "error": cut(letter.error),
        "sentence": cut(told.sentence),
        "open": told.cls.bad,
    }
