"""With real processes: what is silenced outlives the agent, and is told when it ends; and who is on call is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.commands.called import called
from tests.end_to_end.rig import Receiver, Target, agent, answering, listening, until, until_state
from tests.end_to_end.stage import page, write_checks

TOKEN = "operate-operate-operate"
TOKENS = f"  tokens: {{ci: {{token: {TOKEN}, scopes: [operate]}}}}\n"
PEOPLE = """
people: {ann: {sms: {type: console}}, bob: {sms: {type: console}}}
oncall: {rotation: [ann, bob], from: 2026-11-23,
  overrides: [{who: bob, from: 2026-12-24 18:00, until: 2026-12-26 09:00}]}
"""


@pytest.mark.timeout(180)
async def test_what_is_silenced_is_told_at_its_end_and_somebody_is_on_call(tmp_path: Path) -> None:
    shop = Target()
    async with listening(Receiver()) as receiver, answering(shop):
        config = write_checks(tmp_path, receiver, page("shop", shop.url), agent=TOKENS)
        config.write_text(config.read_text(encoding="utf-8") + PEOPLE, encoding="utf-8")

        async def brownout(url: str, *words: str, code: int = 0) -> str:
            done = await asyncio.to_thread(lambda: called(*words, "--url", url, BROWNOUT_TOKEN=TOKEN))
            assert done.returncode == code, done.stderr
            return done.stdout + done.stderr

        with agent(tmp_path, "run", config) as first:
            url = await first.started()
            await until_state(url, "shop", "up")
            assert "a silence always ends" in await brownout(url, "silence", "service = shop", code=2)
            assert "unknown check" in await brownout(url, "silence", "check = shpo", "--for", "1h", code=2)
            told = await brownout(url, "silence", "check = shop", "--for", "1h", "--why", "a move")
            assert "check = shop is silenced until" in told
            name = told.split()[-1]
            said = await brownout(url, "oncall", "--at", "2026-12-25T10:00Z")
            assert said.startswith("bob is on call until Sat 2026-12-26")
            assert said.endswith("(override).\n")
            assert "ann is on call" in await brownout(url, "oncall", "--at", "2026-11-24T10:00Z")
            shop.status = 500
            await until_state(url, "shop", "down")
            await first.kill()
        with agent(tmp_path, "run", config) as second:
            url = await second.started()
            await until_state(url, "shop", "down")
            assert "a move (by ci)" in await brownout(url, "silence")
            assert receiver.told == []
            assert f"ended: {name}" in await brownout(url, "silence", "--end", name)
            await until(lambda: bool(receiver.incidents()), "what is broken to be told")
            assert receiver.told[0].event["sentence"].endswith("It is not silenced any more.")
            assert "Nothing is silenced." in await brownout(url, "silence")
            shop.status = 200
            await until(lambda: receiver.incidents()[-1][0] == "resolved", "the end of it")
