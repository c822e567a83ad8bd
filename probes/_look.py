"""The clock of one look: its single deadline, its phases, and what it learnt on the way.

Every wait of a look goes through `Look.wait`, so one timer ends whatever is under way, with the reason of its phase.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from time import perf_counter

from probes._clean import Cleaner
from probes._wire.arrival import TOLERATED, trusted
from probes._wire.pulse import pulse_of
from probes.contract import COURSE, DETAIL_LIMIT, TEXT_LIMIT, LookFailed, Observation, Reason, Trace

LATE = 0.1
"""Seconds by which the agent may be late before a figure that it can only take by its own clock says more about the
agent than about the target."""

_A_TURN = 0.001
"""Seconds; the shortest timer that fires behind the loop's next look at its sockets."""

_GIVEN_UP = TEXT_LIMIT // 2
"""Characters dropped from the end of a text that was cut before cleaning: a secret up to this long may lie across the
cut, and only its head is there, which no redactor knows."""

TIMEOUTS = frozenset(COURSE) - {Reason.PLUGIN_TIMEOUT}
"""Reasons that end a look at its deadline and are the target's: they count as at least the time limit."""

_STEPS = {Reason.DNS_TIMEOUT: "resolve", Reason.TLS_TIMEOUT: "tls"}
"""Steps that are in no phase when they fail before the deadline."""

_WAITED_FOR = {
    Reason.DNS_TIMEOUT: "the resolver did not answer",
    Reason.CONNECT_TIMEOUT: "no connection",
    Reason.TLS_TIMEOUT: "the TLS handshake did not end",
    Reason.SEND_TIMEOUT: "the request was not taken",
    Reason.FIRST_BYTE_TIMEOUT: "no answer",
    Reason.TRANSFER_TIMEOUT: "the answer did not end",
    Reason.QUERY_TIMEOUT: "the query was not answered",
    Reason.REPLY_TIMEOUT: "no packet came back",
    Reason.PROXY: "the proxy opened no way",
    Reason.LOGIN: "there was no token",
}


