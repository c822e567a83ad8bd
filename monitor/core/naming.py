"""Names that change (`was:`): what ties the past under a former name to what goes on under a new one.

The past is never rewritten. A transition that changes nothing but the name says where it goes on, so it stays found
when `was` has left the file, and when another check has taken the former name since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from monitor.core.judge import Judge
from monitor.core.model import Change, Moment, ServiceRecord, Transition, Verdict
from monitor.core.service import ServiceStatus


def renamed(
    judge: Judge, status: ServiceStatus | None, former: str, record: ServiceRecord | None, now: Moment
) -> Iterator[Change]:
    """A check that the agent before knew as `former`, and the service that has its name, as nobody has written it.

    `status` is the service that bears the check's name now, `record` that of `former`, if it is not there any more.
    """
    yield renamed_check(judge, former, now)
    if record is not None and status is not None and status.service.implicit and not status.seq:
        status.state, status.since, status.seq = record.state, record.since, record.seq + 1
        yield renamed_service(status.record(), former, now, judge.verdict)


def renamed_check(judge: Judge, former: str, now: Moment) -> Change:
    """The check's record under its new id, and the tie; without the tie where there is no past."""
    if not judge.seq:
        return Change(checks=(judge.record(now),))
    judge.seq += 1
    tie = _tie("check", judge.check.id, former, judge, now, judge.verdict)
    return Change(checks=(judge.record(now),), transitions=(tie,))


def renamed_service(record: ServiceRecord, former: str, now: Moment, verdict: Verdict) -> Change:
    """The same of a service that has its check's name; `record` counts the tie, `verdict` is the check's."""
    return Change(services=(record,), transitions=(_tie("service", record.service, former, record, now, verdict),))


def _tie(
    kind: str, name: str, former: str, stands: Judge | ServiceRecord, now: Moment, verdict: Verdict
) -> Transition:
    state = stands.state.value
    return Transition(kind, name, stands.seq, now.at, stands.since, state, state, verdict, was=former)


def known_as(check: str, former: Iterable[str], known: Collection[str], seen: Collection[str]) -> str | None:
    """The name under which looks at a check were kept before, if its looks go on there.

    `known` are the names that looks are kept under, `seen` those of them that had one in this agent's life. What
    bears the name of a check that went long ago makes way for one that was looked at under another name until now.
    """
    if check in seen:
        return None
    return next((name for name in former if name in known and (check not in known or name in seen)), None)
