"""A passive check's life in made-up time: pings, looks as the scheduler takes them, restarts, pauses, clocks set.

Everything between is real: the probe, its default thresholds, the judge, and what the journal keeps of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.config.conditions import parse_condition
from monitor.config.kinds import default_conditions
from monitor.core.condition import Level
from monitor.core.judge import Judge
from monitor.core.judgement import Judgement
from monitor.core.model import Check, CheckRecord, Look, Moment
from probes.contract import Arrival, Observation, Passive, Presence, Secret

TOKEN = Secret("0123456789abcdef0123456789abcdef")
FLUSH_EVERY = 15.0


def utc(text: str) -> float:
    """The Unix time of an ISO time that names its zone, or is UTC."""
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


class Life:
    """`told` are the changes of state, with the seconds since the start of the test at which they were told."""

    def __init__(self, probe: Passive, start: str = "2026-03-02T12:00", every: float = 30.0, **more: str) -> None:
        self.probe = probe
        self.wall = self.began = utc(start)
        self.up = self.since = self.epoch = 1000.0
        self.every = every
        self._presence = 0
        self._crowded = False
        written = [parse_condition(text, Level(level), probe.measured) for level, text in more.items()]
        self.check = Check(
            "job", "job", "job", probe, timedelta(seconds=every), timedelta(seconds=10),
            (*written, *default_conditions(type(probe))),
        )  # fmt: skip
        self.judge = Judge(self.check, None, self.moment)
        self.kept: CheckRecord | None = None
        self.told: list[tuple[float, str]] = []
        self.seen = Observation()
        self._beat = self.up
        self._flush = self.up + FLUSH_EVERY
        self._soon: float | None = None

    @property
    def moment(self) -> Moment:
        return Moment(datetime.fromtimestamp(self.wall, UTC), self.up)

    @property
    def presence(self) -> Presence:
        return Presence(
            self.wall, self.up, self.wall - (self.up - self.since), f"presence {self._presence}", self._crowded
        )

    @property
    def state(self) -> str:
        return self.judge.state.value

    @property
    def figures(self) -> Mapping[str, float]:
        """Of a look now."""
        self.look()
        return self.seen.measurements

    def send(self, path: str = "", body: bytes = b"", **fields: Any) -> None:
        """It arrives, is kept, and looked at."""
        memory = dict(self.judge.memory)
        query = {name: fields.pop(name) for name in ("rid",) if name in fields}
        self.probe.receive(Arrival(self.presence, path, query, body, **fields), memory)
        self.judge.memory.clear()
        self.judge.memory.update(memory)
        self._keep()
        self.look(scheduled=False)

    def look(self, *, scheduled: bool = True) -> None:
        self.seen = self.probe.report(self.presence, self.judge.memory)
        judgement = self.judge.observe(Look("job", self.seen, self.moment, self.moment, scheduled=scheduled))
        if judgement.transition is not None:
            self.told.append((round(self.up - self.epoch, 1), judgement.transition.new))
        self._soon = self._next(judgement)

    def _next(self, judgement: Judgement) -> float | None:
        if judgement.pace is not None:
            return self.up + judgement.pace
        due = self.probe.due(self.presence, self.judge.memory)
        return self.up + due if due is not None else None

    def live(self, seconds: float) -> None:
        """Time passes, the agent looks."""
        end = self.up + seconds
        while (following := min(self._beat, self._flush, self._soon or self._beat)) <= end:
            self._pass(following - self.up)
            if self.up >= self._flush:
                self._keep()
                self._flush = self.up + FLUSH_EVERY
            elif self.up >= self._beat:
                self._beat += self.every
                self.look()
            else:
                self.look(scheduled=False)
        self._pass(end - self.up)

    def live_until(self, text: str) -> None:
        self.live(utc(text) - self.wall)

    def killed(self, seconds: float) -> None:
        """kill -9, and started again so much later with what was flushed."""
        self._pass(seconds)
        self._listen_again()
        self.judge = Judge(self.check, self.kept, self.moment)
        self.look()

    def paused(self, seconds: float) -> None:
        """The process stands still (SIGSTOP), or the machine sleeps."""
        self._pass(seconds)
        self._listen_again()
        self.look()

    def rebooted(self, seconds: float, *, clock: float = 0.0) -> None:
        """The machine was off; its clock came back `clock` seconds off."""
        self._pass(seconds)
        self.wall += clock
        self.epoch += 3.0 - self.up
        self.up = 3.0
        self._listen_again()
        self.judge = Judge(self.check, self.kept, self.moment)
        self.look()

    def set_clock(self, seconds: float) -> None:
        self.wall += seconds

    def turned_away(self) -> None:
        """Somebody found no room."""
        self._appear(crowded=True)
        self.look(scheduled=False)

    def _appear(self, *, crowded: bool = False) -> None:
        self.since, self._crowded = self.up, crowded
        self._presence += 1

    def _listen_again(self) -> None:
        self._appear()
        self._beat, self._flush, self._soon = self.up + self.every, self.up + FLUSH_EVERY, None

    def _keep(self) -> None:
        self.kept = self.judge.record(self.moment)

    def _pass(self, seconds: float) -> None:
        self.wall += max(seconds, 0.0)
        self.up += max(seconds, 0.0)
