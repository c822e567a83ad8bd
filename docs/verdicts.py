"""Renews the page verdicts.md: `python -m docs.verdicts`, as root, takes a minute or two.

Each case of `tests.servers.misbehaving` is looked at by Brownout, by curl and by blackbox_exporter (`docs._panel`).
What each says is a row of the page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from docs._markdown import table
from docs._panel import Row, panel, versions
from docs._peers import Said
from tests.servers import Absent
from tests.servers.misbehaving import CASES, GROUPS, Case, verdict_of

PAGE = Path(__file__).parent / "verdicts.md"

_HEAD = ("The server", "Brownout", "curl", "blackbox_exporter", "Why")

_BEGINNING = """\
# Verdicts

What Brownout says of servers that misbehave, and what curl {curl} and blackbox_exporter {blackbox} say of the same
servers. All three were asked for real, one after the other; `python -m docs.verdicts` does it again. The servers are
those of the tests (`tests/servers/misbehaving/__init__.py`), in which each of these cases must get this verdict,
within its time limit and 50 ms, and with no more memory than `max_bytes` and 1 MiB.

`up`, `down` or `unknown` is what one look says; a check is called so when further looks confirm it. The word behind
it is the reason ([reasons.md](reasons.md)). Looks that cannot tell are `unknown`: they never page anybody.

Of {cases} cases, curl says something else in {by_curl}, and blackbox_exporter in {by_blackbox}: those are in
**bold**, and the last sentence of their row says why. *hangs*: it went on for 5 s after its time was up, and was
stopped. blackbox_exporter tells why only in its log; what stands here is from there. A dash: it cannot be asked.

How they were asked: `curl --fail --location --max-redirs 5 --compressed --max-time ...`, with what it writes searched
for what is expected in the body; blackbox_exporter with a module for each case, with `body_size_limit: 2MB`, and with
`compression` set to what will come; Brownout with no more than the URL. All three were given the tests' authority.
None of the servers speaks HTTP/2; nor does Brownout, while curl and Go would with a server that offers it.
"""


def page(rows: Iterable[Row], versions: tuple[str, str]) -> str:
    """The page for these rows: one of each case."""
    by_name = {row.case.name: row for row in rows}
    beginning = _BEGINNING.format(
        curl=versions[0],
        blackbox=versions[1],
        cases=len(by_name),
        by_curl=sum(row.curl.differs(row.case) for row in by_name.values()),
        by_blackbox=sum(row.blackbox.differs(row.case) for row in by_name.values()),
    )
    parts = [
        f"## {title}\n\n{table(_HEAD, (_cells(by_name[case.name]) for case in cases))}\n"
        for title, cases in GROUPS.items()
    ]
    return "\n".join([beginning, *parts])


def name_of(case: Case) -> str:
    """The first cell of a row."""
    return case.name[:1].upper() + case.name[1:]


def ours_as_shown(says: str) -> str:
    """The cell of what Brownout says."""
    return says if says == "up" else f"{verdict_of(says)}: `{says}`"


def argued(case: Case) -> str:
    """The last cell of a row."""
    return f"{case.why} {case.others}".strip()


def _cells(row: Row) -> tuple[str, ...]:
    shown = (_shown(said, row.case) for said in (row.curl, row.blackbox))
    return (name_of(row.case), ours_as_shown(row.ours), *shown, argued(row.case))


def _shown(said: Said, case: Case) -> str:
    if said.verdict == "none":
        return "-"
    verdict = f"**{said.verdict}**" if said.differs(case) else said.verdict
    detail = said.detail.replace("<", "&lt;")  # what it quotes of a server may look like HTML
    return f"{verdict}: {detail}" if detail else verdict


def _faults(rows: Iterable[Row]) -> Iterator[str]:
    """What the table of cases does not say as it is."""
    for row in rows:
        if row.ours != row.case.says:
            yield f"{row.case}: {row.ours}, not {row.case.says}"
        if row.differ and not row.case.others:
            yield f"{row.case}: the others differ, and no sentence says why"
        if row.case.others and not row.differ:
            yield f"{row.case}: a sentence says that the others differ, and they do not"


def main() -> int:
    """Ask all of them and write the page."""
    with TemporaryDirectory() as folder:
        try:
            with panel(Path(folder)) as asked:
                rows = [asked.ask(case) for case in CASES]
        except Absent as absent:
            print(absent, file=sys.stderr)
            return 2
    wrong = list(_faults(rows))
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    PAGE.write_text(page(rows, versions()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
