"""The page verdicts.md: it is of today's cases, and whoever says something else has a sentence about it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from docs import verdicts
from docs._markdown import table
from docs._panel import panel
from tests.servers import Absent
from tests.servers.misbehaving import CASES, GROUPS, Case


@dataclass(frozen=True, slots=True)
class Shown:
    """A row of the page as it stands there."""

    name: str
    ours: str
    curl: str
    blackbox: str
    text: str

    @property
    def differs(self) -> bool:
        return "**" in self.curl + self.blackbox


def rows_of(text: str) -> list[Shown]:
    lines = re.findall(r"^\| (?!The server|---)(.*) \|$", text, re.MULTILINE)
    return [Shown(*re.split(r" (?<!\\)\| ", line)) for line in lines]


PAGE = verdicts.PAGE.read_text(encoding="utf-8")
SHOWN = {row.name: row for row in rows_of(PAGE)}
RENEW = "run, as root: python -m docs.verdicts"


def test_the_page_is_of_todays_cases() -> None:
    expected = {verdicts.name_of(case): case for case in CASES}
    assert list(SHOWN) == list(expected), RENEW
    for name, case in expected.items():
        shown = SHOWN[name]
        assert shown.ours == verdicts.ours_as_shown(case.says), RENEW
        assert table([verdicts.argued(case)], []).startswith(f"| {shown.text} |"), RENEW


def test_who_says_something_else_has_a_sentence_about_it() -> None:
    for case in CASES:
        shown = SHOWN[verdicts.name_of(case)]
        assert shown.differs == bool(case.others), case
        for other in (shown.curl, shown.blackbox):
            assert ("**" in other) == (other.strip("*").partition(":")[0].strip("*") not in (case.verdict, "-")), case


def test_a_sentence_is_about_those_who_say_something_else() -> None:
    for case in CASES:
        shown, words = SHOWN[verdicts.name_of(case)], set(re.findall(r"\w+", case.others))
        both = bool(words & {"Both", "Neither"})
        assert ("**" in shown.curl) == (both or "curl" in words), case
        assert ("**" in shown.blackbox) == (both or bool(words & {"Go", "blackbox_exporter"})), case


def _quick(cases: tuple[Case, ...]) -> Case | None:
    """One that takes no time, and of which somebody says something else if there is one."""
    soon = [case for case in cases if not case.waits and not case.says.endswith(("_timeout", "too_large"))]
    soon = [case for case in soon if "hangs" not in SHOWN[verdicts.name_of(case)].blackbox]
    return next((case for case in soon if case.others), soon[0] if soon else None)


def test_what_the_others_say_is_what_they_said(tmp_path: Path) -> None:
    """One case of each group but those that take their time, before the real programs."""
    if os.geteuid() != 0:
        raise Absent("needs root: port 53, a network and a resolv.conf of its own")
    with panel(tmp_path) as asked:
        for case in filter(None, map(_quick, GROUPS.values())):
            row, shown = asked.ask(case), SHOWN[verdicts.name_of(case)]
            for said, other in ((row.curl, shown.curl), (row.blackbox, shown.blackbox)):
                assert other.replace("*", "").partition(":")[0] == said.verdict.replace("none", "-"), row
