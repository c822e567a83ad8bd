"""Transitions as spans of states, for a ribbon; and the times in which no agent was there to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from monitor.core.history import Span
from monitor.core.model import Transition

SHORTEST_ABSENCE = timedelta(minutes=1)
"""A restart is no gap in a ribbon."""


def spans(
    transitions: Iterable[Transition],
    since: datetime,
    until: datetime,
    absences: Sequence[tuple[datetime, datetime]] = (),
) -> list[Span]:
    """The states from `since` to `until`. `transitions` are those of one subject, oldest first, beginning with the
    last before `since`; `absences` are the times without an agent, in order."""
    absences = [(gone, back) for gone, back in absences if back - gone >= SHORTEST_ABSENCE]
    found: list[Span] = []
    for span in _states(transitions, until):
        start = max(span.start, since)
        if start < min(span.end, until):
            found += _cut(Span(start, min(span.end, until), span.state, span.why), absences)
    return found


def _states(transitions: Iterable[Transition], until: datetime) -> Iterator[Span]:
    before: Transition | None = None
    for transition in transitions:
        if before is not None:
            if transition.was and transition.new == before.new:
                continue  # only its name has changed
            yield _span(before, transition.at)
        before = transition
    if before is not None:
        yield _span(before, until)


def _span(transition: Transition, end: datetime) -> Span:
    return Span(transition.at, end, transition.new, transition.verdict.why)


def _cut(span: Span, absences: Sequence[tuple[datetime, datetime]]) -> Iterator[Span]:
    """The span with what nobody knows of it taken out."""
    start = span.start
    for gone, back in absences:
        if back <= start or gone >= span.end:
            continue
        if start < gone:
            yield Span(start, gone, span.state, span.why)
        start = min(back, span.end)
        yield Span(max(gone, span.start), start, None)
    if start < span.end:
        yield Span(start, span.end, span.state, span.why)
