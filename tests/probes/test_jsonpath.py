"""Comparisons in JSON bodies."""

from __future__ import annotations

import pytest

from probes._http.jsonpath import find, parse

DOCUMENT = {
    "queue": 5,
    "text": "7",
    "status": "pass",
    "ok": True,
    "bad": False,
    "none": None,
    "items": [{"name": "x"}, {"a b": {"c-d": 1.5}}],
    "huge": 10**400,
}


def complaint_of(text: str) -> str | None:
    expectation = parse(text)
    return expectation.complaint(find(DOCUMENT, expectation.path))


@pytest.mark.parametrize(
    "text",
    [
        "$.queue < 100", "$.queue = 5", "$.queue == 5.0", "$.queue>=5", "$.queue != 6", "$.text > 6", "$.text = 7",
        "$.status = pass", '$.status = "pass"', "$.status='pass'", "$.status != fail", "$.ok", "$.ok = true",
        "$.bad = false", "$.none = null", "$.items[0].name = x", '$.items[-1]["a b"].c-d <= 1.5', "$.items", "$",
        "$.ok != 1", "$.none != 0",
    ],
)  # fmt: skip
def test_holds(text: str) -> None:
    assert complaint_of(text) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("$.queue > 100", "$.queue > 100: found 5"),
        ("$.status > 1", '$.status > 1: found "pass"'),
        ("$.ok > 0", "$.ok > 0: found true"),
        ("$.nope = 1", "$.nope = 1: nothing is there"),
        ("$.items[9].name = x", "$.items[9].name = x: nothing is there"),
        ("$.queue.deeper = 1", "$.queue.deeper = 1: nothing is there"),
        ("$.bad", "$.bad: found false"),
        ("$.none", "$.none: found null"),
    ],
)
def test_complaints(text: str, complaint: str) -> None:
    assert complaint_of(text) == complaint


def test_a_number_too_large_to_compare_is_a_complaint() -> None:
    assert complaint_of("$.huge > 1") is not None


@pytest.mark.parametrize(
    "text", ["queue < 1", "$.", "$..a = 1", "$.a ~ 1", "$.a <", "$.a < pass", "$.a = 'x", "$[x]", ""]
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\$|quote"):
        parse(text)
