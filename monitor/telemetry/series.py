"""The series of one check and of one service, written as text at each scrape, a family at a time.

Both formats want the samples of a family together, so a scrape goes through all checks once a family. What is fixed
(who a check is, what its thresholds say) is kept as text, since it has to be redacted and escaped; what moves is
written anew. Kept, the text of all families took 3 KB a check, and little of it was still true at the next scrape.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from monitor.core.condition import Condition
from monitor.core.judge import Judge
from monitor.core.model import Look, ServiceState, State
from monitor.core.service import ServiceStatus
from monitor.telemetry.exposition import Family, figure, labels
from probes.contract import Reason

Redact = Callable[[Any], Any]
Limits = tuple[tuple[int, str, str], ...]
"""Of each condition that is told: its place, its labels, and its limit as a figure."""

RESPONSE_TIME = "response_time"
TARGET_LIMIT = 200
PHASES_LIMIT = 16
_CONDITIONS_KEPT = 4096
"""Lists of conditions whose text is kept once for all checks that have the same."""

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

_INFO, _STATE, _LOOKS, _RESPONSE, _PHASE, _MEASUREMENT, _LIMIT, _ACTIVE, _LOOKED = (
    family.sample for family in CHECK_FAMILIES
)
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NOT_IN_A_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_GIVEN = "\0"
"""Stands for the labels in a text that many have in common."""


class Clean:
    """Makes the fixed text: escaped, and without secrets."""

    def __init__(self, redact: Redact) -> None:
        self.redact = redact
        self.limits = lru_cache(_CONDITIONS_KEPT)(partial(_limits, redact))
        """Of a check's conditions; of 10,000 checks most have the same."""

    def labels(self, **pairs: str) -> str:
        return labels(self.redact(pairs))

    def forget(self) -> None:
        """The redactor has learnt more secrets."""
        self.limits.cache_clear()


class CheckSeries:
    """What is counted of one check, and its text as far as that is fixed."""

    __slots__ = ("_info", "_labels", "_limits", "check", "failures", "judge", "ok", "stale")

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.check = judge.check
        """The definition that the text is written for."""
        self.ok = 0
        self.failures: dict[Reason, int] | None = None
        self.stale = True
        """Whether the fixed text is to be written: not before the first scrape, or it would hold up the start."""
        self._labels = self._info = ""
        self._limits: Limits = ()

    def count(self, look: Look) -> None:
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

    def fix(self, clean: Clean) -> None:
        """Write the fixed text."""
        check = self.check
        self._labels = clean.labels(check=check.id, service=check.service)
        self._info = labels(_info(self.judge, clean.redact))
        self._limits = clean.limits(check.conditions)
        self.stale = False

    def flagged(self, name: str, flags: Sequence[str]) -> str:
        """A sample of that name for each flag."""
        return "".join([f'{name}{{{self._labels},flag="{flag}"}} 1\n' for flag in flags])

    # One for each family.

    def info(self) -> str:
        return f"{_INFO}{{{self._labels},{self._info}}} 1\n"

    def state(self) -> str:
        return _one_hot(_STATE, State, self.judge.state).replace(_GIVEN, self._labels)

    def looks(self) -> str:
        lines = f'{_LOOKS}{{{self._labels},result="ok"}} {self.ok}\n'
        if self.failures is not None:
            for reason, count in self.failures.items():
                lines += f'{_LOOKS}{{{self._labels},result="{reason.value}"}} {count}\n'
        return lines

    def response(self) -> str:
        look = self.judge.last
        value = look.observation.measurements.get(RESPONSE_TIME) if look is not None else None
        return "" if value is None else f"{_RESPONSE}{{{self._labels}}} {figure(value)}\n"

    def phases(self) -> str:
        look, given = self.judge.last, self._labels
        if look is None:
            return ""
        phases = list(look.observation.phases.items())[:PHASES_LIMIT]
        return "".join(
            [f'{_PHASE}{{{given},phase="{name}"}} {figure(value)}\n' for name, value in phases if _is_word(name)]
        )

    def measurements(self) -> str:
        look, given = self.judge.last, self._labels
        if look is None:
            return ""
        measurements = look.observation.measurements
        # Only what the probe declares: a name that came from the target would be a label of its choice.
        return "".join(
            [
                f'{_MEASUREMENT}{{{given},measurement="{item.name}",unit="{item.unit.value}"}} {figure(value)}\n'
                for item in self.check.probe.measured
                if item.name != RESPONSE_TIME and (value := measurements.get(item.name)) is not None
            ]
        )

    def limits(self) -> str:
        given = self._labels
        return "".join([f"{_LIMIT}{{{given},{condition}}} {limit}\n" for _, condition, limit in self._limits])

    def actives(self) -> str:
        given, thresholds = self._labels, self.judge.thresholds
        if self.judge.check is not self.check:
            return ""  # a reload came into this scrape
        return "".join(
            [
                f"{_ACTIVE}{{{given},{condition}}} {int(thresholds[place].active)}\n"
                for place, condition, _ in self._limits
            ]
        )

    def looked(self) -> str:
        look = self.judge.last
        return "" if look is None else f"{_LOOKED}{{{self._labels}}} {look.ended.at.timestamp():.3f}\n"


