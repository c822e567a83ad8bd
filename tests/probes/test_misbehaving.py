"""Every case of `tests.servers.misbehaving` through the real probes: the right verdict with the right reason, within
the time limit and the limit of memory."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import pytest

from probes._names.resolv_conf import resolv_conf
from probes._names.stub_resolver import StubResolver
from probes.contract import Context, Observation, Probe, Reason
from tests.probes.judged import PATIENCE
from tests.servers.authority import Authority
from tests.servers.misbehaving import CASES, Case, Network, codings
from tests.servers.misbehaving.places import Place, place_of, probe_of
from tests.servers.namespace import namespace

Make = Callable[..., Context]
ContextOf = Callable[[Case, Place], Context]

SPARE = 0.05
"""Seconds that a look may take beyond its limit."""
OVERHEAD = 1 << 20
"""Bytes that a look may take beyond `max_bytes`: pieces under way, the text that is searched, the state of TLS and of
a decoder. Counted are Python's own allocations, which are those of zlib as well."""

WINDOW = 8 << 20
"""Bytes that a decoder looks back at most (RFC 9659), in memory of its own."""


@dataclass(frozen=True)
class Taken:
    """A look, how long it took and how much memory, at its highest."""

    seen: Observation
    seconds: float
    bytes: int

    @property
    def says(self) -> str:
        return self.seen.reason.value if self.seen.reason is not None else "up"


async def take(probe: Probe, context: Context) -> Taken:
    """A look that was not late, and in time, as far as a busy machine lets it: who never ends does so each time."""
    for _ in range(PATIENCE):
        tracemalloc.start()
        began = perf_counter()
        try:
            seen = await probe.look(context)
            taken = Taken(seen, perf_counter() - began, tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        if seen.reason is not Reason.LATE and taken.seconds < context.timeout + SPARE:
            break
    return taken


def check(case: Case, taken: Taken, context: Context, probe: Probe) -> None:
    assert taken.says == case.says, taken
    assert taken.seconds < context.timeout + SPARE, taken
    asked = 2 * len(getattr(probe, "body", None) or "")  # as text, and as bytes with a head
    assert taken.bytes < getattr(probe, "max_bytes", 0) + asked + OVERHEAD, taken
    assert ("note" in taken.seen.evidence) == ("has a note" in case.why), taken
    if taken.says.endswith("_timeout") and taken.says != "dns_timeout":
        assert taken.seen.measurements["response_time"] >= context.timeout


NO_SERVER = "/dev/null"
"""A resolv.conf without search domains and options."""


@pytest.fixture
def context_of(make_context: Make) -> Iterator[Callable[[Case, Place], Context]]:
    resolvers: list[StubResolver] = []

    def make(case: Case, place: Place) -> Context:
        context = replace(make_context(case.limit), trace=place.trace)
        if place.resolver is None:
            return context
        resolvers.append(StubResolver((place.resolver,), 0.0, resolv_conf(NO_SERVER)))
        return replace(context, resolver=resolvers[-1])

    yield make
    for resolver in resolvers:
        resolver.close()


HERE = [case for case in CASES if not isinstance(case.server, Network)]


@pytest.mark.parametrize("case", HERE, ids=str)
async def test_it_gets_the_right_verdict(context_of: ContextOf, authority: Authority, case: Case) -> None:
    with place_of(case, authority) as place:
        context, probe = context_of(case, place), probe_of(case, place, authority)
        check(case, await take(probe, context), context, probe)


@pytest.mark.parametrize("case", codings.BOMBS, ids=str)
async def test_no_memory_is_taken_unseen(context_of: ContextOf, authority: Authority, case: Case) -> None:
    """Decoders have memory of their own, which Python does not count: this is the whole process, and its server."""
    with place_of(case, authority) as place:
        context, probe = context_of(case, place), probe_of(case, place, authority)
        await probe.look(context)  # what is made once, such as modules that are imported
        before = _begin_peak()
        await probe.look(context)
        assert (_kilobytes("VmHWM") - before) * 1024 < 2_000_000 + OVERHEAD + WINDOW


def _begin_peak() -> int:
    """The memory of this process in kilobytes; `VmHWM` tells its peak from here on."""
    Path("/proc/self/clear_refs").write_text("5")  # proc(5)
    return _kilobytes("VmRSS")


def _kilobytes(of: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{of}:")[2].split()[0])


def test_networks_get_the_right_verdict(make_context: Make, authority: Authority) -> None:
    """In a network of its own, whose router rejects and drops for real."""
    with namespace() as inside:
        for case in CASES:
            if isinstance(case.server, Network):
                context = make_context(case.limit)
                with place_of(case, authority) as place:
                    probe = probe_of(case, place, authority)
                    taken = inside.submit(asyncio.run, take(probe, context)).result()
                check(case, taken, context, probe)


def test_every_case_stands_once_with_its_reason_why() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.verdict in ("up", "down", "unknown")
        assert _is_a_sentence(case.why), case
        assert not case.others or _is_a_sentence(case.others), case


def _is_a_sentence(text: str) -> bool:
    return (text[:1].isupper() or text.startswith(("curl", "blackbox", "gzip"))) and text.endswith(".")
