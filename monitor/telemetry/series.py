"""The series of one check and of one service, kept as finished text: a fragment a family.

Both formats want the samples of a family together, so a scrape joins the same fragment of all checks, then the next.
What cannot change (info, limits) is rendered once; what seldom changes (state, active thresholds) when it has; the
rest when the check was looked at since the last scrape.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from monitor.core.judge import Judge
from monitor.core.model import Look, ServiceState, State
from monitor.core.service import ServiceStatus
from monitor.core.threshold import Threshold
from monitor.telemetry.exposition import Family, figure, labels
from probes.contract import Reason

Redact = Callable[[Any], Any]

RESPONSE_TIME = "response_time"
TARGET_LIMIT = 200
PHASES_LIMIT = 16

INFO, STATE, LOOKS, RESPONSE, PHASE, MEASUREMENT, LIMIT, ACTIVE, LOOKED = range(9)

CHECK_FAMILIES = (
    Family("brownout_check", "info", "What a check looks at, and for whom."),
    Family("brownout_check_state", "stateset", "The confirmed state of a check."),
    Family("brownout_check_looks", "counter", "Looks taken, by result: ok, or the reason of the failure."),
    Family("brownout_check_response_time_seconds", "gauge", "Response time of the last look.", "seconds"),
    Family("brownout_check_phase_seconds", "gauge", "Phases of the last look.", "seconds"),
    Family("brownout_check_measurement", "gauge", "Other figures of the last look, in the unit of their label."),
    Family("brownout_check_threshold", "gauge", "Limit of a threshold, in the base unit of what it compares."),
    Family("brownout_check_threshold_active", "gauge", "Whether a threshold holds (1) or not (0)."),
    Family(
        "brownout_check_last_look_timestamp_seconds", "gauge", "When the last look ended, in Unix time.", "seconds"
    ),
)

SERVICE_FAMILY = Family("brownout_service_state", "stateset", "The state of a service.")

_STATE, _LOOKS, _RESPONSE, _PHASE, _MEASUREMENT, _LIMIT, _ACTIVE, _LOOKED = (
    family.sample for family in CHECK_FAMILIES[1:]
)
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NOT_IN_A_LABEL = re.compile(r"[^a-zA-Z0-9_]")


class CheckSeries:
    """What is counted of one check, and its text as of the last scrape."""

    __slots__ = ("_active", "_labels", "_redact", "_state", "check", "failures", "fragments", "judge", "ok", "stale")

    def __init__(self, judge: Judge, redact: Redact) -> None:
        self.judge = judge
        self.check = judge.check
        """The definition that the text was written for."""
        self.ok = 0
        self.failures: dict[Reason, int] | None = None
        self.forget_text()
        self.fragments = [b""] * len(CHECK_FAMILIES)
        self._redact = redact

    def forget_text(self) -> None:
        """What was written is written anew."""
        self.stale = True
        self._labels = ""
        self._state: State | None = None
        self._active: tuple[bool, ...] | None = None

    def count(self, look: Look) -> None:
        self.stale = True
        reason = look.observation.reason
        if reason is None:
            self.ok += 1
            return
        if self.failures is None:
            self.failures = {}
        self.failures[reason] = self.failures.get(reason, 0) + 1

    def carry_on(self, before: CheckSeries) -> None:
        """Go on with the counters of the same check under an earlier configuration."""
        self.ok, self.failures = before.ok, before.failures

    def render(self) -> None:
        """Bring the fragments up to date."""
        self.stale = False
        judge, fragments = self.judge, self.fragments
        if self._state is None:  # not before the first scrape: it would hold up the start, or a reload
            self._labels = labels(self._redact({"check": judge.check.id, "service": judge.check.service}))
            fragments[INFO], fragments[LIMIT] = _info(judge, self._redact), _limits(judge, self._redact)
        if judge.state is not self._state:
            self._state = judge.state
            fragments[STATE] = one_hot(_STATE, self._labels, State, judge.state)
        active = tuple(threshold.active for threshold in judge.thresholds)
        if active != self._active:
            self._active = active
            fragments[ACTIVE] = _actives(judge, fragments[LIMIT])
        fragments[LOOKS] = self._looks()
        if judge.last is not None:
            self._render_look(judge.last)

    def flagged(self, name: str, flags: Sequence[str]) -> bytes:
        """A sample of that name for each flag; none for a check that no scrape has seen yet."""
        if not flags or not self._labels:
            return b""
        return "".join([f'{name}{{{self._labels},flag="{flag}"}} 1\n' for flag in flags]).encode()

    def _looks(self) -> bytes:
        lines = f'{_LOOKS}{{{self._labels},result="ok"}} {self.ok}\n'
        for reason, count in (self.failures or {}).items():
            lines += f'{_LOOKS}{{{self._labels},result="{reason.value}"}} {count}\n'
        return lines.encode()

    def _render_look(self, look: Look) -> None:
        given, fragments = self._labels, self.fragments
        measurements = look.observation.measurements
        value = measurements.get(RESPONSE_TIME)
        fragments[RESPONSE] = b"" if value is None else f"{_RESPONSE}{{{given}}} {figure(value)}\n".encode()
        phases = list(look.observation.phases.items())[:PHASES_LIMIT]
        fragments[PHASE] = "".join(
            [f'{_PHASE}{{{given},phase="{name}"}} {figure(value)}\n' for name, value in phases if _is_word(name)]
        ).encode()
        # Only what the probe declares: a name that came from the target would be a label of its choice.
        fragments[MEASUREMENT] = "".join(
            [
                f'{_MEASUREMENT}{{{given},measurement="{item.name}",unit="{item.unit.value}"}} {figure(value)}\n'
                for item in self.judge.check.probe.measured
                if item.name != RESPONSE_TIME and (value := measurements.get(item.name)) is not None
            ]
        ).encode()
        fragments[LOOKED] = f"{_LOOKED}{{{given}}} {look.ended.at.timestamp():.3f}\n".encode()


class ServiceSeries:
    """One service's states as text, rendered when the state has changed."""

    __slots__ = ("_labels", "_redact", "_state", "fragment", "status")

    def __init__(self, status: ServiceStatus, redact: Redact) -> None:
        self.status = status
        self._redact = redact
        self.fragment = b""
        self.forget_text()

    def forget_text(self) -> None:
        self._labels = ""
        self._state: ServiceState | None = None

    def render(self) -> None:
        if self._state is None:
            self._labels = labels(self._redact({"service": self.status.service.id}))
        if self.status.state is not self._state:
            self._state = self.status.state
            self.fragment = one_hot(SERVICE_FAMILY.sample, self._labels, ServiceState, self._state)


