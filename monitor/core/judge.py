"""The state machine of one check: takes in looks, says what they mean, and when to look again.

Two channels speak for themselves, the failed looks (`Failures`) and the figures (`Measured`); the state is the worse
of the two, or `unknown` while nothing can be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from monitor.core.baseline import Usual
from monitor.core.bursts import Confirmation
from monitor.core.failures import PACE, Failures
from monitor.core.figures import small
from monitor.core.form import form_of
from monitor.core.judgement import CALM, Judgement
from monitor.core.measured import Measured
from monitor.core.model import UNKNOWN, UP, Check, CheckRecord, Look, Moment, State, Transition, Verdict, in_seconds
from monitor.core.patience import Patience
from monitor.core.run import NO_RUN, Run, grown, same
from monitor.core.snapshot import UNREADABLE, read_instant, read_seconds
from monitor.core.threshold import Threshold
from monitor.core.untold import Untold, read_untold
from monitor.core.wording import describe_failure
from probes.contract import Blame, Passive, Reason

BLIND_LOOKS = 3
"""So many looks in a row that cannot tell, over at least one interval, make a check `unknown`."""

_UP = Verdict(State.UP)
_FIRST = Verdict(State.UNKNOWN, Reason.NO_DATA, Reason.NO_DATA.meaning)
_SEVERITY = {State.UP: 0, State.DEGRADED: 1, State.DOWN: 2}


class Judge:
    """One check's memory and its state. Not frozen: it owns its windows, and lives as long as the check."""

    __slots__ = (
        "_blind", "_every", "_failures", "_measured", "_patience", "_turn",
        "check", "last", "memory", "seq", "since", "state", "trouble_since", "untold", "verdict",
    )  # fmt: skip

    def __init__(self, check: Check, record: CheckRecord | None, now: Moment) -> None:
        self.check = check
        self.state = State.UNKNOWN
        self.verdict = _FIRST
        self.since = now.at
        self.seq = 0
        self.trouble_since: datetime | None = None
        """When the check left `up`, through whatever states it went since; None while it is up."""
        self.untold: Untold | None = None
        """What is not told of its trouble, where a dependency explains it or may do so."""
        self.last: Look | None = None
        self.memory: dict[str, float | str] = {}
        """The probe's own notes (`Context.memory`)."""
        self._every = in_seconds(check.every)
        self._failures = Failures(check.confirm, check.recover, check.every)
        self._measured = Measured(check)
        self._blind = NO_RUN
        """The looks in a row that cannot tell."""
        self._patience = Patience()
        self._turn = (now.tick, State.UP)
        """When (a tick) the state became what it is, and what it was."""
        if record is not None:
            self._restore(record, now)

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        return self._measured.thresholds

    def confirmation(self, tick: float) -> Confirmation:
        """What it takes now to call the check down by failures."""
        return self._failures.confirmation(tick)

    def usual(self, at: datetime) -> Usual | None:
        """What is usual at that moment for the measurement that is compared with its past; None: it is not known."""
        slowness = self._measured.slowness
        return slowness.usual(at) if slowness is not None else None

    @property
    def facts(self) -> Mapping[str, str]:
        """The evidence of the last look, with the addresses that its failed looks went to, if they are several."""
        seen = self.last.observation.evidence if self.last is not None else {}
        addresses = self._failures.addresses
        return {"addresses": ", ".join(addresses), **seen} if len(addresses) > 1 else seen

    @property
    def suppressed_by(self) -> str | None:
        """The failing check that explains its trouble, so that nobody is told of it."""
        return self.untold.by if self.untold is not None else None

    @property
    def waits(self) -> bool:
        """Whether its trouble waits for word of what it depends on."""
        return self.untold is not None and self.untold.by is None

    @property
    def turn(self) -> tuple[float, State]:
        """When (a tick) the state became what it is, and what it was before."""
        return self._turn

    @property
    def suspicious(self) -> bool:
        """Whether something is being confirmed right now, in either direction."""
        return self._failures.pace is not None or self._measured.pending

    @property
    def extra_timeout(self) -> float:
        """Seconds an extra look may take."""
        return self._patience.limit(in_seconds(self.check.timeout))

    @property
    def soft_deadline(self) -> float | None:
        """Seconds after which a scheduled look that is still under way is suspicious; None: it never is."""
        if form_of(self.check).passive:
            return None
        return self._patience.soft(in_seconds(self.check.timeout))

    @property
    def steady(self) -> bool:
        """Whether a further good look, without figures or with such as breach nothing and are not compared with their
        past, would leave everything as it is: only the time of the last look would be another. A simulation may leave
        such looks out."""
        doubt = self._blind.looks or self.suspicious or self._failures.suspicious or self._measured.in_doubt
        return self.state is State.UP and not doubt

    def overdue(self, now: Moment) -> Judgement | None:
        """A scheduled look is still under way at its soft deadline: what to do meanwhile. None: nothing new.

        It decides nothing, and is no evidence: whatever follows is told by the looks themselves."""
        self._patience.awaited = True
        failures = self._failures
        if failures.pace is not None or failures.state is State.DOWN:
            return None
        return Judgement(burst=(0.0, *failures.offsets(now.tick)), pace=PACE)

    def observe(self, look: Look) -> Judgement:
        """Take in one look; looks may arrive out of order, and twice."""
        if self.last is not None and same(self.last, look):
            return CALM if self._failures.pace is None else Judgement(pace=self._failures.pace)
        self.last = look
        if look.scheduled:
            self._patience.awaited = False
        reason = look.observation.reason
        if reason is not None and reason.blame is not Blame.TARGET:
            self._blind = grown(self._blind, look)
        else:
            self._see(look)
        verdict = self._verdict(look)
        transition = self._move(verdict, look) if verdict is not None and verdict.state is not self.state else None
        self.verdict = verdict or self.verdict
        return self._judgement(transition, look)

    def rest(self) -> None:
        """What is known of the last look is told to nobody any more for now: it is to take little room."""
        if self.last is not None:
            self.last = small(self.last)

    def _see(self, look: Look) -> None:
        if self._blind.looks:
            self._blind = NO_RUN
        reason = look.observation.reason
        full = in_seconds(self.check.timeout)
        doubtful = self._patience.see(look, full)
        if reason is None:
            self._failures.succeed(look)
        elif doubtful:
            self._failures.doubt(look)
        else:
            self._failures.fail(look, settles=reason.timed_out and look.limit >= full)
        self._measured.see(look)

    def _verdict(self, look: Look) -> Verdict | None:
        """The verdict after this look; None where it leaves things as they are."""
        if self._blind.looks:
            lasting = self._blind.looks >= BLIND_LOOKS and look.began.tick - self._blind.tick >= self._every
            return _blind_verdict(look) if lasting else None
        measured = self._measured.verdict or _UP
        level = measured.state
        failed = self._failures.state
        if self.state is UNKNOWN and self._in_doubt(look, failed, level):
            return None
        if failed is not UP and _SEVERITY[failed] >= _SEVERITY[level]:
            return self._failure_verdict(look, failed)
        return measured

    def _in_doubt(self, look: Look, failed: State, level: State) -> bool:
        """Whether sight has returned (or come for the first time) without telling anything yet: a failure must be
        confirmed first, and a success in an outage announces neither its end nor its return."""
        if look.observation.ok:
            return failed is State.DOWN
        return failed is level is State.UP

    def _failure_verdict(self, look: Look, state: State) -> Verdict:
        """The reason stays that of the last failing look: a success on the way back does not explain anything."""
        if not look.observation.ok:
            reason = look.observation.reason if state is State.DOWN else Reason.FAILING
            return Verdict(state, reason, describe_failure(look.observation, state, self._failures.share))
        if self.verdict.state is state:
            return self.verdict
        return Verdict(state, Reason.FAILING, "it answers again, and is watched until that lasts")

    def _move(self, verdict: Verdict, look: Look) -> Transition:
        old, self.state = self.state, verdict.state
        self.seq += 1
        self._turn = (look.ended.tick, old)
        self.since = self._dated(old, verdict, look)
        if self.state is State.UP:
            self.trouble_since = None
        elif self.state.bad and self.trouble_since is None:
            self.trouble_since = self.since
        return Transition(
            kind="check",
            subject=self.check.id,
            seq=self.seq,
            at=look.ended.at,
            since=self.since,
            old=old.value,
            new=self.state.value,
            verdict=verdict,
        )

    def _dated(self, old: State, verdict: Verdict, look: Look) -> datetime:
        """When what is told now began: trouble by its first sign, an end of trouble by its first success."""
        if self.state is State.UNKNOWN:
            return self._blind.at or look.began.at
        if not look.observation.ok:
            return (self._failures.began if self._failures.state is self.state else None) or look.began.at
        if verdict.reason is Reason.SLOW or (verdict is _UP and self.verdict.reason is Reason.SLOW):
            slowness = self._measured.slowness
            return (slowness.turned if slowness is not None else None) or look.began.at
        by_failures = verdict.condition is None and self.verdict.condition is None
        fresh = old is State.UNKNOWN and self.state is State.UP
        return (self._failures.ended if by_failures and not fresh else None) or look.began.at

    def _judgement(self, transition: Transition | None, look: Look) -> Judgement:
        pace = self._failures.pace
        if self._blind.looks:
            # One look that cannot tell (a 429, a stall of ours) does not call off what is being confirmed.
            lasting = self._blind.looks >= BLIND_LOOKS or pace is None
            return Judgement(transition) if lasting else Judgement(transition, pace=pace)
        if pace is None and not self._failures.suspicious:
            pace = self._measured.pace
        if pace is None and transition is None:
            return CALM
        return Judgement(transition, self._failures.burst(look.began.tick), pace)

    def lose_sight(self, since: float, now: Moment, why: str) -> Transition | None:
        """It was our own trouble from the tick `since` on: what is suspected is dropped, and what failed looks have
        confirmed in that time is taken back. A state that is taken back is `unknown`, and its trouble not over."""
        self._failures.drop()
        turned, old = self._turn
        reason = self.verdict.reason
        by_failures = reason is not None and (reason.by_network or reason is Reason.FAILING)
        if not self.state.bad or turned < since or not by_failures:
            return None
        self._failures.take_back(old if old.bad else State.UP)
        return self._be_unknown(now, Verdict(State.UNKNOWN, Reason.OWN_NETWORK, why))

    def redefine(self, check: Check, *, same_target: bool) -> None:
        """Go on as the same check, in the same state, under another definition.

        What was measured and suspected is kept where it is of the `same_target`. Confirmed trouble is kept in any
        case: it ends as ever, by what the looks to come show."""
        before, self.check = self.check, check
        self._every = in_seconds(check.every)
        self._failures.redefine(check.confirm, check.recover, check.every)
        self._measured.redefine(check, same_target=same_target)
        if not same_target:
            self._forget(before)

    def _forget(self, before: Check) -> None:
        """What was seen of another target says nothing of this one. What arrived is no look: it stays."""
        failed = self._failures.state
        self._failures = Failures(self.check.confirm, self.check.recover, self.check.every)
        self._failures.assume(failed)
        self.last, self._blind, self._patience = None, NO_RUN, Patience()
        if not isinstance(self.check.probe, Passive) or type(self.check.probe) is not type(before.probe):
            self.memory = {}  # not cleared: a look that is under way writes into the old one

    def retire(self, now: Moment, why: str) -> Transition | None:
        """The check is watched no longer. Trouble that was told of it ends, in `unknown`."""
        if not self.state.bad:
            return None
        self.trouble_since = None
        return self._be_unknown(now, Verdict(State.UNKNOWN, why=why))

    def _be_unknown(self, now: Moment, verdict: Verdict) -> Transition:
        """Without a look."""
        old, self.state, self.since, self.seq = self.state, State.UNKNOWN, now.at, self.seq + 1
        self.verdict, self._turn = verdict, (now.tick, old)
        return Transition("check", self.check.id, self.seq, now.at, now.at, old.value, self.state.value, verdict)

    def record(self, now: Moment) -> CheckRecord:
        """All that is needed to go on after a restart."""
        snapshot: dict[str, Any] = {
            "at": now.at.timestamp(),
            "failures": self._failures.dump(now.tick),
            **self._measured.dump(now.tick),
            "trouble_since": self.trouble_since.isoformat() if self.trouble_since else None,
            "patience": self._patience.dump(),
            "blind": self._blind.dump(now.tick),
            "memory": dict(self.memory),
            "reason": self.verdict.reason.value if self.verdict.reason else None,
            "why": self.verdict.why,
            "untold": self.untold.dump() if self.untold else None,
        }
        return CheckRecord(self.check.id, self.state, self.since, self.seq, snapshot)

    def _restore(self, record: CheckRecord, now: Moment) -> None:
        self.state, self.since, self.seq = record.state, record.since, record.seq
        self._turn = (now.tick - max((now.at - self.since).total_seconds(), 0.0), State.UP)
        try:
            self._remember(record.snapshot, now)
        except UNREADABLE:
            # By another version, or by nobody: that costs the windows, never the state or what is owed because of it.
            self._failures = Failures(self.check.confirm, self.check.recover, self.check.every)
            self._failures.assume(record.state)
            self._measured = Measured(self.check)
            self.verdict = Verdict(self.state, why="carried over from before a restart")

    def _remember(self, snapshot: Mapping[str, Any], now: Moment) -> None:
        # A tick means nothing to another process: time went on by the wall clock. One that ran backwards while we
        # were away must not put samples into the future.
        then = now.tick - max(now.at.timestamp() - read_seconds(snapshot["at"]), 0.0)
        self._failures.load(snapshot["failures"], then, now.tick)
        self._measured.load(snapshot, then)
        self.trouble_since = read_instant(snapshot["trouble_since"])
        if "patience" in snapshot:  # not in what an older version has kept
            self._patience.load(snapshot["patience"])
        if "blind" in snapshot:
            self._blind = Run.load(snapshot["blind"], then)
        self.memory.update({name: note for name, note in snapshot["memory"].items() if note is not None})
        reason = Reason(snapshot["reason"]) if snapshot["reason"] else None
        self.verdict = Verdict(self.state, reason, str(snapshot["why"]))
        self.untold = read_untold(snapshot.get("untold"), now.tick)


def _blind_verdict(look: Look) -> Verdict:
    return Verdict(
        State.UNKNOWN, look.observation.reason, describe_failure(look.observation, State.UNKNOWN, share=1.0)
    )
