"""What is kept from people, and when they are told after all: maintenance, and flapping.

A check may be in another state than the one that was told of it. As long as it is in maintenance, only changes for
the better are told; as long as it flaps, only changes for the worse than what was told already. What was told counts:
services are judged by it, so no incident is opened and resolved meanwhile. What was not told is made up for when the
maintenance or the flapping ends, where it is still so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from monitor.core.agenda import Agenda
from monitor.core.flapping import Bouts, worse
from monitor.core.judge import Judge
from monitor.core.maintenance import Part, Span, Watched, Window, members_of, read_window
from monitor.core.model import Flapping, Moment, Note, Service, ServiceState, State, Transition
from monitor.core.service import ServiceStatus
from monitor.core.snapshot import UNREADABLE
from monitor.core.wording import duration

AD_HOC, HELD, FLAPPING = "maintenance:", "told:", "flapping:"
"""The beginnings of the names of notes; what follows is a window's id, a check's, or a subject."""
WINDOWS, BOUTS = "maintenance", "flapping"
"""Kinds of items on the agenda: windows begin or end; something is to be done about the bouts of a subject."""

RECONSIDER = 60.0
"""Seconds after which the windows are looked at again, though nothing begins or ends: the clock may have been set."""

SOONEST = 1.0
"""Seconds until something is done again about a subject that flaps."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a check that is in another state by now; `why` it was so. `by`: the dependency in maintenance
    because of which it is not told what it is (`monitor.core.shelter`), by id; None: it is not because of one."""

    state: State
    why: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """What becomes of a change of a check: whether it is told, as a change from which state, and a sentence that is
    told with it."""

    told: bool
    old: State
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cover:
    """That a check is in maintenance: by which window, and until when (Unix time)."""

    window: Window
    until: float

    @property
    def ends(self) -> datetime:
        return when(self.until)


def when(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


class Calm:
    """Part of the world. `moment` is set by whoever has something decided."""

    def __init__(self, agenda: Agenda, notes: Mapping[str, Any], now: Moment) -> None:
        self.moment = now
        self.covered: dict[str, Cover] = {}
        """The checks in maintenance, by id."""
        self.held: dict[str, Told] = {}
        """The checks of which something else was told than what they are, by id."""
        self.ad_hoc: dict[str, Window] = {}
        """The windows that were announced by hand, by id."""
        self.bouts: dict[str, Bouts] = {}
        """By subject: ``check:home``, ``service:shop``."""
        self._agenda = agenda
        self._news: dict[str, Note] = {}
        self._spans: dict[str, tuple[float, Span | None]] = {}
        """Of the windows that recur, by id: what their schedule has told, and for which time (Unix) it was asked."""
        for name, value in notes.items():
            try:
                self._remember(name, value, now)
            except UNREADABLE:
                self._note(name, None)  # by another version, or by nobody

    def _remember(self, name: str, value: Any, now: Moment) -> None:
        if name.startswith(AD_HOC):
            identity = name.removeprefix(AD_HOC)
            self.ad_hoc[identity] = read_window(identity, value)
        elif name.startswith(HELD):
            by = None if value.get("by") is None else str(value["by"])
            self.held[name.removeprefix(HELD)] = Told(State(value["state"]), str(value["why"]), by)
        elif name.startswith(FLAPPING):
            self.bouts[name.removeprefix(FLAPPING)] = Bouts.load(value, now)

    def notes(self, now: Moment) -> Iterator[Note]:
        """All that is remembered: for a journal that has lost it."""
        yield from (Note(AD_HOC + name, window.as_json()) for name, window in self.ad_hoc.items())
        yield from (Note(HELD + name, _kept(told)) for name, told in self.held.items())
        yield from (Note(FLAPPING + subject, bouts.dump(now)) for subject, bouts in self.bouts.items())

    def written(self) -> tuple[Note, ...]:
        """What is to be noted since this was last asked."""
        news, self._news = tuple(self._news.values()), {}
        return news

    def _note(self, name: str, value: Any) -> None:
        self._news[name] = Note(name, value)

    # --- checks --------------------------------------------------------------------------------------------

    def told(self, judge: Judge, state: State | None = None) -> State:
        """The state that was told of a check; where nothing is kept back, its own, or `state`."""
        held = self.held.get(judge.check.id)
        return (state or judge.state) if held is None else held.state

    def why(self, judge: Judge) -> str:
        """Why it is, or was, in the state that was told."""
        held = self.held.get(judge.check.id)
        return judge.verdict.why if held is None else held.why

    def is_flapping(self, subject: str) -> bool:
        bouts = self.bouts.get(subject)
        return bouts is not None and bouts.flapping

    def leads(self, check: str, service: Service) -> bool:
        """Whether it is the first of the checks of its service that flap: only of this one incidents tell, or fifty
        checks of one dead host would be fifty digests."""
        since = {
            name: self.bouts[f"check:{name}"].since for name in service.checks if self.is_flapping(f"check:{name}")
        }
        return check not in since or check == min(since, key=lambda name: (since[name], name))

    def quiet(self, check: str) -> bool:
        """Whether changes of the check are kept back at present, whatever it depends on."""
        return check in self.covered or self.is_flapping(f"check:{check}")

    def cover_of(self, check: str) -> Cover | None:
        """The window because of which a check is not told of: its own, or that of what it depends on."""
        held = self.held.get(check)
        own = self.covered.get(check)
        return own or (self.covered.get(held.by) if held is not None and held.by is not None else None)

    def changed(self, judge: Judge, transition: Transition, why: str, by: str | None = None) -> Word:
        """A check has changed; `why` it was as it was. `by`: the dependency in maintenance that shelters it (id)."""
        name, new = judge.check.id, State(transition.new)
        old = State(transition.old)
        held = self.held.get(name)
        told = held.state if held is not None else old
        note = ""
        away = name in self.covered or by is not None
        if not away:
            note = self._bout(f"check:{name}", judge.check.name, old, new, judge.check.flapping)
        if self._kept_back(name, told, new, away=away, begins=bool(note)):
            self._hold(name, replace(held or Told(told, why), by=None if name in self.covered else by))
            return Word(told=False, old=told)
        self.release(name)
        return Word(told=new is not told or bool(note), old=told, note=note)

    def _kept_back(self, name: str, told: State, new: State, *, away: bool, begins: bool) -> bool:
        if away:
            better = new is State.UP or (new.bad and told.bad and worse(told, new))
            return new is not told and not better
        if self.is_flapping(f"check:{name}") and not begins:
            return new is not told and not worse(new, told)
        return False

    def _hold(self, name: str, told: Told) -> None:
        if self.held.get(name) != told:
            self.held[name] = told
            self._note(HELD + name, _kept(told))

    def release(self, name: str) -> Told | None:
        """From now on the check's own state counts. What was told of it until now, where that is something else."""
        told = self.held.pop(name, None)
        if told is not None:
            self._note(HELD + name, None)
        return told

    # --- flapping ------------------------------------------------------------------------------------------

    def _bout(
        self, subject: str, title: str, old: State | ServiceState, new: State | ServiceState, policy: Flapping | None
    ) -> str:
        """Count a change; a sentence where flapping begins with it."""
        if policy is None:
            return ""
        bouts = self.bouts.get(subject) or Bouts(old)
        begins = bouts.change(new, self.moment.tick, policy)
        if bouts.last != self.moment.tick or not (bouts.count or bouts.flapping):
            return ""
        self.bouts[subject] = bouts
        self.rewrite(subject, policy)
        if not begins:
            return ""
        return (
            f"{title} is flapping: it got worse {bouts.count} times within {duration(policy.within)}. "
            f"Further changes are gathered until it holds still for {duration(policy.quiet)}."
        )

    def rewrite(self, subject: str, policy: Flapping) -> None:
        """Note how it stands with a subject's changes, and when something is to be done about them."""
        bouts = self.bouts[subject]
        self._note(FLAPPING + subject, bouts.dump(self.moment))
        # What is due now has been done: what rounding makes of a tick must not have it done again and again.
        self._agenda.enter(BOUTS, subject, max(bouts.due(policy), self.moment.tick + SOONEST))

    def forget_bouts(self, subject: str) -> None:
        if self.bouts.pop(subject, None) is not None:
            self._note(FLAPPING + subject, None)
            self._agenda.drop(BOUTS, subject)

    def steady(self, status: ServiceStatus, state: ServiceState) -> ServiceState:
        """The state that a service goes to: one that flaps gets no better."""
        if not self.is_flapping(f"service:{status.service.id}") or worse(state, status.state):
            return state
        return status.state

    def service_judged(self, status: ServiceStatus, state: ServiceState) -> str:
        """A service should go to this state; a sentence where it begins to flap. What a check that flaps does to its
        service, or one in maintenance, is no flapping of the service; nor is that of the only check."""
        service = status.service
        if len(service.checks) < 2 or service.flapping is None:
            return ""
        if (self.covered or self.bouts) and any(self.quiet(name) or self.cover_of(name) for name in service.checks):
            return ""
        return self._bout(f"service:{service.id}", service.title, status.state, state, service.flapping)

    # --- windows -------------------------------------------------------------------------------------------

    def windows(self, planned: tuple[Window, ...], at: float) -> Iterator[tuple[Window, Span]]:
        """Those that are not over at that time, each with its present or next span. What was announced by hand holds
        since then, though the clock may have been set back to before."""
        for window in (*planned, *self.ad_hoc.values()):
            if (span := self._span(window, at)) is not None:
                by_hand = self.ad_hoc.get(window.id) is window
                yield window, replace(span, begin=min(span.begin, at)) if by_hand else span

    def _span(self, window: Window, at: float) -> Span | None:
        """To ask a schedule may take a millisecond: the span that it told is still the one until it is over."""
        if window.schedule is None:
            return window.span(at)
        asked, span = self._spans.get(window.id, (at, None))
        if span is None or not asked <= at < span.end:
            span = window.span(at)
            self._spans[window.id] = at, span
        return span

    def announce(self, window: Window) -> None:
        """A window by hand; it replaces the one of its id."""
        assert window.once is not None  # noqa: S101  (nothing recurs that is announced by hand)
        self.ad_hoc[window.id] = window
        self._note(AD_HOC + window.id, window.as_json())

    def call_off(self, identity: str) -> Window | None:
        """End a window that was announced by hand; None: there is none."""
        window = self.ad_hoc.pop(identity, None)
        if window is not None:
            self._note(AD_HOC + identity, None)
        return window

    def reconsider(self) -> None:
        """The configuration is another one: look at it all as soon as possible."""
        self._spans.clear()
        self._agenda.enter(WINDOWS, "", 0.0)
        for subject in self.bouts:
            self._agenda.enter(BOUTS, subject, 0.0)

    def cover(self, planned: tuple[Window, ...], watched: Watched) -> None:
        """Which checks are in maintenance now; and when to ask again."""
        at, edges = self.moment.at.timestamp(), [RECONSIDER]
        for identity in [name for name, window in self.ad_hoc.items() if window.span(at) is None]:
            self.call_off(identity)
        known = list(self.windows(planned, at))
        edges += [(span.end if span.holds(at) else span.begin) - at for _, span in known]
        self.covered = _covered([pair for pair in known if pair[1].holds(at)], watched)
        if known or any(told.by is not None for told in self.held.values()):
            self._agenda.enter(WINDOWS, "", self.moment.tick + max(min(edges), 0.0))
        else:
            self._agenda.drop(WINDOWS, "")

    # --- checks that come and go ---------------------------------------------------------------------------

    def forget(self, check: str) -> Told | None:
        """The check is watched no longer; what was told of it, where that is something else than what it was."""
        self.forget_bouts(f"check:{check}")
        self.covered.pop(check, None)
        return self.release(check)

    def renamed(self, check: str, judge: Judge) -> None:
        """What is known of a check goes on under the id that its judge has now."""
        to = judge.check.id
        for window in [window for window in self.ad_hoc.values() if check in window.scope.checks]:
            self.announce(replace(window, scope=window.scope.renamed(check, to)))
        if (told := self.release(check)) is not None:
            self._hold(to, told)
        if (bouts := self.bouts.get(f"check:{check}")) is not None:
            self.forget_bouts(f"check:{check}")
            if judge.check.flapping is not None:
                self.bouts[f"check:{to}"] = bouts
                self.rewrite(f"check:{to}", judge.check.flapping)
        if check in self.covered:
            self.covered[to] = self.covered.pop(check)


def _kept(told: Told) -> dict[str, Any]:
    return {"state": told.state.value, "why": told.why, "by": told.by}


def _covered(open_now: list[tuple[Window, Span]], watched: Watched) -> dict[str, Cover]:
    """The checks in these windows, each with the one that ends last. What several windows name is gone through once:
    whoever may announce some could hold up the agent by them."""
    found: dict[str, Cover] = {}
    done: set[Part] = set()
    for window, span in sorted(open_now, key=lambda pair: -pair[1].end):
        cover = Cover(window, span.end)
        for part in window.scope.parts():
            if part not in done:
                done.add(part)
                for name in members_of(part, watched):
                    found.setdefault(name, cover)
    return found