CHECK_WRITERS: tuple[Callable[[CheckSeries], str], ...] = (
    CheckSeries.info,
    CheckSeries.state,
    CheckSeries.looks,
    CheckSeries.response,
    CheckSeries.phases,
    CheckSeries.measurements,
    CheckSeries.limits,
    CheckSeries.actives,
    CheckSeries.looked,
)
"""In the order of `CHECK_FAMILIES`."""


class ServiceSeries:
    """One service's states as text."""

    __slots__ = ("_labels", "status")

    def __init__(self, status: ServiceStatus) -> None:
        self.status = status
        self._labels = ""

    def forget_text(self) -> None:
        self._labels = ""

    def states(self, clean: Clean) -> str:
        if not self._labels:
            self._labels = clean.labels(service=self.status.service.id)
        return _one_hot(SERVICE_FAMILY.sample, ServiceState, self.status.state).replace(_GIVEN, self._labels)


@lru_cache(maxsize=16)
def _one_hot(name: str, states: type[State] | type[ServiceState], now: str) -> str:
    """A stateset: one sample a state, 1 for the present one."""
    return "".join([f'{name}{{{_GIVEN},{name}="{state.value}"}} {int(state is now)}\n' for state in states])


@lru_cache(maxsize=1024)
def _is_word(name: str) -> bool:
    return _WORD.fullmatch(name) is not None


def _info(judge: Judge, redact: Redact) -> dict[str, str]:
    """The labels that tell who a check is, but for those that all its samples have."""
    check = judge.check
    pairs = {"name": check.name, "probe": check.probe.kind, "target": redact(check.probe.target)[:TARGET_LIMIT]}
    if check.owner:
        pairs["owner"] = check.owner
    for name, value in check.labels.items():
        # Two labels that differ only in what Prometheus cannot write: the first keeps the name.
        pairs.setdefault(f"label_{_NOT_IN_A_LABEL.sub('_', name)}", value)
    told: dict[str, str] = redact(pairs)
    return told


def _limits(redact: Redact, conditions: tuple[Condition, ...]) -> Limits:
    """A condition may be written twice (by a probe's defaults, and by hand); a series may be told only once."""
    places = {(item.level, item.text): place for place, item in enumerate(conditions)}
    return tuple(
        (
            place,
            labels(redact({"level": conditions[place].level.value, "condition": conditions[place].text})),
            figure(_limit(conditions[place])),
        )
        for place in places.values()
    )


def _limit(condition: Condition) -> float:
    return condition.bound.limit if condition.bound.of is None else math.nan  # it moves
