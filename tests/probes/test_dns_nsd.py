"""The probe `dns` against a name server that people run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from probes._dns.expect import Expect
from probes.contract import Context, Reason
from probes.dns import Dns
from tests.probes.conftest import Authority
from tests.probes.judged import prompt_look as look
from tests.servers.nsd import MANY, Nsd, nsd_server


@pytest.fixture(scope="module")
def nsd(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Nsd]:
    folder = tmp_path_factory.mktemp("nsd")
    with nsd_server(folder, authority.folder / "good.pem", authority.folder / "good.key") as server:
        yield server


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_a_zone_of_its_own(nsd: Nsd, authority: Authority, context: Context, transport: str) -> None:
    expect = Expect(answers=("203.0.113.7", "203.0.113.8"), exact=True, authoritative=True)
    where = f"localhost:{nsd.tls_port}" if transport == "tls" else nsd.address
    probe = Dns(
        "www.example.com", server=where, transport=transport, recursion=False, expect=expect, ca_file=authority.file
    )
    seen = await look(probe, context)
    assert seen.ok, seen
    assert (seen.measurements["answers"], seen.measurements["ttl"]) == (2, 60)
    assert seen.evidence["alias_of"] == "shop.example.com"
    assert "aa" in seen.evidence["flags"]


@pytest.mark.parametrize(
    ("query", "kind", "answers"),
    [
        ("example.com", "MX", ("10 mail.example.com",)),
        ("example.com", "TXT", ("v=spf1 mx -all",)),
        ("example.com", "NS", ("ns1.example.com",)),
        ("EXAMPLE.com", "SOA", ("ns1.example.com. hostmaster.example.com. 2026112201 7200 3600 1209600 60",)),
    ],
)
async def test_types(nsd: Nsd, context: Context, query: str, kind: str, answers: tuple[str, ...]) -> None:
    seen = await look(Dns(query, kind, nsd.address, expect=Expect(answers=answers, exact=True)), context)
    assert seen.ok, seen
    if kind == "SOA":
        assert (seen.evidence["serial"], seen.measurements["serial_age"]) == ("2026112201", 0)


async def test_what_does_not_fit_into_a_datagram(nsd: Nsd, context: Context) -> None:
    seen = await look(Dns("many.example.com", server=nsd.address), context)
    assert seen.ok, seen
    assert seen.measurements["answers"] == MANY
    assert "truncated" in seen.evidence


async def test_names_that_are_not_there(nsd: Nsd, context: Context) -> None:
    missing = await look(Dns("gone.example.com", server=nsd.address), context)
    assert missing.reason is Reason.DNS_NXDOMAIN
    assert "SOA ns1.example.com." in missing.evidence["authority"]
    empty = await look(Dns("shop.example.com", "AAAA", nsd.address), context)
    assert (empty.reason, empty.detail) == (Reason.ANSWER, "shop.example.com has no AAAA record")
    foreign = await look(Dns("example.net", server=nsd.address), context)
    assert (foreign.reason, "REFUSED" in foreign.detail) == (Reason.RCODE, True), foreign


async def test_paused(nsd: Nsd, make_context: Callable[..., Context]) -> None:
    group = nsd.process.pid
    os.killpg(group, signal.SIGSTOP)
    try:
        seen = await look(Dns("shop.example.com", server=nsd.address), make_context(0.3))
    finally:
        os.killpg(group, signal.SIGCONT)
    assert seen.reason is Reason.QUERY_TIMEOUT, seen
    assert (await look(Dns("shop.example.com", server=nsd.address), make_context())).ok
