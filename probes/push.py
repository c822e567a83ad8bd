"""Takes figures that an application sends by itself: what it alone knows, and what nothing outside can ask it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from probes._clean import Cleaner
from probes._look import visible
from probes._passive.attendance import CROWDED, attend, number
from probes.contract import (
    DETAIL_LIMIT,
    TEXT_LIMIT,
    Arrival,
    BadField,
    Measurement,
    Observation,
    Passive,
    Presence,
    Refused,
    Unit,
    check_fields,
)

_MOST = 64
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_MESSAGE = "message"
_STAMPS = ("first", "pushed", "listening")
_JUST_AFTER = 0.05
"""Seconds after a moment at which it is certain that it has passed."""


@dataclass(frozen=True, slots=True)
class Push(Passive):
    """Takes figures that an application sends: the age of its queue, orders a minute, whatever it alone knows.

    ```yaml
    checks:
      - name: orders
        probe: push
        token: "${ORDERS_TOKEN}"
        figures: {queue_age: seconds, orders: count}
        expire_after: 5m
        degraded: [queue_age > 60s, orders < 1 for 10m]
        down: queue_age > 15m
    ```

    The application posts a JSON object of figures, some or all of those that `figures` names, in their base units
    (seconds, bytes, a ratio from 0 to 1), and is answered `200 OK`:

    ```text
    curl -fsS -m 10 --retry 5 --retry-connrefused --json '{"queue_age": 3.2, "orders": 17}' http://127.0.0.1:9788/push/TOKEN
    curl -fsS -m 10 -H 'Authorization: Bearer TOKEN' --json '{"orders": 17}' http://127.0.0.1:9788/push
    ```

    A `message` may come with them, a text that is shown as evidence. Whatever else is sent is refused as a whole, and
    the answer says why: a name that is not declared, a text for a figure, NaN, an infinite or nested value.

    Figures are gauges: each look reports the last value of each until it expires, and between two looks the last push
    wins. A push is looked at within a second, so a condition without a window is settled by two pushes or looks;
    windows (`max(queue_age, 5m)`) are made of scheduled looks only, so push and look as often as peaks matter. Send
    counters as differences.

    Default thresholds: `silent_for > 0s` makes it degraded: nothing was sent for `expire_after`. From then on the
    figures are left out, as old ones would say that all is well. None makes it down, as silence does not tell whether
    the application is dead or only its reporting; if for yours it does, write `down: last_push_age > 15m`. While the
    agent was not there to listen nothing is called silence: the time begins anew.

    Limits: 16 kB a push, 64 figures. The rate is not limited; what comes within a write to the journal is written
    once. A push is answered when it is in the journal. `brownout look` asks the running agent.
    """

    kind: ClassVar[str] = "push"
    door: ClassVar[str] = "push"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("silent_for", Unit.SECONDS, "Since the figures have expired; 0 while they have not."),
        Measurement("last_push_age", Unit.SECONDS, "Since the last push."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("silent_for > 0s",)}

    figures: Annotated[Mapping[str, Unit], "What may be sent, by name, and its unit."] = field(default_factory=dict)
    expire_after: Annotated[timedelta, "How long what was sent is good."] = timedelta(minutes=5)
    _measured: tuple[Measurement, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(self.check_token, self._check_figures, self._check_expiry)
        own = tuple(Measurement(name, unit, "Sent by the application.") for name, unit in self.figures.items())
        object.__setattr__(self, "_measured", (*own, *self.measurements))

    def _check_figures(self) -> None:
        reserved = {_MESSAGE, *(item.name for item in self.measurements)}
        if not 0 < len(self.figures) <= _MOST:
            advice = "name them with their units, such as figures: {queue_age: seconds, orders: count}"
            raise BadField("figures", f"{len(self.figures)} figures, where 1 to {_MOST} can be sent: {advice}")
        for name in self.figures:
            if not _NAME.fullmatch(name):
                raise BadField(
                    "figures", f"{name[:60]!r} is not a name such as queue_age: small letters, digits and _"
                )
            if name in reserved:
                raise BadField("figures", f"{name!r} has a meaning of its own here: choose another name")

    def _check_expiry(self) -> None:
        if self.expire_after < timedelta(seconds=1):
            raise BadField("expire_after", "must be at least 1s")

    @property
    def target(self) -> str:
        return f"pushes of {', '.join(self.figures)}"

    @property
    def _stamps(self) -> tuple[str, ...]:
        return (*_STAMPS, *(f"at {name}" for name in self.figures))

    @property
    def measured(self) -> tuple[Measurement, ...]:
        return self._measured

    def receive(self, arrival: Arrival, memory: MutableMapping[str, float | str]) -> None:
        if arrival.path:
            raise Refused(404, "After the token comes nothing: POST to /push/TOKEN.")
        if arrival.cut:
            raise Refused(413, "A push is a JSON object of at most 16 kB, sent within 10 seconds.")
        figures, message = self._read(arrival.body)
        attend(memory, arrival.presence, self._stamps)
        for name, value in figures.items():
            memory[f"figure {name}"] = value
            memory[f"at {name}"] = arrival.presence.now
        memory["pushed"] = arrival.presence.now
        memory.pop(CROWDED, None)
        memory.pop(_MESSAGE, None)
        if message:
            clean = arrival.redact(Cleaner((self.token.reveal(),))(message[:TEXT_LIMIT]))
            memory[_MESSAGE] = visible(
                clean if len(message) <= TEXT_LIMIT else clean[: -TEXT_LIMIT // 2], DETAIL_LIMIT
            )

    def _read(self, body: bytes) -> tuple[dict[str, float], str]:
        """The figures and the message. Raises `Refused`."""
        try:
            # A whole number as float: one of 10,000 digits takes long to read, and is no figure.
            read = json.loads(body, object_pairs_hook=_object, parse_int=float, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            why = str(error) if isinstance(error, _Wrong) else "This is not JSON."
            raise Refused(400, f"{why} {self._example()}") from None
        if not isinstance(read, dict):
            raise Refused(400, f"This is not a JSON object. {self._example()}")
        message = read.pop(_MESSAGE, "")
        if not isinstance(message, str):
            raise Refused(400, "message must be a text.")
        if not read.keys() <= self.figures.keys():
            raise Refused(400, f"There is a name that this check does not know. It knows: {', '.join(self.figures)}.")
        if not read:
            raise Refused(400, f"There is no figure in it. {self._example()}")
        for name, value in read.items():
            if not isinstance(value, float) or not math.isfinite(value):
                raise Refused(400, f"{name} must be a finite number.")
        return read, message.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be stored

    def _example(self) -> str:
        figures = ", ".join(f'"{name}": 1.5' for name in list(self.figures)[:3])
        return f"Send an object of figures, such as {{{figures}}}."

    def report(self, presence: Presence, memory: MutableMapping[str, float | str]) -> Observation:
        turn = attend(memory, presence, self._stamps)
        if turn.absence is not None:
            memory["listening"] = turn.absence.ended
            if turn.crowded:
                memory[CROWDED] = 1.0
        now, expiry = presence.now, self.expire_after.total_seconds()
        memory.setdefault("first", now)
        pushed = number(memory, "pushed")
        figures: dict[str, float] = {}
        for name in self.figures:
            value, at = number(memory, f"figure {name}"), number(memory, f"at {name}")
            if value is not None and at is not None and now - at < expiry:
                figures[name] = value
        silent = now - self._heard(memory) - expiry
        if silent > 0 or (pushed or 0.0) >= (number(memory, "listening") or 0.0):
            figures["silent_for"] = max(0.0, silent)
        if pushed is not None:
            figures["last_push_age"] = max(0.0, now - pushed)
        evidence = {"message": str(memory[_MESSAGE])} if _MESSAGE in memory else {}
        return Observation(figures, evidence=evidence)

    def due(self, presence: Presence, memory: Mapping[str, float | str]) -> float | None:
        left = self._heard(memory) + self.expire_after.total_seconds() + _JUST_AFTER - presence.now
        return left if left > 0 else None

    def _heard(self, memory: Mapping[str, float | str]) -> float:
        """When silence began at the earliest: the last push, or when somebody began to listen."""
        return max(number(memory, name) or 0.0 for name in ("first", "pushed", "listening"))


class _Wrong(ValueError):
    """JSON that means nothing here; the text says why."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Wrong("A name comes twice.")
    return found


def _no_number(_text: str) -> float:
    raise _Wrong("NaN and Infinity are no figures.")
