"""The cases of `tests.servers.misbehaving` that are bytes and nothing else, through the reader: the same verdict
however the network cuts them."""

from __future__ import annotations

import pytest

from probes._http.codings import ACCEPTED, asked
from probes._http.http1 import ResponseReader
from probes.contract import LookFailed
from tests.servers.misbehaving import CASES, Case, Site
from tests.servers.misbehaving.steps import ASKED, HANG

ASKED_FOR = asked(ACCEPTED)
_MOST = 1000
"""Bytes of a case that is cut at every place."""


def _bytes_of(case: Case) -> bytes | None:
    """All that the server of a case says, where it says it in one go."""
    site = case.server
    if not isinstance(site, Site) or site.scheme == "https" or site.script[:1] != (ASKED,):
        return None
    said = [step for step in site.script[1:] if step is not HANG]
    data = b"".join(step for step in said if isinstance(step, bytes))
    return data if all(isinstance(step, bytes) for step in said) and len(data) <= _MOST else None


WRITTEN = [(case, data) for case in CASES if (data := _bytes_of(case)) is not None]


def outcome(case: Case, *pieces: bytes) -> str:
    """`up`, or the reason, of an answer that comes in these pieces; what is expected of it is not for the reader."""
    reader = ResponseReader("GET", max_bytes=50_000, keep=50_000, asked=ASKED_FOR)
    try:
        for piece in filter(None, pieces):
            reader.feed(piece)
            while reader.held:
                reader.feed(b"")
        if not reader.done and HANG not in case.server.script:  # type: ignore[union-attr]
            reader.eof()
    except LookFailed as failure:
        return failure.reason.value
    finally:
        reader.close()
    return "up" if reader.done else "waits"


@pytest.mark.parametrize(("case", "data"), [pytest.param(*pair, id=str(pair[0])) for pair in WRITTEN])
def test_it_is_the_same_however_it_is_cut(case: Case, data: bytes) -> None:
    whole = outcome(case, data)
    if case.says not in ("status", "blocked", "redirect", "refused") and not case.says.endswith("_timeout"):
        assert whole == case.says
    for cut in range(1, len(data)):
        assert outcome(case, data[:cut], data[cut:]) == whole, cut
    assert outcome(case, *(data[at : at + 1] for at in range(len(data)))) == whole


def test_most_cases_are_bytes() -> None:
    assert len(WRITTEN) > 60