def one_hot(name: str, given: str, states: type[State] | type[ServiceState], now: str) -> bytes:
    """A stateset: one sample a state, 1 for the present one."""
    lines = [f'{name}{{{given},{name}="{state.value}"}} {int(state is now)}\n' for state in states]
    return "".join(lines).encode()


@lru_cache(maxsize=1024)
def _is_word(name: str) -> bool:
    return _WORD.fullmatch(name) is not None


def _info(judge: Judge, redact: Redact) -> bytes:
    check = judge.check
    pairs = {
        "check": check.id,
        "service": check.service,
        "name": check.name,
        "probe": check.probe.kind,
        "target": redact(check.probe.target)[:TARGET_LIMIT],
    }
    if check.owner:
        pairs["owner"] = check.owner
    for name, value in check.labels.items():
        # Two labels that differ only in what Prometheus cannot write: the first keeps the name.
        pairs.setdefault(f"label_{_NOT_IN_A_LABEL.sub('_', name)}", value)
    return f"{CHECK_FAMILIES[INFO].sample}{{{labels(redact(pairs))}}} 1\n".encode()


def _limits(judge: Judge, redact: Redact) -> bytes:
    """The limit of each condition, a line each, in the order of `_distinct`."""
    lines = []
    for threshold in _distinct(judge):
        condition = threshold.condition
        pairs = {
            "check": judge.check.id,
            "service": judge.check.service,
            "level": condition.level.value,
            "condition": condition.text,
        }
        limit = condition.bound.limit if condition.bound.of is None else math.nan  # it moves
        lines.append(f"{_LIMIT}{{{labels(redact(pairs))}}} {figure(limit)}\n")
    return "".join(lines).encode()


def _actives(judge: Judge, limits: bytes) -> bytes:
    """The same lines under their other name and with the other figure: labels are escaped and redacted once."""
    lines = limits.decode().split("\n")[:-1]
    prefix = len(_LIMIT)
    return "".join(
        f"{_ACTIVE}{line[prefix : line.rindex(' ')]} {int(threshold.active)}\n"
        for line, threshold in zip(lines, _distinct(judge), strict=True)
    ).encode()


def _distinct(judge: Judge) -> list[Threshold]:
    """A condition may be written twice (by a probe's defaults, and by hand); a series may be told only once."""
    return list({(item.condition.level, item.condition.text): item for item in judge.thresholds}.values())
