"""Places that cannot be reached: on this machine, and in a network of the test's own (`tests.servers.namespace`)."""

from __future__ import annotations

from tests.servers.misbehaving.case import Case, Network

UNREACHABLE, PROHIBITED, SWALLOWED, NOWHERE = "192.0.2.1", "192.0.2.65", "198.51.100.1", "203.0.113.1"
"""Addresses for documents (RFC 5737), as `tests.servers.namespace` has routes for them, and none for the last."""

NETWORKS: tuple[Case, ...] = (
    Case(
        "a closed port", "refused", "The host is there, and nothing listens.", Network("127.0.0.1", 1),
    ),
    Case(
        "a host that a router calls unreachable", "unreachable",
        "Somebody on the way says that the host is not there.", Network(UNREACHABLE),
    ),
    Case(
        "a host that a firewall rejects", "unreachable",
        "Somebody on the way says that the agent may not go there.", Network(PROHIBITED),
    ),
    Case(
        "a network that swallows packets", "connect_timeout",
        "No answer, not even that there is none: the host is off, or a firewall drops.", Network(SWALLOWED),
    ),
    Case(
        "a network to which there is no route", "no_route",
        "The agent's own host has no way to go by: that says nothing about the site, and pages nobody.",
        Network(NOWHERE),
        others="Both call the site down.",
    ),
)  # fmt: skip