class Look:
    """One look under way: a deadline `timeout` seconds from now, phases in seconds, evidence.

    Close it in a ``finally``; it holds its part of the loop's pulse.
    """

    __slots__ = (
        "_open",
        "_own",
        "_phase",
        "_reason",
        "_redact",
        "_second",
        "_since",
        "_spent",
        "_waiter",
        "_wall",
        "evidence",
        "loop",
        "phases",
        "pulse",
        "round_trip",
        "server",
        "started",
        "struck",
        "timeout",
        "trace",
    )

    def __init__(
        self, timeout: float, own: Cleaner | None = None, redact: Callable[[str], str] | None = None
    ) -> None:
        """`own` knows the check's secrets, `redact` those of the agent; None when there are none."""
        self._own = own
        self._redact = redact
        self.loop = asyncio.get_running_loop()
        self.pulse = pulse_of(self.loop)
        self.timeout = timeout
        self.phases: dict[str, float] = {}
        self.evidence: dict[str, str] = {}
        self.started = self.pulse.enter(self, timeout)
        self._wall = time.time()
        self._reason, self._phase, self._since = Reason.CONNECT_TIMEOUT, "", self.started
        self._open = False
        self._waiter: asyncio.Future[None] | None = None
        self._spent: LookFailed | None = None
        self.struck = False
        """Whether the deadline has ended a wait."""
        self.round_trip: float | None = None
        """Seconds to the server and back, by the kernel; None as long as nobody knows."""
        self.server = 0.0
        """Seconds of waiting for first bytes that were not spent on the way there and back."""
        self.trace: Trace | None = None
        """Who listens to the wire (`Context.trace`)."""
        self._second: asyncio.TimerHandle | None = None
        """The second time that the deadline strikes, where the first was late."""

    def begin(self, reason: Reason, phase: str = "") -> None:
        """A phase begins: should the deadline strike now, `reason` says in which, and what was waited is spent on the
        `phase`, if it is named. Whoever names it spends it only if it ends (`struck`)."""
        self._reason, self._phase, self._since, self._open = reason, phase, perf_counter(), True

    def stop(self) -> None:
        """What was begun has failed: whoever listens hears of a step that else would be in no phase."""
        if self._open and self.trace is not None and self._reason in _STEPS:
            self.trace.stopped(_STEPS[self._reason], self._since, perf_counter())
        self._open = False

    def waiter(self) -> asyncio.Future[None]:
        """What to wait for next; it fails with `LookFailed` when the deadline strikes first."""
        if self._spent is not None:
            raise self._spent
        self._waiter = waiter = self.loop.create_future()
        return waiter

    def wake(self) -> None:
        """What was waited for is there: the callback for a loop's readers and writers."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def turn(self) -> None:
        """Let other work have its turn, in the middle of something long. Raises `LookFailed` after the deadline."""
        waiter = self.waiter()
        self.loop.call_soon(_settle, waiter)
        await waiter

    def spend(self, phase: str, seconds: float, ended: float | None = None) -> None:
        """Add to a phase, which has `ended` then (by `perf_counter`), or now. A look that follows redirects goes
        through the same phases again."""
        self.phases[phase] = self.phases.get(phase, 0.0) + seconds
        self._open = False
        if self.trace is not None:
            end = perf_counter() if ended is None else ended
            self.trace.spent(phase, end - seconds, end)

    def clean(self, text: str, *, cut: bool = False) -> str:
        """Text of the target without secrets, bounded; `cut` when it is the beginning of something longer."""
        if len(text) > TEXT_LIMIT:
            text, cut = text[:TEXT_LIMIT], True
        if self._own is not None:
            text = self._own(text)
        if self._redact is not None:
            text = self._redact(text)
        return text[:-_GIVEN_UP] if cut else text

    def show(self, text: str, limit: int = DETAIL_LIMIT, *, cut: bool = False) -> str:
        """Text of the target as evidence: secrets are taken out first, then it is made visible, then cut."""
        if self._own is None and not cut and len(text) <= limit and text.isprintable():
            return text  # whole and plain: should a secret of another check be in it, the agent's redactor finds it
        return visible(self.clean(text, cut=cut), limit)

    def learn(self, secret: str) -> None:
        """One more secret, met on the way: it is taken out of what this look shows from now on."""
        self._own = self._own.knowing(secret) if self._own is not None else Cleaner((secret,))
        if self.trace is not None:
            self.trace.learnt(secret)

    @property
    def own(self) -> Cleaner | None:
        """What takes the check's secrets out of a text, those that were learnt included; None when there are none."""
        return self._own

    def left(self) -> float:
        return max(0.0, self.timeout - (perf_counter() - self.started))

    def tell_apart(self, waited: float, round_trip: float | None) -> None:
        """Of what was waited for the first byte of an answer: how much of it was the way, how much the server."""
        if round_trip is not None:
            self.round_trip = round_trip
            self.server += max(0.0, waited - round_trip)

    def turned(self, since: float) -> float:
        """A time, `since` or later, at which what this look waits for since then had not yet come."""
        return max(self.pulse.turned, since)

    def trust(self, what: str, seconds: float, doubt: float) -> None:
        """Refuse a time of so many seconds that may be less by `doubt`, as the agent was busy (`_wire.arrival`)."""
        if doubt <= TOLERATED:
            return
        told = f"{what}: up to {doubt * 1000:.0f} ms less, as the agent was busy"
        if not trusted(seconds, doubt):
            raise LookFailed(Reason.LATE, told)
        self.evidence["doubt"] = told

    def check_late(self, now: float) -> None:
        """Refuse a figure that ends `now` by our own clock, when the loop stood still just before it."""
        late = self.pulse.lateness(now, self.started)
        if late > LATE:
            raise LookFailed(Reason.LATE, f"the agent was busy for {late:.2f} s while the answer may have waited")

    def check_clocks(self) -> None:
        """Refuse a look across which the wall clock and the monotonic clock disagree.

        Either the wall clock was stepped, or the machine was paused (the monotonic clock stands still then): in both
        cases kernel timestamps and elapsed times of this look tell nothing.
        """
        step = self.clock_step()
        if abs(step) > LATE:
            raise LookFailed(
                Reason.LATE, f"the clock moved by {step:+.2f} s during the look, or the machine was paused"
            )

    def clock_step(self) -> float:
        """Seconds by which the wall clock has gone more than the monotonic clock since the look began."""
        return (time.time() - self._wall) - (perf_counter() - self.started)

    @asynccontextmanager
    async def phase(self, name: str, reason: Reason) -> AsyncIterator[None]:
        """A phase spent inside a foreign library, which cannot wait through `waiter`: timed, and cancelled at the
        deadline with `reason`, or void when the agent itself was late."""
        self.begin(reason)
        began = perf_counter()
        try:
            async with asyncio.timeout(self.left()) as limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise  # the library's own
            raise self._failure() from error
        finally:
            self.spend(name, perf_counter() - began)

    def close(self) -> None:
        if self._second is not None:
            self._second.cancel()
        self.pulse.leave(self)

    def _failure(self) -> LookFailed:
        """What the deadline means, now that it has been noticed."""
        late = perf_counter() - self.started - self.timeout
        if late > LATE:
            # The answer may lie unread in the socket: that is our fault, not a timeout of the target.
            return LookFailed(Reason.LATE, f"the agent noticed its own deadline {late:.2f} s late")
        return LookFailed(self._reason, f"{_WAITED_FOR.get(self._reason, 'no end')} within {self.timeout:g} s")

    def expire(self) -> None:
        """The deadline strikes: for the pulse to call."""
        waits = self._waiter is not None and not self._waiter.done()
        if self._second is None and (not waits or perf_counter() - self.started - self.timeout > TOLERATED):
            # What came in time may lie unread, or be read and have had no turn yet. Before that is called a time-out,
            # the loop looks at its sockets, and goes on with what is there.
            self._second = self.loop.call_later(_A_TURN, self.expire)
            return
        self._spent = failure = self._failure()
        if self._waiter is not None and waits:
            self.struck = True
            if self._phase and failure.reason is not Reason.LATE:
                self.spend(self._phase, perf_counter() - self._since)
            self._waiter.set_exception(failure)


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def taken(
    look: Look, asking: Awaitable[None], measurements: dict[str, float], *, elapsed: str = "response_time"
) -> Observation:
    """The observation of a look that `asking` does: it fills `measurements`, and raises `LookFailed` where it ends.

    Closes the look; `elapsed` is as in `failed`.
    """
    try:
        await asking
        look.check_clocks()
    except LookFailed as failure:
        return failed(look, failure, measurements, elapsed=elapsed)
    finally:
        look.close()
    return Observation(measurements, None, "", look.phases, look.evidence)


