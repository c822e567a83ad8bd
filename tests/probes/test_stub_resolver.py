"""Our own resolver: what it asks, what it keeps, and whom it makes wait."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from time import perf_counter

import pytest

from probes._names.resolv_conf import ResolvConf, hosts, resolv_conf
from probes._names.stub_resolver import KEPT, KEPT_NOTHING, NEW
from probes._names.system_resolver import KEPT_HANGING, PROMPT
from probes.contract import Address, LookFailed, Reason
from tests.probes.resolving import AAAA, HASTY, PATIENT, SHOP, A, Rig, Switch, failure_of, good, hosts_of, rig
from tests.probes.test_look_garbage import left_behind
from tests.servers.name_server import reply, silent
from tests.servers.zone import name_of, zone

__all__ = ["rig"]

# --- what is asked ------------------------------------------------------------------------------------------------


async def test_both_families_at_once(rig: Rig) -> None:
    rig.serve(zone(A, AAAA))
    found = await rig.resolver().resolve(SHOP, 443, 5)
    assert set(found) == {
        Address("203.0.113.7", 443, socket.AF_INET),
        Address("2001:db8::7", 443, socket.AF_INET6),
    }
    assert sorted(rig.asked) == [(SHOP, "A"), (SHOP, "AAAA")]
    assert {address.origin for address in found} == {""}


@pytest.mark.parametrize(
    ("family", "host", "kind"), [(socket.AF_INET, "203.0.113.7", "A"), (socket.AF_INET6, "2001:db8::7", "AAAA")]
)
async def test_one_family_only(rig: Rig, family: int, host: str, kind: str) -> None:
    rig.serve(zone(A, AAAA))
    assert await hosts_of(rig.resolver(), family=family) == [host]
    assert rig.asked == [(SHOP, kind)]


async def test_no_aaaa(rig: Rig) -> None:
    rig.serve(zone(A, AAAA))
    assert await hosts_of(rig.resolver(ResolvConf(no_aaaa=True))) == ["203.0.113.7"]
    assert rig.asked == [(SHOP, "A")]


@pytest.mark.parametrize("text", ["192.0.2.7", "127.1", "::1", "2001:db8::7"])
async def test_addresses_are_asked_of_nobody(rig: Rig, text: str) -> None:
    rig.serve(zone(A))
    resolver = rig.resolver()
    for _ in range(2):
        (found,) = await resolver.resolve(text, 80, 5)
        assert found.host in (text, "127.0.0.1")
    assert rig.asked == []
    other = socket.AF_INET if found.family == socket.AF_INET6 else socket.AF_INET6
    assert (await failure_of(resolver, text, family=other)).reason is Reason.DNS_NO_DATA


async def test_the_hosts_file_comes_first(rig: Rig) -> None:
    rig.serve(zone(A, AAAA))
    resolver = rig.resolver(
        hosts=f"192.0.2.1 other {SHOP.upper()} # ours\n::1 {SHOP}\n192.0.2.1 {SHOP}\nnonsense x\n"
    )
    assert await hosts_of(resolver) == ["192.0.2.1", "::1"]
    assert await hosts_of(resolver, SHOP + ".") == ["192.0.2.1", "::1"]
    assert await hosts_of(resolver, family=socket.AF_INET) == ["192.0.2.1"]
    assert rig.asked == []


async def test_localhost_is_here(rig: Rig) -> None:
    assert await hosts_of(rig.resolver(), "localhost") == ["127.0.0.1", "::1"]
    assert await hosts_of(rig.resolver(), "a.localhost", family=socket.AF_INET) == ["127.0.0.1"]
    only = rig.resolver(hosts="127.0.0.1 localhost")
    assert await hosts_of(only, "localhost") == ["127.0.0.1"]
    assert await hosts_of(only, "localhost", family=socket.AF_INET6) == ["::1"]


SEARCHED = ("shop.corp.example", "shop.example.com", "shop")


@pytest.mark.parametrize(
    ("host", "ndots", "names"),
    [
        pytest.param("shop", 1, SEARCHED, id="a short name"),
        pytest.param("shop.", 1, ("shop",), id="a whole one"),
        pytest.param("shop", 0, ("shop", *SEARCHED[:2]), id="a short name, whole first"),
        pytest.param("a.b", 1, ("a.b", "a.b.corp.example", "a.b.example.com"), id="a dot"),
        pytest.param("a.b", 2, ("a.b.corp.example", "a.b.example.com", "a.b"), id="too few dots"),
    ],
)
async def test_search_domains(rig: Rig, host: str, ndots: int, names: tuple[str, ...]) -> None:
    rig.serve(zone())
    resolver = rig.resolver(ResolvConf(search=("corp.example", "example.com"), ndots=ndots))
    failure = await failure_of(resolver, host, family=socket.AF_INET)
    assert rig.asked == [(name, "A") for name in names]
    assert (failure.reason, names[-1] in failure.detail) == (Reason.DNS_NXDOMAIN, True), failure


async def test_the_first_domain_that_has_it(rig: Rig) -> None:
    rig.serve(zone("shop.example.com. 60 A 203.0.113.7", "shop.corp.example. 60 TXT here"))
    resolver = rig.resolver(ResolvConf(search=("corp.example", "example.com", "third.example")))
    assert await hosts_of(resolver, "shop", family=socket.AF_INET) == ["203.0.113.7"]
    assert [name for name, _ in rig.asked] == ["shop.corp.example", "shop.example.com"]
    assert await hosts_of(resolver, "shop", family=socket.AF_INET) == ["203.0.113.7"], "kept under the short name"
    assert len(rig.asked) == 2


async def test_a_domain_that_fails_may_have_had_it(rig: Rig) -> None:
    rig.serve(lambda q: [reply(q, rcode="SERVFAIL" if "corp" in name_of(q) else "NXDOMAIN")])
    failure = await failure_of(rig.resolver(ResolvConf(search=("corp.example",))), "shop")
    assert failure.reason is Reason.DNS_SERVFAIL


async def test_aliases_are_followed(rig: Rig) -> None:
    rig.serve(zone("www.example.com. 30 CNAME shop.example.com.", A))
    resolver = rig.resolver()
    assert await hosts_of(resolver, "www.example.com") == ["203.0.113.7"]
    rig.clock.now += 29
    await hosts_of(resolver, "www.example.com")
    assert len(rig.asked) == 2
    rig.clock.now += 2
    await hosts_of(resolver, "www.example.com")
    assert len(rig.asked) == 4, "the lowest TTL counts, that of the alias"


@pytest.mark.parametrize(
    "host", ["x" * 64 + ".example", "a..b", ".", "b\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 40]
)
async def test_what_cannot_be_a_name(rig: Rig, host: str) -> None:
    rig.serve(zone(A))
    failure = await failure_of(rig.resolver(), host)
    assert (failure.reason, "cannot be a host name" in failure.detail) == (Reason.DNS_NXDOMAIN, True)
    assert rig.asked == []


async def test_names_in_other_scripts(rig: Rig) -> None:
    rig.serve(zone("xn--bcher-kva.example. 60 A 203.0.113.9"))
    assert await hosts_of(rig.resolver(), "bücher.example") == ["203.0.113.9"]


# --- what is kept -------------------------------------------------------------------------------------------------


async def test_an_answer_is_kept_for_its_time(rig: Rig) -> None:
    rig.serve(zone(A, AAAA))
    resolver = rig.resolver()
    assert len(await hosts_of(resolver)) == 2
    rig.clock.now += 59
    found = await resolver.resolve(SHOP.upper(), 81, 5)
    assert {address.origin for address in found} == {"from the cache, 59 s old"}
    assert len(rig.asked) == 2
    rig.clock.now += 2
    await hosts_of(resolver)
    assert len(rig.asked) == 4


@pytest.mark.parametrize(
    ("ttl", "keep", "kept"),
    [(0, KEPT, 1.0), (60, 10.0, 10.0), (86_400, KEPT, KEPT), (86_400, 3600.0, 3600.0), (5, 3600.0, 5.0)],
)
async def test_bounds_of_what_is_kept(rig: Rig, ttl: int, keep: float, kept: float) -> None:
    rig.serve(zone(f"{SHOP}. {ttl} A 203.0.113.7"))
    resolver = rig.resolver(keep=keep)
    await hosts_of(resolver, family=socket.AF_INET)
    rig.clock.now += kept - 0.1
    await hosts_of(resolver, family=socket.AF_INET)
    assert len(rig.asked) == 1
    rig.clock.now += 0.2
    await hosts_of(resolver, family=socket.AF_INET)
    assert len(rig.asked) == 2


async def test_nothing_is_kept(rig: Rig) -> None:
    rig.serve(zone(A))
    resolver = rig.resolver(keep=0)
    found = await asyncio.gather(*(resolver.find(SHOP, 80, 5, family=socket.AF_INET) for _ in range(3)))
    assert {address.origin for addresses in found for address in addresses} == {""}
    assert len(rig.asked) == 3


@pytest.mark.parametrize(("negative", "kept"), [(None, 0.0), (2, 2.0), (3600, KEPT_NOTHING)])
async def test_that_there_is_nothing_is_kept_briefly(rig: Rig, negative: int | None, kept: float) -> None:
    rig.serve(zone(negative=negative))
    resolver = rig.resolver()
    for number, later in enumerate((0.0, kept - 0.1, 0.2)):
        rig.clock.now += max(later, 0.0)
        assert (await failure_of(resolver, family=socket.AF_INET)).reason is Reason.DNS_NXDOMAIN
        assert len(rig.asked) == (number + 1 if not kept else 1 + number // 2)


async def test_other_failures_are_not_kept(rig: Rig) -> None:
    answers = iter(["SERVFAIL", "NOERROR"])
    rig.serve(lambda q: [reply(q, A, rcode=next(answers))])
    resolver = rig.resolver()
    assert (await failure_of(resolver, family=socket.AF_INET)).reason is Reason.DNS_SERVFAIL
    assert await hosts_of(resolver, family=socket.AF_INET) == ["203.0.113.7"]


async def test_an_extra_look_asks_anew(rig: Rig) -> None:
    rig.serve(zone(A, negative=3600))
    resolver = rig.resolver()
    for _ in range(2):
        await failure_of(resolver, "gone.example.com", family=socket.AF_INET, again=True)
    assert len(rig.asked) == 2, "no failure is taken from the cache"
    for age, asked in ((0.0, 3), (NEW - 1, 3), (2, 4)):
        rig.clock.now += age
        await hosts_of(resolver, family=socket.AF_INET, again=True)
        assert len(rig.asked) == asked, "and nothing that is not new"


async def test_who_asks_at_the_same_time_shares_the_answer(rig: Rig) -> None:
    rig.serve(lambda q: [0.05, *zone(A)(q)])
    resolver = rig.resolver()
    await asyncio.gather(*(hosts_of(resolver) for _ in range(50)))
    assert len(rig.asked) == 2


# --- servers that fall silent -------------------------------------------------------------------------------------


async def test_the_last_answer_serves_while_nobody_answers(rig: Rig) -> None:
    switch = Switch(zone(A))
    rig.serve(switch)
    resolver = rig.resolver(HASTY)
    await hosts_of(resolver)
    switch.script = silent
    rig.clock.now += 60 + KEPT_HANGING - 1
    began = perf_counter()
    (found,) = await resolver.resolve(SHOP, 80, 5)
    assert (found.host, found.origin) == ("203.0.113.7", "from 359 s ago")
    assert perf_counter() - began < PROMPT + 0.5
    rig.clock.now += 2
    assert (await failure_of(resolver)).reason is Reason.DNS_TIMEOUT


async def test_whoever_has_an_old_answer_keeps_time_to_connect(rig: Rig) -> None:
    switch = Switch(zone(A))
    rig.serve(switch)
    resolver = rig.resolver(PATIENT)
    await hosts_of(resolver)
    switch.script = silent
    rig.clock.now += 100
    began = perf_counter()
    (found,) = await resolver.resolve(SHOP, 80, 0.8)
    assert found.stale
    assert perf_counter() - began < 0.75


async def test_what_servers_say_is_believed_at_once(rig: Rig) -> None:
    switch = Switch(zone(A))
    rig.serve(switch)
    resolver = rig.resolver()
    await hosts_of(resolver)
    switch.script = lambda question: [reply(question, rcode="SERVFAIL")]
    rig.clock.now += 61
    assert (await failure_of(resolver)).reason is Reason.DNS_SERVFAIL


async def test_a_look_waits_no_longer_than_it_has(rig: Rig) -> None:
    rig.serve(silent)
    resolver = rig.resolver(PATIENT)
    began = perf_counter()
    failure = await failure_of(resolver, timeout=0.1)
    assert (failure.reason, failure.detail.endswith("within 0.1 s")) == (Reason.DNS_TIMEOUT, True), failure
    assert perf_counter() - began < 1, "its servers would have had ten"


async def test_an_answer_that_comes_late_is_used(rig: Rig) -> None:
    rig.serve(lambda q: [0.1, *zone(A)(q)])
    resolver = rig.resolver()
    assert (await failure_of(resolver, timeout=0.02)).reason is Reason.DNS_TIMEOUT
    assert await hosts_of(resolver) == ["203.0.113.7"]
    assert len(rig.asked) == 2, "it was under way"


async def test_names_that_hang_hold_up_nobody(rig: Rig) -> None:
    rig.serve(lambda q: good(q) and ([good(q)] if name_of(q).startswith("shop") else []))
    resolver = rig.resolver(ResolvConf(timeout=30))
    hung = [asyncio.create_task(failure_of(resolver, f"n{number}.example", 20)) for number in range(100)]
    await asyncio.sleep(0)
    began = perf_counter()
    assert await hosts_of(resolver) == ["203.0.113.7"]
    took = perf_counter() - began
    for task in hung:
        task.cancel()
    await asyncio.gather(*hung, return_exceptions=True)
    assert took < 10, "though they are asked for twice as long"


async def test_names_that_nobody_waits_for_are_given_up(rig: Rig) -> None:
    """Each holds sockets until its servers are given up, half a minute later."""
    rig.serve(silent)
    resolver = rig.resolver(PATIENT)
    waiting = asyncio.create_task(failure_of(resolver, "first.example", 3))
    for start in range(0, 700, 100):
        names = (f"n{number}.example" for number in range(start, start + 100))
        await asyncio.gather(*(failure_of(resolver, name, 0.001) for name in names))
    assert len(resolver._running) == len(resolver._pending) <= 501
    assert ("first.example", 0) in resolver._pending, "somebody waits for it"
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_nothing_is_left_for_the_collector(rig: Rig) -> None:
    switch = Switch(zone(A))
    rig.serve(switch)
    resolver = rig.resolver(HASTY, keep=0)
    with left_behind() as found:
        await hosts_of(resolver)
        for script in (silent, lambda q: [reply(q, rcode="SERVFAIL")], lambda q: [q], zone(cut=True)):
            switch.script = script
            with pytest.raises(LookFailed):
                await resolver.resolve("b.example", 80, 1)
    assert found == {}


async def test_closing_ends_what_is_under_way(rig: Rig) -> None:
    rig.serve(silent)
    resolver = rig.resolver()
    waiting = asyncio.create_task(failure_of(resolver, timeout=0.2))
    await asyncio.sleep(0.01)
    resolver.close()
    assert (await waiting).reason is Reason.DNS_TIMEOUT


async def test_files_are_read_again(rig: Rig, tmp_path: Path) -> None:
    """As they are: hosts(5) and resolv.conf(5), swapped while it runs."""
    conf, file = tmp_path / "resolv.conf", tmp_path / "hosts"
    conf.write_text("nameserver 192.0.2.1\n")
    file.write_text("192.0.2.9 one\n")
    seen, known = resolv_conf(str(conf)), hosts(str(file))
    assert (seen.now().servers, known.now()) == (("192.0.2.1",), {"one": ("192.0.2.9",)})
    conf.write_text("nameserver 192.0.2.2\nnameserver 192.0.2.3\n")
    file.unlink()
    async with asyncio.timeout(5):
        while seen.now().servers != ("192.0.2.2", "192.0.2.3") or known.now():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
