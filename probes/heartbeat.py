"""Waits to hear from a job: the dead man's switch of cron jobs and workers."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, ClassVar

from probes._clean import Cleaner
from probes._look import visible
from probes._passive.attendance import Memory, attend, number
from probes._passive.awaited import Awaited, awaited, clock
from probes._passive.runs import Runs
from probes._passive.schedule import Cron, Every, Schedule, cron, span
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
    claim,
)

_USUAL_GRACE = 300.0
_A_DAY = 86400.0
"""Seconds after which a run that nobody judges is taken for dead, when a later one has come to its end."""
_STAMPS = ("first", "pinged")
_JUST_AFTER = 0.05
"""Seconds after a moment at which it is certain that it has passed."""
_RID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SLUG = re.compile(r"[a-z0-9_-]{1,64}")
_WORDS = {"": "success", "start": "start", "fail": "failure", "log": "log"}


@dataclass(frozen=True, slots=True)
class Heartbeat(Passive):
    """Waits for pings of a job, and tells when they are late, missing, or say that it failed.

    ```yaml
    checks:
      - name: nightly backup
        probe: heartbeat
        token: "${BACKUP_TOKEN}"
        schedule: "0 3 * * *"
        timezone: Europe/Berlin
        grace: 30m
        max_runtime: 2h
    ```

    The job asks for a URL of the agent, with GET, HEAD or POST, and is answered `200 OK`. Clients and libraries for
    the pinging API of healthchecks.io work; only the address is another.

    | URL | Says |
    | --- | --- |
    | `/ping/TOKEN` | a run has succeeded |
    | `/ping/TOKEN/start` | a run has begun: its time is measured |
    | `/ping/TOKEN/fail` | a run has failed |
    | `/ping/TOKEN/3` | a run has ended with this exit code, 0 to 255: 0 is success |
    | `/ping/TOKEN/log` | nothing but what the body says |

    With `?rid=UUID` runs that overlap are told apart. A body is taken as what the job said: its end is shown with the
    next trouble. In crontab, with the exit code and the output of the job; the retries bridge a restart of the agent:

    ```text
    URL=http://127.0.0.1:9788/ping/TOKEN
    PING="curl -fsS -m 10 --retry 5 --retry-connrefused -o /dev/null"
    0 3 * * * $PING $URL/start; OUT=$(backup 2>&1); E=$?; $PING --data-raw "$(echo "$OUT" | tail -c 1000)" $URL/$E
    ```

    (Without `tail`, more than some 100 kB of output would be too long for a command line, and no ping sent.) The
    agent listens on this machine only; for jobs of other machines set `agent.listen`.

    Jobs that share one token have a `slug` each: `/ping/TOKEN/SLUG`, `/ping/TOKEN/SLUG/start`. The rate at which
    pings come is not limited: what comes between two writes to the journal is written once. A ping is answered when
    it is in the journal, so that one that was answered survives `kill -9` of the agent.

    Is it overdue, and since when? With `period`, a ping is due so long after the last one that ended a run; with
    `schedule`, at each of its times, where a ping up to half a minute early counts, as clocks differ. A time that the
    zone's clocks skip is due when they go on; one that comes twice is due once. While a run is under way that is not
    older than `max_runtime`, nothing is due until it should be over.

    **Pings that nobody could hear.** While the agent is off or the machine sleeps, pings cannot arrive. When such a
    gap lies where a ping was due, it cannot be told whether it came: the next one is waited for, nothing is reported
    as late or missing until then, and what was known stays. The same goes, once until the next ping, for a moment in
    which the agent had no room for a further connection. So neither a restart nor an upgrade makes a false alarm,
    and a job that is dead is found at its next time. A clock that is set does not make a job late either.

    Default thresholds:

    - `late_for > 0s` makes it degraded, after half of `grace` unless `late_after` says otherwise: jobs do not take
      equally long each day, and a message each night at 03:00:01 would be read by nobody. It is early enough to look
      before it counts.
    - `missing_for > 0s` makes it down, after `grace`: nothing came at all, so the work was not done.
    - `failures > 0` makes it down: the job itself says that the work was not done, there is no doubt to be cleared.
      Where a single failed run does no harm, write `defaults: off` and `down: [failures > 2, missing_for > 0s]`.
    - `overrun_for > 0s` makes it degraded: a run goes on longer than `max_runtime`. It may still come to its end; if
      it does not, it is missing after `grace`.

    Both levels are about the job. What it means to its service is `impact`: `degradation` is right for most backups.

    Limits: a ping says what it says; that the job did something useful is for the job to know. A check that was
    never pinged is waited for from when the agent first knew it. Where the agent is off at each time when a ping is
    due, a dead job is not found. At most 20 runs are under way at once, each for a day if there is no `max_runtime`;
    of 100 kB of a body the last 300 characters are kept. A ping whose answer was lost is repeated by the client and
    counts twice. Slugs do not make checks: each has to be in checks.yaml. `brownout look` asks the running agent, as
    there is nothing to look at.
    """

    kind: ClassVar[str] = "heartbeat"
    door: ClassVar[str] = "ping"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("overdue", Unit.SECONDS, "Since a ping was due; 0 while none is."),
        Measurement("late_for", Unit.SECONDS, "Since it is late: due, and `late_after` over."),
        Measurement("missing_for", Unit.SECONDS, "Since it is missing: due, and `grace` over."),
        Measurement("failures", Unit.COUNT, "Runs in a row that said they failed; 0 after a success."),
        Measurement("exit_code", Unit.COUNT, "That of the last run, where it told one."),
        Measurement("run_time", Unit.SECONDS, "From the beginning of the last run to its end, where both were told."),
        Measurement("running_for", Unit.SECONDS, "The longest run that is under way; 0 while there is none."),
        Measurement(
            "overrun_for", Unit.SECONDS, "By how much it is longer than `max_runtime`, where that is written."
        ),
        Measurement("last_ping_age", Unit.SECONDS, "Since the last ping of any kind."),
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "degraded": ("late_for > 0s", "overrun_for > 0s"),
        "down": ("missing_for > 0s", "failures > 0"),
    }

    period: Annotated[timedelta | None, "How often a run ends, at the least: `1h`. Either this or `schedule`."] = None
    schedule: Annotated[str | None, "When runs are due, as in crontab: minute, hour, day, month, weekday."] = None
    timezone: Annotated[str, "The time zone of `schedule`, such as `Europe/Berlin`."] = "UTC"
    grace: Annotated[
        timedelta | None, "How long after it was due a ping is missing; none: `5m`, or `period` if that is shorter."
    ] = None
    late_after: Annotated[timedelta | None, "How long after it was due a ping is late; none: half of `grace`."] = None
    max_runtime: Annotated[timedelta | None, "How long a run may take from `/start` to its end."] = None
    slug: Annotated[str, "Tells checks with one token apart: `/ping/TOKEN/SLUG`."] = ""
    _plan: Schedule = field(init=False, repr=False, compare=False)
    _grace: float = field(init=False, repr=False, compare=False)
    _late_after: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(self.check_token, self._check_slug, self._check_spans, self._set_plan)

    def _check_slug(self) -> None:
        if self.slug and (not _SLUG.fullmatch(self.slug) or _action(self.slug) is not None):
            advice = "write up to 64 small letters, digits, - and _, and not a word of the pinging API"
            raise BadField("slug", f"{self.slug[:60]!r} cannot be a slug: {advice}")

    def _check_spans(self) -> None:
        for name in ("period", "max_runtime"):
            value: timedelta | None = getattr(self, name)
            if value is not None and value < timedelta(seconds=1):
                raise BadField(name, "must be at least 1s")
        period = self.period.total_seconds() if self.period else _USUAL_GRACE
        grace = min(_USUAL_GRACE, period) if self.grace is None else self.grace.total_seconds()
        late = grace / 2 if self.late_after is None else self.late_after.total_seconds()
        if late > grace:
            raise BadField("late_after", f"must not be longer than grace ({span(grace)}): late comes before missing")
        object.__setattr__(self, "_grace", grace)
        object.__setattr__(self, "_late_after", late)

    def _set_plan(self) -> None:
        plan: Every | Cron
        if (self.period is None) == (self.schedule is None):
            wrong = "neither period nor schedule is" if self.period is None else "both period and schedule are"
            raise BadField("period", f'{wrong} written: write either period: 1h, or schedule: "0 3 * * *"')
        if self.schedule is not None:
            plan = cron(self.schedule, self.timezone, time.time())
        else:
            assert self.period is not None  # noqa: S101  (one of the two)
            plan = Every(self.period.total_seconds(), getattr(self, "_grace", 0.0))
        object.__setattr__(self, "_plan", plan)

    @property
    def target(self) -> str:
        return f"pings {self._plan.text}, grace {span(self._grace)}"

    @property
    def claim(self) -> bytes:
        token = self.token.reveal()
        return claim(f"{token}/{self.slug}" if self.slug else token)

    # --- a ping ---

    def receive(self, arrival: Arrival, memory: MutableMapping[str, float | str]) -> None:
        action = _action(arrival.path)
        if action is None:
            raise Refused(400, "After the token comes nothing, start, fail, log, or an exit code from 0 to 255.")
        rid = arrival.query.get("rid", "").lower()
        if rid and not _RID.fullmatch(rid):
            raise Refused(400, "rid must be a UUID.")
        now = arrival.presence.now
        runs, ping = self._attend(arrival.presence, memory)
        memory["pinged"], memory["last"] = now, action
        said = self._excerpt(arrival)
        if action == "start":
            runs.begin(rid, now)
        elif action != "log":
            memory.pop("said", None)
            self._end(runs, rid, action, now, memory)
            ping.answered(now)
        if said:
            memory["said"] = said
        runs.keep()

    def _end(self, runs: Runs, rid: str, action: str, now: float, memory: Memory) -> None:
        """A run is over: `action` is success, failure, or an exit code."""
        patience = self.max_runtime.total_seconds() + self._grace if self.max_runtime else _A_DAY
        took = runs.end(rid, now, patience)
        code = 0.0 if action == "success" else float(action) if action.isdecimal() else None
        for name, figure in (("run_time", took), ("exit_code", code)):
            if figure is None:
                memory.pop(name, None)
            else:
                memory[name] = figure
        memory["failures"] = 0.0 if code == 0 else (number(memory, "failures") or 0.0) + 1

    def _excerpt(self, arrival: Arrival) -> str:
        """The end of what the job said: there the error stands."""
        text = arrival.body.decode("utf-8", "replace").strip()
        if arrival.cut:  # a secret may lie across the cut, and nobody knows its head
            text = text[: -TEXT_LIMIT // 2]
        if not text:
            return ""
        text = arrival.redact(Cleaner((self.token.reveal(),))(text[-TEXT_LIMIT:]))
        shown = visible(text[-DETAIL_LIMIT:], TEXT_LIMIT)  # longer: what is not visible is written out
        return shown if max(len(shown), len(text)) <= DETAIL_LIMIT else "…" + shown[1 - DETAIL_LIMIT :]

    # --- what is known ---

    def report(self, presence: Presence, memory: MutableMapping[str, float | str]) -> Observation:
        runs, ping = self._attend(presence, memory)
        runs.keep()
        now, due = presence.now, max(ping.due, self._busy_until(runs))
        figures = {"failures": number(memory, "failures") or 0.0, "running_for": max(runs.ages(now), default=0.0)}
        if self.max_runtime is not None:
            longest = max(runs.ages(now, sure=True), default=0.0)
            figures["overrun_for"] = max(0.0, longest - self.max_runtime.total_seconds())
        for name in ("exit_code", "run_time"):
            if (figure := number(memory, name)) is not None:
                figures[name] = figure
        if (pinged := number(memory, "pinged")) is not None:
            figures["last_ping_age"] = max(0.0, now - pinged)
        if now >= due + self._late_after:
            ping.settle()
        if not ping.doubt:
            figures["overdue"] = max(0.0, now - due)
            figures["late_for"] = max(0.0, now - due - self._late_after)
            figures["missing_for"] = max(0.0, now - due - self._grace)
        return Observation(figures, evidence=self._evidence(due, ping.doubt, memory))

    def due(self, presence: Presence, memory: Mapping[str, float | str]) -> float | None:
        runs = Runs(dict(memory))
        due = max(awaited(memory), self._busy_until(runs))
        moments = [due, due + self._late_after, due + self._grace]
        if self.max_runtime is not None:
            limit = self.max_runtime.total_seconds()
            moments += [run.begun + limit for run in runs.open.values() if run.sure]
        left = (at + _JUST_AFTER - presence.now for at in moments)
        return min((seconds for seconds in left if seconds > 0), default=None)

    def _attend(self, presence: Presence, memory: Memory) -> tuple[Runs, Awaited]:
        """Bring the memory up to date with the clocks, the agent's absence, and a changed plan."""
        turn = attend(memory, presence, _STAMPS)
        memory.setdefault("first", presence.now)
        runs, ping = Runs(memory), Awaited(self._plan, self._grace, memory)
        runs.move(turn.step, presence.now)
        ping.follow(turn, presence.now, self._busy_until(runs))
        if turn.absence is not None:
            runs.doubt()
        return runs, ping

    def _busy_until(self, runs: Runs) -> float:
        """Until when nothing is due, as a run may still be at work."""
        if self.max_runtime is None or not runs.open:
            return 0.0
        return max(run.begun for run in runs.open.values()) + self.max_runtime.total_seconds()

    def _evidence(self, due: float, doubt: str, memory: Mapping[str, float | str]) -> dict[str, str]:
        pinged = number(memory, "pinged")
        word = str(memory.get("last"))
        last = f"exit code {word}" if word.isdecimal() else word
        heard = f"{last} at {clock(pinged)}" if pinged is not None else "none yet"
        evidence = {"last_ping": heard, "expected": f"{clock(due)} ({self._plan.text})"}
        if doubt:
            evidence["not_listening"] = f"{doubt}: a ping may have come that nobody heard"
        said = memory.get("said")
        if isinstance(said, str):
            evidence["said"] = said
        return evidence


def _action(path: str) -> str | None:
    """What a ping says: a word of `_WORDS`, or an exit code; None when it is neither."""
    if path in _WORDS:
        return _WORDS[path]
    code = path.isascii() and path.isdecimal() and len(path) <= 3 and int(path) <= 255
    return str(int(path)) if code else None
