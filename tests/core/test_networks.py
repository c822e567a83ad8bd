"""What an address says of the network that it is in."""

from __future__ import annotations

import pytest

from monitor.core.model import Look
from monitor.core.networks import is_far, is_here, network_of
from probes.contract import Observation
from tests.core.builders import moment


@pytest.mark.parametrize(
    ("address", "host", "network"),
    [
        ("203.0.113.9:443", "shop.example.com", "203.0.0.0/16"),
        ("[2001:db8:1::9]:443", "shop.example.com", "2001:db8::/32"),
        ("203.0.113.9", "shop.example.com", "203.0.0.0/16"),
        ("", "203.0.113.9", "203.0.0.0/16"),
        ("", "shop.example.com", "shop.example.com"),
        ("nonsense:1", "shop.example.com", "shop.example.com"),
    ],
)
def test_what_is_one_network(address: str, host: str, network: str) -> None:
    seen = Look("home", Observation(evidence={"address": address}), moment(0), moment(0))
    assert network_of(seen, host) == network


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.0.0.9", True),
        ("[::1]", True),
        ("/run/postgresql", True),
        ("app.localhost", True),
        ("10.0.0.1", False),
        ("shop.example.com", False),
        ("", False),
    ],
)
def test_this_machine_itself(host: str, here: bool) -> None:
    assert is_here(host) is here


def test_far_is_what_has_an_address_of_the_internet() -> None:
    def seen(address: str) -> Look:
        return Look("home", Observation(evidence={"address": address}), moment(0), moment(0))

    assert is_far(seen("9.9.9.9:443"), "")
    assert is_far(seen(""), "9.9.9.9")
    assert not is_far(seen("10.0.0.1:443"), "9.9.9.9")
    assert not is_far(seen(""), "shop.example.com")
