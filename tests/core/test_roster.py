"""Names of routes to sinks."""

from __future__ import annotations

from datetime import UTC, datetime

from monitor.core.roster import resolved
from monitor.core.rota import Directory

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def test_several_targets_are_sinks_each_once() -> None:
    roster = Directory(frozenset({"chat", "ann.sms"}), {}, {"everyone": ("ann.sms", "chat")})
    assert roster.sinks("chat", NOW) == ("chat",)
    assert roster.sinks("everyone", NOW) == ("ann.sms", "chat")
    assert roster.sinks("bob.sms", NOW) == ()
    assert resolved(roster, ["chat", "everyone"], NOW) == ("chat", "ann.sms")
