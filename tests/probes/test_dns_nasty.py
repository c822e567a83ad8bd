"""The probe `dns` against servers that are silent, lie, forge or break: each with its reason, and who is to blame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from probes._dns.talk import MOST_IGNORED
from probes.contract import Blame, Reason
from probes.dns import Dns
from tests.probes.judged import prompt_look as look
from tests.probes.lying import (
    BY_UDP,
    OPT,
    SHOP,
    SHORT,
    A,
    Case,
    Make,
    check,
    good,
    limit,
    other_id,
    our_resolver,
    then_good,
)
from tests.probes.test_look_garbage import left_behind
from tests.servers.name_server import (
    HANG,
    RESET,
    Script,
    Step,
    answering,
    framed,
    name_server,
    patched,
    reply,
    silent,
)

# --- by UDP, where anybody can send -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", BY_UDP, ids=lambda case: case.name)
async def test_a_server_that_is_looked_at(make_context: Make, case: Case) -> None:
    with name_server(case.script) as server:
        seen = await look(Dns(SHOP, server=server.address), make_context(limit(case.reason)))
    check(case, seen, case.reason)
    assert seen.reason is not None
    assert seen.reason.blame is Blame.TARGET


@pytest.mark.parametrize(
    "bad",
    [other_id, lambda message: b"", lambda message: message[:5], lambda message: patched(message, 14, b"x")],
    ids=["another id", "nothing", "a piece", "another question"],
)
async def test_what_anybody_could_have_sent_hides_no_answer(
    make_context: Make, bad: Callable[[bytes], bytes]
) -> None:
    with name_server(then_good(lambda question: bad(good(question)))) as server:
        seen = await look(Dns(SHOP, server=server.address), make_context())
    assert seen.ok, seen
    assert seen.evidence["ignored"].startswith("1 ")


async def test_a_flood_is_not_read_to_its_end(make_context: Make) -> None:
    with name_server(lambda question: [other_id(good(question))] * (MOST_IGNORED + 10)) as server:
        seen = await look(Dns(SHOP, server=server.address), make_context())
    assert seen.reason is Reason.PROTOCOL, seen
    assert seen.evidence["ignored"] == f"{MOST_IGNORED} with another id"


async def test_nobody_listens(make_context: Make, closed_port: int) -> None:
    seen = await look(Dns(SHOP, server=f"127.0.0.1:{closed_port}"), make_context())
    assert (seen.reason, seen.detail) == (Reason.REFUSED, f"127.0.0.1:{closed_port}: ECONNREFUSED")


# --- on a connection ----------------------------------------------------------------------------------------------

ON_CONNECTION = [
    pytest.param(lambda q: [HANG], "query_timeout", "the query was not answered", id="silence"),
    pytest.param(lambda q: [b"\0", HANG], "query_timeout", "the query was not answered", id="half of a length"),
    pytest.param(lambda q: [framed(good(q))[:30]], "truncated", "closed after 30 bytes", id="half of an answer"),
    pytest.param(lambda q: [], "empty_reply", "closed without an answer", id="nothing"),
    pytest.param(lambda q: [b"\0\x20abc", RESET], "reset", "ECONNRESET", id="a reset"),
    pytest.param(
        lambda q: [framed(other_id(good(q)))],
        "protocol",
        "no answer to the question: with another id",
        id="another id",
    ),
    pytest.param(lambda q: [framed(q)], "protocol", "our own question, sent back", id="our question"),
    pytest.param(lambda q: [framed(b"")], "protocol", "shorter than a header", id="no message"),
    pytest.param(lambda q: [b"HTTP/1.1 400 Bad Request\r\n\r\n"], "truncated", "closed after 28 bytes", id="HTTP"),
    pytest.param(
        lambda q: [framed(reply(q, flags="QR TC"))], "protocol", "it came on a connection", id="cut off again"
    ),
    pytest.param(lambda q: [framed(good(q)[:-3])], "protocol", "cannot be read", id="garbage"),
]


@pytest.mark.parametrize(("script", "reason", "detail"), ON_CONNECTION)
async def test_connections_that_lie(make_context: Make, script: Script, reason: str, detail: str) -> None:
    with name_server(silent, script) as server:
        seen = await look(Dns(SHOP, server=server.address, transport="tcp"), make_context(limit(reason)))
    assert (seen.reason, detail in seen.detail) == (reason, True), seen
    assert "send" not in seen.phases


async def test_an_answer_in_pieces_is_one(make_context: Make) -> None:
    def by_bytes(question: bytes) -> Iterator[Step]:
        for byte in framed(good(question)):
            yield bytes((byte,))
            yield 0.0005

    with name_server(silent, by_bytes) as server:
        seen = await look(Dns(SHOP, server=server.address, transport="tcp"), make_context())
    assert seen.ok, seen


async def test_cut_off_and_nobody_listens_by_tcp(make_context: Make) -> None:
    with name_server(answering(flags="QR TC")) as server:
        seen = await look(Dns(SHOP, server=server.address), make_context())
    assert (seen.reason, seen.detail) == (Reason.REFUSED, f"{server.address}: ECONNREFUSED"), seen
    assert "truncated" in seen.evidence


async def test_no_tls_there(make_context: Make) -> None:
    with name_server(silent, lambda question: [HANG]) as server:
        seen = await look(Dns(SHOP, server=server.address, transport="tls"), make_context(SHORT))
    assert seen.reason in (Reason.TLS_TIMEOUT, Reason.TLS_PROTOCOL), seen


def only_without_edns(question: bytes) -> list[Step]:
    if question[10:12] != b"\0\0":
        return [question[:2] + b"\x81\x81" + question[4:10] + b"\0\0" + question[12:-OPT]]
    return [good(question)]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_server_that_does_not_know_edns(make_context: Make, transport: Any) -> None:
    framing = lambda q: [framed(step) for step in only_without_edns(q) if isinstance(step, bytes)]  # noqa: E731
    with name_server(only_without_edns, framing) as server:
        seen = await look(Dns(SHOP, server=server.address, transport=transport), make_context())
        assert seen.ok, seen
        assert seen.evidence["edns"] == "the server does not know it: asked again without"
        wanted = Dns(SHOP, server=server.address, transport=transport, dnssec=True)
        seen = await look(wanted, make_context())
    assert (seen.reason, "FORMERR" in seen.detail) == (Reason.RCODE, True), "there is no DNSSEC without it"


# --- what a look leaves behind ------------------------------------------------------------------------------------


@dataclass
class _Turn:
    """One script after the other."""

    scripts: list[Script]
    asked: int = field(default=0)

    def __call__(self, question: bytes) -> list[Step]:
        script = self.scripts[self.asked % len(self.scripts)]
        self.asked += 1
        return list(script(question))


async def test_a_look_leaves_nothing_for_the_collector(tmp_path: Path, make_context: Make) -> None:
    cases = [case.script for case in BY_UDP if case.reason != "query_timeout"]
    turn = _Turn([answering(A), *cases, answering(flags="QR TC")])
    with name_server(turn) as server, left_behind() as found:
        for _ in turn.scripts:
            await Dns(SHOP, server=server.address).look(make_context())
    assert found == {}
    with name_server(silent) as server, left_behind() as found:
        await Dns(SHOP, server=server.address).look(make_context(0.05))
    assert found == {}
    with our_resolver(_Turn([answering(rcode="SERVFAIL"), silent]), tmp_path) as (_, conf), left_behind() as found:
        for _ in range(2):
            await Dns(SHOP, _resolver=conf).look(make_context(0.05))
    assert found == {}
