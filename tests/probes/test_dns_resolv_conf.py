"""The probe `dns` asking the agent's own resolver, which may be in trouble itself: that is no word of the target."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from probes._dns.server import PORT
from probes.contract import Blame, Reason
from probes.dns import Dns
from tests.probes.judged import prompt_look as look
from tests.probes.lying import BY_UDP, HERE, SHOP, SHORT, A, Case, Make, check, limit, our_resolver
from tests.servers.name_server import Script, answering, name_server, silent

OURS = {"silence", "wrong id", "NXDOMAIN", "NODATA", "SERVFAIL", "REFUSED", "a loop of aliases", "cut off within"}


@pytest.mark.parametrize("case", [case for case in BY_UDP if case.name in OURS], ids=lambda case: case.name)
async def test_our_own_resolver_cannot_tell(tmp_path: Path, make_context: Make, case: Case) -> None:
    with our_resolver(case.script, tmp_path) as (_, conf):
        seen = await look(Dns(SHOP, _resolver=conf), make_context(limit(case.ours)))
    check(case, seen, case.ours)
    assert seen.reason is not None
    says_something = seen.reason in (Reason.DNS_NXDOMAIN, Reason.ANSWER)
    assert seen.reason.blame is (Blame.TARGET if says_something else Blame.CANNOT_TELL)


async def test_our_own_resolver_answers(tmp_path: Path, make_context: Make) -> None:
    with our_resolver(answering(A), tmp_path) as (server, conf):
        probe = Dns(SHOP, _resolver=conf)
        seen = await look(probe, make_context())
        assert (probe.target, probe.host) == ("A shop.example.com", None)
    assert seen.ok, seen
    assert seen.evidence["address"] == f"{HERE}:53"
    assert len(server.by_udp) == 1
    gone = await look(probe, make_context(SHORT))
    assert gone.reason is Reason.DNS_SERVFAIL, "nobody listens there any more"


OTHER = f"127.54.{os.getpid() // 256 % 256}.{os.getpid() % 254 + 1}"


@pytest.mark.parametrize(
    ("first", "passed"),
    [
        (answering(rcode="SERVFAIL"), "SERVFAIL"),
        (answering(rcode="REFUSED"), "REFUSED"),
        (silent, "no answer while it was its turn"),
        (None, "127.54"),
    ],
    ids=["fails", "refuses", "silent", "nobody"],
)
async def test_the_next_server_of_resolv_conf(
    tmp_path: Path, make_context: Make, first: Script | None, passed: str
) -> None:
    with our_resolver(answering(A), tmp_path, OTHER) as (server, conf), ExitStack() as stack:
        if first is not None:
            stack.enter_context(name_server(first, where=(OTHER, PORT)))
        seen = await look(Dns(SHOP, _resolver=conf), make_context(0.6))
    assert seen.ok, seen
    assert (seen.evidence["address"], len(server.by_udp)) == (f"{HERE}:53", 1)
    assert seen.evidence["passed_over"].startswith(f"{OTHER}: ")
    assert passed in seen.evidence["passed_over"]


async def test_both_servers_of_resolv_conf_fail(tmp_path: Path, make_context: Make) -> None:
    with our_resolver(answering(rcode="SERVFAIL"), tmp_path, OTHER) as (_, conf):
        seen = await look(Dns(SHOP, _resolver=conf), make_context())
    assert (seen.reason, "ECONNREFUSED" in seen.evidence["passed_over"]) == (Reason.DNS_SERVFAIL, True), seen