def failed(
    look: Look, failure: LookFailed, measurements: Mapping[str, float], *, elapsed: str = "response_time"
) -> Observation:
    """The observation of a look that ended early; a timeout reports `elapsed` as at least the time limit.

    When the clocks disagree, whatever failed may have failed because this machine was paused: then nothing is told.
    """
    try:
        look.check_clocks()
    except LookFailed as moved:
        failure = moved
    # Its frames hold the look, and some of them the failure: a circle that only the collector would break, thousands
    # of times while targets fail, and never again what was there when a reload froze all it found.
    failure.__traceback__ = None
    look.stop()
    figures = {} if failure.reason is Reason.LATE else dict(measurements)
    if failure.reason in TIMEOUTS:
        figures[elapsed] = max(look.timeout, perf_counter() - look.started)
    return Observation(figures, failure.reason, failure.detail, look.phases, look.evidence)


_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_VISIBLE |= {9: "\\t", 10: "\\n", 13: "\\r"}
# Text direction can be turned by these, so that what is shown is not what was sent.
_VISIBLE |= {
    code: f"\\u{code:04x}"
    for code in (0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
}
# Halves of a character, as JSON can have them: they can be neither stored nor printed.
_VISIBLE |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}


def visible(text: str, limit: int = DETAIL_LIMIT) -> str:
    """Text from a target as evidence: bounded, with every control character made visible."""
    shown = text[:limit].translate(_VISIBLE)
    return shown if len(shown) <= limit and len(text) <= limit else shown[: limit - 1] + "…"
