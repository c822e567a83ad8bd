"""The keys `resolver` and `ip`: what may be written, what becomes of it, and what is refused with which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.config.diff import compare, in_force
from monitor.config.load import ConfigError, load
from monitor.config.model import Config
from probes.contract import Ip, ResolverWanted
from tests.config.kinds import KINDS

Read = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(agent: str = "", check: str = "", ip: str = "") -> Config:
        written = (f", resolver: {check}" if check else "") + (f", ip: {ip}" if ip else "")
        path = tmp_path / "checks.yaml"
        path.write_text(
            (f"agent: {{resolver: {agent}}}\n" if agent else "")
            + f"checks:\n  - {{name: home, probe: http, url: 'https://a/'{written}}}\n"
        )
        return load(path, kinds=KINDS, env={"HOME": "/home/ops", "DNS": "10.0.0.53"})

    return read


INSIDE = (("10.0.0.53", 53),)


@pytest.mark.parametrize(
    ("agent", "check", "found"),
    [
        ("", "", None),
        ("system", "", None),
        ("", "own", ResolverWanted()),
        ("", "system", ResolverWanted(system=True)),
        ("", "10.0.0.53", ResolverWanted(servers=INSIDE)),
        ("", '"${DNS}"', ResolverWanted(servers=INSIDE)),
        ("", '"10.0.0.53:5353"', ResolverWanted(servers=(("10.0.0.53", 5353),))),
        ("", '"::1"', ResolverWanted(servers=(("::1", 53),))),
        ("", '"[2001:DB8::53]:5353"', ResolverWanted(servers=(("2001:db8::53", 5353),))),
        ("", "[10.0.0.53, 10.0.1.53]", ResolverWanted(servers=(*INSIDE, ("10.0.1.53", 53)))),
        ("", "{servers: 10.0.0.53, cache: off}", ResolverWanted(servers=INSIDE, cache=0.0)),
        ("", "{cache: 1m}", ResolverWanted(cache=60.0)),
        ("", "{use: system, cache: off}", ResolverWanted(system=True, cache=0.0)),
        ("10.0.0.53", "{cache: off}", ResolverWanted(servers=INSIDE, cache=0.0)),
        ("system", "{cache: off}", ResolverWanted(system=True, cache=0.0)),
        ("{cache: off}", "10.0.0.53", ResolverWanted(servers=INSIDE, cache=0.0)),
        ("{cache: off}", "{cache: on}", ResolverWanted()),
        ("10.0.0.53", "own", ResolverWanted()),
    ],
)
def test_what_a_check_gets(read: Read, agent: str, check: str, found: ResolverWanted | None) -> None:
    assert read(agent, check).checks["home"].resolver == found


@pytest.mark.parametrize(
    ("agent", "found"),
    [
        ("", ResolverWanted()),
        ("own", ResolverWanted()),
        ("system", ResolverWanted(system=True)),
        ("{servers: [10.0.0.53], cache: 1h}", ResolverWanted(servers=INSIDE, cache=3600.0)),
    ],
)
def test_what_the_agent_gets(read: Read, agent: str, found: ResolverWanted) -> None:
    assert read(agent).agent.resolver == found


@pytest.mark.parametrize("ip", list(Ip))
def test_ip(read: Read, ip: Ip) -> None:
    assert read(ip=ip.value).checks["home"].ip is ip
    assert read().checks["home"].ip is None


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("resolver: ns1.example.com", '"ns1.example.com" is no resolver: write own, system, an address such as'),
        ("resolver: systme", '"systme" is no resolver: write own, system, an address'),
        ("resolver: []", "write one to 3 name servers"),
        ("resolver: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4]", "write one to 3 name servers"),
        ("resolver: [10.0.0.53, ns1]", '"ns1" is no address of a name server: write one such as 10.0.0.53'),
        ('resolver: {servers: "10.0.0.53:0"}', 'the port of "10.0.0.53:0" is out of range'),
        ("resolver: {cache: 10ms}", "must be 1s to 1d, or off"),
        ("resolver: {cache: 60}", '"60" has no unit'),
        ("resolver: {cache: no}", "neither on nor off"),
        ("resolver: {use: system, servers: 10.0.0.53}", "system asks whom it likes: leave out servers"),
        ("resolver: {server: 10.0.0.53}", 'unknown key "server" (did you mean servers?)'),
        ("ip: 5", 'unknown value "5"'),
        ("ip: v6", 'unknown value "v6"'),
    ],
)
def test_what_is_refused(tmp_path: Path, written: str, told: str) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text(f"checks:\n  - name: home\n    probe: http\n    url: https://a/\n    {written}\n")
    with pytest.raises(ConfigError) as raised:
        load(path, kinds=KINDS, env={"HOME": "/home/ops"})
    (fault,) = raised.value.faults
    assert (fault.line, told in fault.message) == (5, True), str(fault)


def test_a_reload(read: Read) -> None:
    """The check's own counts at once, with its probe as it is; the agent's from the next start on."""
    before, after = read(), read("system", "10.0.0.53")
    assert compare(before, after).restart == ("agent.resolver",)
    assert compare(before, after).checks.changed == ("home",)
    kept = in_force(before, after)
    assert kept.agent.resolver == ResolverWanted()
    assert kept.checks["home"].resolver == ResolverWanted(servers=INSIDE)
    assert kept.checks["home"].probe is before.checks["home"].probe
