"""Looks at a host by ping: how many packets come back, and how long they take."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from time import perf_counter
from typing import Annotated, ClassVar

from probes._look import LATE, Look, failed
from probes._wire.endpoint import host_in
from probes._wire.errnos import translated
from probes._wire.figures import RESOLVE_TIME
from probes._wire.ping import TOKEN, Line, Train, line_of
from probes._wire.reach import resolved
from probes.contract import (
    Address,
    BadField,
    Blame,
    Context,
    LookFailed,
    Measurement,
    Observation,
    Probe,
    Reason,
    Trace,
    Unit,
    check_fields,
)

_MOST = 100
_SHORTEST, _LONGEST = timedelta(milliseconds=10), timedelta(seconds=60)
_LARGEST = 65_000
_LINGER, _TRIPS = 1.0, 4
"""Seconds, and the slowest round trip so many times: so long a missing reply is waited for, once others have come, or
routers have said something, which they do not say of each packet."""


@dataclass(frozen=True, slots=True)
class Icmp(Probe):
    """Sends echo requests, and says how many come back, how long they take and how evenly.

    A host that answers some is up; how many may be lost is for thresholds to say. One that answers none has failed:
    `reply_timeout`, or `unreachable` when a router, or the host itself, says so.

    ```yaml
    checks:
      - name: edge router
        probe: icmp
        host: 203.0.113.1
        timeout: 3s
        degraded:
          - packet_loss(5m) > 5%
          - p95(rtt_mean, 5m) > 40ms, clear < 30ms
          - jitter > 10ms for 3 of 5
    ```

    Round trips are timed by the kernel, packet by packet: a busy agent does not make a host look slow, and replies
    that this machine had no room for make the look void (`late`), not lossy. `jitter` is the mean difference between
    one round trip and the next (as in RFC 3550, without its smoothing). Packets that were lost have no round trip:
    watch `packet_loss` beside it. Over a window it is all lost packets by all that were sent.

    A missing reply is waited for until the timeout while none has come at all; else for a second behind the last
    request, or four times the slowest round trip: what comes later is lost. `timeout` also ends the sending, so give
    it more than `count` times `interval`.

    All checks share one socket for IPv4 and one for IPv6. They are ping sockets, for which the agent's group must be
    in `net.ipv4.ping_group_range` (it serves IPv6, too): `brownout install --with icmp` sees to it. Else a raw socket
    is tried, for which it needs CAP_NET_RAW; without either the look is `denied`.

    Default thresholds: `packet_loss(5m) > 20%` is degraded, as one lost packet of five in each look is felt by
    whoever uses the line. A `response_time` (the mean round trip) well above what it has been at this hour of the
    week is degraded (`usual: off` leaves that out).

    Limits: Linux. Hosts that do not answer pings, or only so many a second, seem lossy. Pings may go another way, and
    with less care, than what your users send: look at the service itself as well.
    """

    kind: ClassVar[str] = "icmp"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("response_time", Unit.SECONDS, "Mean round trip; `rtt_mean`.", cut_by=Reason.REPLY_TIMEOUT),
        Measurement("packet_loss", Unit.RATIO, "Requests without a reply.", ("packets_lost", "packets_sent")),
        Measurement("packets_lost", Unit.COUNT, "Requests without a reply."),
        Measurement("packets_sent", Unit.COUNT, "Requests."),
        Measurement("rtt_min", Unit.SECONDS, "Shortest round trip.", cut_by=Reason.REPLY_TIMEOUT),
        Measurement("rtt_mean", Unit.SECONDS, "Mean round trip.", cut_by=Reason.REPLY_TIMEOUT),
        Measurement("rtt_max", Unit.SECONDS, "Longest round trip.", cut_by=Reason.REPLY_TIMEOUT),
        Measurement("jitter", Unit.SECONDS, "Mean difference between a round trip and the next; from two on."),
        RESOLVE_TIME,
    )
    thresholds: ClassVar[Mapping[str, tuple[str, ...]]] = {"degraded": ("packet_loss(5m) > 20%",)}
    usual: ClassVar[str | None] = "response_time"

    host_: Annotated[str, "A name or an address, such as `203.0.113.1` or `2001:db8::1`."]
    count: Annotated[int, "How many packets a look sends; 1 to 100."] = 5
    interval: Annotated[timedelta, "The time between two packets; 10ms to 60s."] = timedelta(milliseconds=100)
    size: Annotated[int, "Bytes of payload of a packet, as `ping -s` has them; 8 to 65000."] = 56
    _where: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(self._check_host, self._check_count, self._check_interval, self._check_size)

    def _check_host(self) -> None:
        object.__setattr__(self, "_where", _host(self.host_))

    def _check_count(self) -> None:
        if not 1 <= self.count <= _MOST:
            raise BadField("count", f"must be 1 to {_MOST}")

    def _check_interval(self) -> None:
        if not _SHORTEST <= self.interval <= _LONGEST:
            raise BadField("interval", "must be 10ms to 60s")

    def _check_size(self) -> None:
        if not TOKEN <= self.size <= _LARGEST:
            raise BadField("size", f"must be {TOKEN} to {_LARGEST}")

    @property
    def target(self) -> str:
        return self.host_

    @property
    def host(self) -> str | None:
        return self._where

    async def look(self, context: Context) -> Observation:
        look = Look(context.timeout, redact=context.redact)
        figures: dict[str, float] = {}
        try:
            addresses = await resolved(look, context, self._where, 0)
            figures["resolve_time"] = look.phases["resolve"]
            if addresses and addresses[0].age:
                look.evidence["resolved"] = addresses[0].origin
            train = await self._ping(look, addresses)
            look.check_clocks()
            _measure(train, figures)
            _note(train, look)
            _check(train)
        except LookFailed as failure:
            return failed(look, failure, figures)
        finally:
            look.close()
        return Observation(figures, None, "", look.phases, look.evidence)

    async def _ping(self, look: Look, addresses: tuple[Address, ...]) -> Train:
        """By the first address that packets can be sent to."""
        failure: LookFailed | None = None
        for address in addresses:
            look.evidence["address"] = address.host
            try:
                return await self._train(look, line_of(look.loop, address.family), address)
            except LookFailed as error:
                if error.reason is Reason.LATE:
                    raise
                # What the target did says more than what we lack, such as a route for IPv6.
                if failure is None or failure.reason.blame is not Blame.TARGET:
                    failure = error
        raise failure or LookFailed(Reason.DNS_NXDOMAIN, "the name has no address")

    async def _train(self, look: Look, line: Line, address: Address) -> Train:
        line.enter()
        train, before, began = Train(), line.dropped, perf_counter()
        look.begin(Reason.REPLY_TIMEOUT)
        try:
            await self._exchange(look, line, address, train)
            if line.dropped > before and len(train.trips) < len(train.sent):
                raise LookFailed(Reason.LATE, "the agent had no room for replies that came")
            if train.doubt > LATE:
                raise LookFailed(Reason.LATE, f"the agent was busy for {train.doubt:.2f} s while a reply waited")
        finally:
            line.leave(train)
            look.spend("ping", perf_counter() - began)
            if look.trace is not None:
                _trace(look.trace, address.host, train)
        return train

    async def _exchange(self, look: Look, line: Line, address: Address, train: Train) -> None:
        pause = self.interval.total_seconds()
        began = perf_counter()
        try:
            for number in range(self.count):
                await _until(look, began + number * pause)
                self._send(look, line, address, train)
            while not train.settled:
                last = max(train.sent.values())
                slowest = max(train.trips.values(), default=0.0)
                until = last + max(_LINGER, slowest * _TRIPS) if train.trips or train.said else None
                if until is not None and perf_counter() >= until:
                    return
                await _woken(look, until)
        except LookFailed as failure:
            if failure.reason is not Reason.REPLY_TIMEOUT:
                raise

    def _send(self, look: Look, line: Line, address: Address, train: Train) -> None:
        try:
            line.send(address.host, train, self.size, look.wake)
        except OSError as error:
            if not train.sent:
                raise translated(error.errno or 0, address.host, Reason.UNREACHABLE) from error


async def _until(look: Look, moment: float) -> None:
    """Wait for a moment (`perf_counter`). Raises `LookFailed` when the deadline strikes first."""
    while (left := moment - perf_counter()) > 0.0:
        await _woken(look, moment if left > 0.0 else None)


async def _woken(look: Look, until: float | None) -> None:
    """Wait until something comes, or for that moment."""
    bell = look.loop.call_later(max(until - perf_counter(), 0.0), look.wake) if until is not None else None
    try:
        await look.waiter()
    finally:
        if bell is not None:
            bell.cancel()


def _measure(train: Train, figures: dict[str, float]) -> None:
    sent, trips = len(train.sent), [train.trips[number] for number in train.sent if number in train.trips]
    lost = sent - len(trips)
    figures["packets_sent"], figures["packets_lost"], figures["packet_loss"] = sent, lost, lost / sent
    if trips:
        mean = sum(trips) / len(trips)
        figures["rtt_min"], figures["rtt_mean"], figures["rtt_max"] = min(trips), mean, max(trips)
        figures["response_time"] = mean
    if len(trips) > 1:
        figures["jitter"] = sum(abs(later - sooner) for sooner, later in pairwise(trips)) / (len(trips) - 1)


def _trace(trace: Trace, host: str, train: Train) -> None:
    steps = []
    for place, (number, sent) in enumerate(train.sent.items(), 1):
        steps.append((sent, f"echo request {place} to {host}"))
        if number in train.trips:
            steps.append((sent + train.trips[number], f"reply to {place}"))
    for at, what in sorted(steps):
        trace.noted(what, at)


def _note(train: Train, look: Look) -> None:
    trips = (train.trips.get(number) for number in train.sent)
    look.evidence["round_trips"] = ", ".join("lost" if trip is None else f"{trip * 1000:.3g} ms" for trip in trips)
    if train.said:
        look.evidence["said"] = "; ".join(dict.fromkeys(train.said.values()))
    if train.again:
        look.evidence["duplicates"] = str(train.again)


def _check(train: Train) -> None:
    """Raises `LookFailed` when nothing has come back."""
    if train.trips:
        return
    if train.said:
        raise LookFailed(Reason.UNREACHABLE, "; ".join(dict.fromkeys(train.said.values())))
    raise LookFailed(Reason.REPLY_TIMEOUT, f"none of {len(train.sent)} packets came back")


def _host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass
    try:
        host, port = host_in(text, "write a name or an address, without scheme and port")
    except ValueError as error:
        raise BadField("host", f"{text!r} is no host: {error}") from None
    if port:
        raise BadField("host", f"{text!r} has a port, and pings have none: write {host}")
    return host
