"""The console sink: one harmless line, and never a wait."""

from __future__ import annotations

import contextlib
import io
import os

import httpx
import pytest

from monitor.sinks.console import Console, harmless, render
from monitor.sinks.contract import SendFailed
from tests.sinks.made import context, delivery


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def printed(terminal: io.StringIO, sink: Console | None = None, **facts: object) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        await (sink or Console()).send(delivery(**facts), context(client, terminal))
    return terminal.getvalue()


async def test_one_line_with_time_symbol_and_sentence() -> None:
    line = await printed(io.StringIO())
    assert line[8:] == " ✖ Web shop is down: connection refused\n"
    assert line[:8].count(":") == 2


@pytest.mark.parametrize(
    ("new", "symbol", "colour"),
    [("operational", "✔", 32), ("up", "✔", 32), ("degradation", "▲", 33), ("down", "✖", 31), ("unknown", "?", 90)],
)
async def test_colours_on_a_terminal(new: str, symbol: str, colour: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    line = await printed(Terminal(), state={"old": "x", "new": new}, sentence="S")
    assert line[9:] == f"\x1b[{colour}m{symbol} S\x1b[0m\n"


async def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in await printed(Terminal())
    assert "\x1b" in await printed(Terminal(), Console(colour=True))


async def test_a_hostile_sentence_is_harmless() -> None:
    hostile = "up\x1b]0;pwned\x07\x1b[2J\r\n12:00:00 ✔ forged\x9b31m\u202etxet\u2028" + "x" * 5000
    line = await printed(io.StringIO(), sentence=hostile)
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    assert len(line) < 420


def test_harmless_keeps_what_people_write() -> None:
    assert harmless("größer als 5 €,  日本 👍") == "größer als 5 €, 日本 👍"


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"state": "down", "sentence": null}', b"null"])
def test_any_body_makes_a_line(body: bytes) -> None:
    assert render(delivery(body))[9:] == "• incident.opened"


def test_ascii_where_the_terminal_knows_no_more() -> None:
    assert render(delivery(sentence="größer"), ascii_only=True)[9:] == "X gr??er"


def fill(descriptor: int) -> None:
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"x" * 4096)
    os.set_blocking(descriptor, True)


async def test_a_pipe_that_nobody_reads_does_not_hold_the_agent() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb", buffering=0) as reader, os.fdopen(write, "w") as terminal:
        fill(write)
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(SendFailed, match="does not read"):
                await Console().send(delivery(), context(client, terminal))
            reader.read(65536)
            await Console().send(delivery(), context(client, terminal))
            terminal.close()
            with pytest.raises(SendFailed, match="closed") as raised:
                await Console().send(delivery(), context(client, terminal))
            assert not raised.value.permanent
