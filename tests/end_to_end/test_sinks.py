"""A receiver refuses: `brownout sinks` tells, tests, lists, sends again; a removed sink is told the end."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.commands.called import called
from tests.end_to_end.rig import Receiver, Target, agent, answering, listening, until, until_state
from tests.end_to_end.stage import page, write_checks

TOKEN = "operate-operate-operate"
TOKENS = f"  tokens: {{ci: {{token: {TOKEN}, scopes: [operate, admin]}}}}\n"


@pytest.mark.timeout(120)
async def test_what_was_refused_is_listed_and_sent_again_and_a_removed_sink_is_told_the_end(tmp_path: Path) -> None:
    shop = Target()
    async with listening(Receiver()) as receiver, answering(shop):
        config = write_checks(tmp_path, receiver, page("shop", shop.url), agent=TOKENS)
        with agent(tmp_path, "run", config) as running:
            url = await running.started()

            async def sinks(*words: str) -> tuple[int, str]:
                done = await asyncio.to_thread(called, "sinks", *words, "--url", url, BROWNOUT_TOKEN=TOKEN)
                return done.returncode, done.stdout + done.stderr

            await until_state(url, "shop", "up")
            code, printed = await sinks()
            assert (code, "hook  webhook  fine" in printed) == (0, True), printed
            code, printed = await sinks("test", "hook")
            assert code == 0, printed
            assert printed.splitlines()[0] == "incident.opened: accepted"
            tested = [item.event for item in receiver.told[-2:]]
            assert [event["test"] for event in tested] == [True, True]
            assert all(event["sentence"].startswith("[TEST] ") for event in tested)
            code, printed = await sinks("test", "hooks")
            assert (
                code,
                "refused: No sink has this name (did you mean hook?); brownout sinks lists them.\n" in printed,
            ) == (2, True)

            receiver.refuses = 410
            shop.status = 500
            await until_state(url, "shop", "down")
            await until(lambda: receiver.refused > 0, "a refusal")
            code, printed = await sinks()
            assert (code, "disabled" in printed, "answered 410 (Gone)" in printed) == (1, True, True), printed
            code, printed = await sinks("dead", "--json")
            letter = next(item for item in json.loads(printed) if item["type"] == "incident.opened")
            assert "answered 410 (Gone)" in letter["error"]
            receiver.refuses = None
            code, printed = await sinks("replay", letter["event"])
            assert (code, printed.startswith("1 dead letter on the way again")) == (0, True), printed
            await until(lambda: receiver.told[-1].event["id"] == letter["event"], "what was given up")

            told = len(receiver.told)
            text = re.sub(r"(?m)^(sinks|routes):\n(  .*\n)+", "", config.read_text("utf-8"))
            config.write_text(text, "utf-8")
            done = await asyncio.to_thread(called, "reload", config, "--url", url, BROWNOUT_TOKEN=TOKEN)
            assert done.returncode == 0, done.stderr
            shop.status = 200
            await until_state(url, "shop", "up")
            await until(lambda: receiver.told[-1].event["type"] == "incident.resolved", "the end")
            assert len(receiver.told) == told + 1
