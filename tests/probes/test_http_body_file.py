"""A request's body that stands in a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from probes._http.prepared import BODY_BYTES
from probes.contract import BadField, Context, Reason
from probes.http import Http
from tests.probes.answers import answer
from tests.probes.judged import sure_look as look
from tests.probes.judged import unless_void


@unless_void
async def test_a_body_is_read_anew_when_its_file_changes(serve: Any, context: Context, tmp_path: Path) -> None:
    server, file = await serve([answer()]), tmp_path / "order.bin"
    file.write_bytes(b"one \xff\x00")
    probe = Http(url=server.url(), method="POST", body_file=str(file))
    for _ in range(2):
        assert (await look(probe, context)).ok
    first = probe._prepared._last if probe._prepared is not None else None
    (tmp_path / "new").write_bytes(b"another")
    (tmp_path / "new").rename(file)
    seen = await look(probe, context)
    assert seen.ok, seen
    assert [request.partition(b"\r\n\r\n")[2] for request in server.requests] == [b"one \xff\x00"] * 2 + [b"another"]
    assert first is not None
    assert seen.measurements["response_time"] == pytest.approx(
        sum(seen.phases.values()) - seen.phases["resolve"] - seen.phases["body_file"]
    )


@unless_void
async def test_files_that_cannot_be_sent(serve: Any, context: Context, tmp_path: Path) -> None:
    server, large = await serve([answer()]), tmp_path / "large"
    with large.open("wb") as stream:
        os.truncate(stream.fileno(), BODY_BYTES + 1)
    for path, words in ((tmp_path / "none", "No such file"), (tmp_path, "not a regular file"), (large, "16 MiB")):
        seen = await look(Http(url=server.url(), method="POST", body_file=str(path)), context)
        assert seen.reason is Reason.DENIED
        assert words in seen.detail
        assert str(path) in seen.detail
    assert server.requests == []


@pytest.mark.parametrize("fields", [{"body_file": "order.json"}, {"body_file": "/order.json", "body": "x"}])
def test_bad_fields(fields: dict[str, Any]) -> None:
    with pytest.raises(BadField) as raised:
        Http(url="http://h/", method="POST", **fields)
    assert raised.value.field == "body_file"
