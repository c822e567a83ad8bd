"""The grammar of `when:`. What it refuses is pinned by the files in bad/."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.routes import closed_lookups, parse_when
from monitor.core.routing import AllOf, AnyOf, Not, Term

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
