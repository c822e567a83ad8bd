"""The grammar of `when:`. What it refuses is pinned by the files in bad/."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.load import load
from monitor.config.model import ConfigError
from monitor.config.routes import closed_lookups, parse_when
from monitor.core.routing import AllOf, AnyOf, Not, Policy, Route, Step, Term
from tests.config.kinds import KINDS

FACTS = {
    "event": ["incident.opened"],
    "impact": ["outage"],
    "service": ["shop"],
    "check": ["home", "check[1]"],
    "owner": ["web team"],
    "label.tier": ["web"],
}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("service = shop and impact = outage", True),
        ("service=shop and impact!=outage", False),
        ("not service = shop or impact = outage", True),
        ("not (service = shop or impact = outage)", False),
        ("service in (a, shop)", True),
        ("service not in (a, shop)", False),
        ("owner = 'web team'", True),
        ('owner = "web team" and label.tier = w*', True),
        ("check = check[1]", True),
        ("check = check?1?", False),
        ("label.none = x", False),
        ("event = incident.*", True),
        ("state = down", False),
    ],
)
def test_expressions(text: str, matches: bool) -> None:
    assert parse_when(text, closed_lookups()).matches(FACTS) is matches


def test_and_binds_closer_than_or() -> None:
    a, b, c = (Term("owner", name) for name in "abc")
    assert parse_when("owner = a or owner = b and not owner = c", {}) == AnyOf((a, AllOf((b, Not(c)))))


@given(st.lists(st.sampled_from(["service", "=", "!=", "a", "(", ")", "and", "or", "not", "in", ",", '"b c"', '"'])))
def test_any_text_is_an_expression_or_an_error(words: list[str]) -> None:
    try:
        parse_when(" ".join(words), {})
    except ValueError as error:
        assert str(error)  # noqa: PT017  (either is fine, a crash is not)


def read(tmp_path: Path, text: str) -> tuple[Route, ...]:
    path = tmp_path / "checks.yaml"
    sinks = ", ".join(f"{name}: {{type: webhook, url: http://a/}}" for name in ("chat", "sms", "call"))
    checks = "{name: home, probe: http, url: http://a/}"
    path.write_text(f"sinks: {{{sinks}}}\nchecks: [{checks}]\n{text}")
    return load(path, kinds=KINDS, env={}).routes


PAGE = Policy((Step(timedelta(minutes=5), ("sms",)), Step(timedelta(minutes=15), ("call", "sms"))))


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("{to: chat}", Route(("chat",))),
        ("{to: chat, escalate: page}", Route(("chat",), policy=PAGE)),
        ("{escalate: page}", Route(("chat",), policy=PAGE)),
        ("{to: sms, escalate: page}", Route(("sms", "chat"), policy=PAGE)),
        ("{escalate: [{to: chat}, {after: 0s, to: sms}]}", Route(("chat", "sms"))),
        (
            "{escalate: [{to: chat}, {after: 5m, to: sms}, {after: 15m, to: [call, sms]}]}",
            Route(("chat",), policy=PAGE),
        ),
        ("{escalate: [{after: 5m, to: sms}, {after: 15m, to: call}, {after: 15m, to: sms}]}", Route((), policy=PAGE)),
        ("{to: chat, remind: 30m}", Route(("chat",), policy=Policy(remind=timedelta(minutes=30)))),
        ("{escalate: page, remind: 30m}", Route(("chat",), policy=replace(PAGE, remind=timedelta(minutes=30)))),
    ],
)
def test_who_is_called_next(tmp_path: Path, text: str, route: Route) -> None:
    page = "page: [{to: chat}, {after: 5m, to: sms}, {after: 15m, to: [call, sms]}]"
    assert read(tmp_path, f"escalations: {{{page}}}\nroutes: [{text}]") == (route,)


def test_escalations_stand_in_any_file(tmp_path: Path) -> None:
    (tmp_path / "checks.d").mkdir()
    (tmp_path / "checks.d" / "calls.yaml").write_text("escalations: {page: [{to: chat}, {after: 5m, to: sms}]}")
    [route] = read(tmp_path, "routes: [{escalate: page}]")
    assert route.to == ("chat",)
    assert route.policy is not None


def test_too_many_steps(tmp_path: Path) -> None:
    steps = ", ".join(f"{{after: {after}m, to: chat}}" for after in range(1, 52))
    with pytest.raises(ConfigError) as error:
        read(tmp_path, f"routes: [{{escalate: [{steps}]}}]")
    assert "51 steps are too many: 50 are the most" in str(error.value.faults[0])
