"""What the log tells of decisions: one line for each transition as it becomes durable, and one for each check that
cannot be judged."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import structlog

from monitor.core.judge import Judge
from monitor.core.model import UNKNOWN, Change, Look
from probes.contract import Reason

_log = structlog.get_logger("brownout.pipeline")


class Blindness:
    """Which checks cannot be judged, as far as the log has it.

    One that could not be from the first look on has no transition that would tell so: one line for each reason, and
    anew after a start.
    """

    def __init__(self) -> None:
        self._told: dict[str, Reason] = {}

    def keep(self, checks: Collection[str]) -> None:
        """Forget all other checks."""
        self._told = {name: reason for name, reason in self._told.items() if name in checks}

    def report(self, look: Look, judge: Judge, *, moved: bool) -> None:
        """After a look. `moved`: there is a transition, which tells it."""
        reason = judge.verdict.reason
        if judge.state is not UNKNOWN or reason is None:
            if self._told:
                self._told.pop(look.check, None)
        elif reason is look.observation.reason and self._told.get(look.check) is not reason:
            self._told[look.check] = reason
            if not moved:
                _log.warning("cannot_tell", check=look.check, reason=reason.value, why=judge.verdict.why)


def named(changes: Iterable[Change]) -> dict[str, list[str]]:
    """Whom changes are about, for a log line."""
    transitions = [f"{item.kind} {item.subject}" for change in changes for item in change.transitions]
    return {"transitions": transitions, "events": [event.id for change in changes for event in change.events]}


def report(changes: Sequence[Change]) -> None:
    """One log line for each transition."""
    for change in changes:
        for transition in change.transitions:
            if transition.was:
                _log.info("renamed", **{transition.kind: transition.subject}, was=transition.was)
                continue
            _log.info(
                "transition",
                **{transition.kind: transition.subject},
                old=transition.old,
                new=transition.new,
                reason=transition.verdict.reason.value if transition.verdict.reason else None,
                why=transition.verdict.why,
            )
