"""``for_each:`` makes many checks from one entry.

A list of values; ``{{ each }}`` stands for the value, ``{{ each.KEY }}`` for a key of it when it is a mapping::

    - name: "{{ each.name }} page"
      probe: http
      url: https://{{ each.host }}/
      for_each:
        - {name: shop, host: shop.example.com}
        - {name: docs, host: docs.example.com}

or names with lists of values, for every combination: ``for_each: {region: [fra, nyc], path: [/, /login]}`` with
``{{ region }}`` and ``{{ path }}``. A text that is one placeholder and nothing else becomes the value itself, be it
a list or a mapping. Placeholders are read only in an entry with `for_each`, before ``${VAR}`` is. Faults in a check
that was made this way point at the entry. A text that begins with ``{{`` must be quoted, as YAML demands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod

from monitor.config.document import TEXT_OF_ONE, Plain
from monitor.config.faults import Entry, Faults
from monitor.config.suggest import Vocabulary, shorten

MOST_FROM_ONE = 10_000
MOST_CHECKS = 50_000
MOST_MADE = 2_000_000
"""Texts, lists and mappings of all checks that are made; long texts count for more, as in a file."""
LONGEST_TEXT = 100_000
"""Characters of a text that placeholders were replaced in."""
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def expand(entries: list[Entry], faults: Faults) -> Iterator[Entry]:
    """The checks that `entries` stand for, in order."""
    count, left = 0, MOST_MADE
    for entry in entries:
        for made in _expand_one(entry, faults):
            count += 1
            if count > MOST_CHECKS:
                faults.add(entry.place, f"more than {MOST_CHECKS} checks in all: run a second agent for the rest")
                return
            if made is not entry:  # what is written out was counted as it was read
                left -= _weight(made.value, left)
            if left < 0:
                faults.add(entry.place, "makes too much: write shorter texts, or run a second agent", "for_each")
                return
            yield made


def _expand_one(entry: Entry, faults: Faults) -> Iterator[Entry]:
    if not isinstance(entry.value, dict) or "for_each" not in entry.value:
        yield entry
        return
    template = {key: value for key, value in entry.value.items() if key != "for_each"}
    axes = _axes(entry, entry.value["for_each"], faults)
    if axes is None:
        return
    for combination in product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        made: dict[str, Plain] = {}
        for key, value in template.items():
            try:
                made[key] = _fill(value, values)
            except ValueError as error:
                faults.add(entry.place, str(error), key)
        if len(made) == len(template):
            yield Entry(entry.place, made)


def _axes(entry: Entry, written: Plain, faults: Faults) -> Mapping[str, list[Plain]] | None:
    given = {"each": written} if isinstance(written, list) else written
    if not isinstance(given, dict) or not given:
        faults.add(entry.place, "must be a list of values, or names with lists of values", "for_each")
        return None
    axes: dict[str, list[Plain]] = {}
    for name, values in given.items():
        if isinstance(values, list) and values:
            axes[name] = values
        else:
            steps = ("for_each",) if isinstance(written, list) else ("for_each", name)
            faults.add(entry.place, "must be a list of at least one value", *steps)
    if len(axes) < len(given):
        return None
    count = prod(len(values) for values in axes.values())
    if count > MOST_FROM_ONE:
        faults.add(entry.place, f"makes {count} checks: at most {MOST_FROM_ONE} come from one entry", "for_each")
        return None
    return axes


def _weight(value: Plain, enough: int) -> int:
    """How much `value` holds; what is more than `enough` is not looked through."""
    if isinstance(value, str):
        return 1 + len(value) // TEXT_OF_ONE
    weight = 1
    for item in value.values() if isinstance(value, dict) else value or ():
        if weight > enough:
            break
        weight += _weight(item, enough - weight)
    return weight


def _fill(value: Plain, values: Mapping[str, Plain]) -> Plain:
    if isinstance(value, str):
        if "{{" not in value:
            return value
        alone = _PLACEHOLDER.fullmatch(value)
        if alone:
            return _look_up(alone[1], values)
        return _replaced(value, values)
    if isinstance(value, list):
        return [_fill(item, values) for item in value]
    if isinstance(value, dict):
        return {str(_fill(key, values)): _fill(item, values) for key, item in value.items()}
    return value


def _replaced(text: str, values: Mapping[str, Plain]) -> str:
    left = LONGEST_TEXT

    def value_of(match: re.Match[str]) -> str:
        nonlocal left
        found = _text(match[1], values)
        left -= len(found)
        if left < 0:
            raise ValueError(f"makes a text of more than {LONGEST_TEXT:,} characters: write a shorter one")
        return found

    return _PLACEHOLDER.sub(value_of, text)


def _text(reference: str, values: Mapping[str, Plain]) -> str:
    found = _look_up(reference, values)
    if not isinstance(found, str):
        message = f"{{{{ {reference} }}}} is not a single text: use a key of it, as in {{{{ {reference}.name }}}}"
        raise ValueError(message)  # noqa: TRY004  (a fault of the file, not of a type)
    return found


def _look_up(reference: str, values: Mapping[str, Plain]) -> Plain:
    found: Plain = dict(values)
    walked = "for_each value"
    for step in reference.split("."):
        if not isinstance(found, dict):
            message = f"{{{{ {shorten(reference)} }}}}: the value has no keys"
            raise ValueError(message)  # noqa: TRY004  (a fault of the file, not of a type)
        if step not in found:
            raise ValueError(Vocabulary(walked, found).unknown(step))
        found, walked = found[step], "key of the for_each value"
    return found
