"""Templates of the administrator's own: what would take for ever, or all memory, is refused, and all else goes on."""

from __future__ import annotations

import json

import pytest

from monitor.sinks import _template
from probes.contract import BadField

NESTED = "".join(f"{{% for x{depth} in '0123456789' %}}" for depth in range(15)) + "{% endfor %}" * 15
MACRO = "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}"


def again(step: str) -> str:
    """What is made of it sixty times."""
    return "{% set a = event.sentence %}" + f"{{% set a = {step} %}}" * 60 + "{{ a | length }}"


@pytest.mark.parametrize("text", [NESTED, MACRO], ids=["loops", "macros"])
def test_what_would_take_for_ever(text: str) -> None:
    with pytest.raises(BadField, match="it takes too long"):
        _template.check(text, as_json=False)


@pytest.mark.parametrize(
    "step", ["a ~ a", "a + a", "[a] + [a]", "a | replace('a', a)", "[a, a] | join", "a | tojson | tojson"]
)
def test_what_would_take_all_memory(step: str) -> None:
    lists = "{% set a = [1] %}" + "{% set a = a + a %}" * 60 if step.startswith("[a] ") else again(step)
    with pytest.raises(BadField, match="it makes too much on its way"):
        _template.check(lists, as_json=False)


def test_what_calls_itself_is_no_template() -> None:
    with pytest.raises(BadField, match="line 1: a loop cannot be recursive here"):
        _template.check("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", as_json=False)
    for method in ("join", "replace", "translate"):
        with pytest.raises(BadField, match=f"attribute '{method}'"):
            _template.check(f"{{{{ title.{method}('a') }}}}", as_json=False)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{{ title ~ ' is ' ~ class ~ 1 }}", "Web shop is outage1"),
        (
            "{{ ['a', 'b'] | join(', ') }} {{ [event.check, event.check] | join('+', attribute='id') }}",
            "a, b home+home",
        ),
        ("{{ title | replace('e', 'E') | replace('p', 'P', 1) }}", "WEb shoP"),
        (
            "{% for name in event.incident.checks %}{{ loop.index }}/{{ loop.length }} {{ name }}{% endfor %}",
            "1/1 home",
        ),
        ("{% for a, b in {'x': 1}.items() %}{{ a }}{{ b + 1 }}{% else %}none{% endfor %}", "x2"),
        ("{% for a in event.nothing.there %}{{ a }}{% else %}none{% endfor %}", "none"),
    ],
)
def test_what_is_bounded_makes_what_it_did(text: str, made: str) -> None:
    assert _template._rendered(text, _template._SAMPLE) == made


def test_the_time_is_that_of_one_rendering() -> None:
    with pytest.raises(BadField):
        _template.check(NESTED, as_json=False)
    _template.check('{"text": {{ (title ~ event.sentence) | tojson }}}', as_json=True)
    assert json.loads(_template._rendered("{{ [title] | tojson }}", _template._SAMPLE)) == ["Web shop"]
