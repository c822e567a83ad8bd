"""A drill on a real agent: told like an incident, marked as none, and nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.commands.called import called
from tests.end_to_end.rig import Receiver, Target, agent, answering, check_status, listening, until, until_state
from tests.end_to_end.stage import page, write_checks

TOKEN = "operate-operate-operate"
TOKENS = f"  tokens: {{ci: {{token: {TOKEN}, scopes: [operate]}}}}\n"


@pytest.mark.timeout(120)
async def test_a_drill_reaches_everybody_and_changes_nothing(tmp_path: Path) -> None:
    shop = Target()
    async with listening(Receiver()) as receiver, answering(shop):
        config = write_checks(tmp_path, receiver, page("shop", shop.url), agent=TOKENS)
        with agent(tmp_path, "run", config) as running:
            url = await running.started()
            await until_state(url, "shop", "up")
            before = len(receiver.told)

            def play(*words: str) -> tuple[int, str]:
                done = called("drill", "outage", "shop", "--for", "2s", "--url", url, *words, BROWNOUT_TOKEN=TOKEN)
                return done.returncode, done.stdout + done.stderr

            code, printed = await asyncio.to_thread(play)
            assert (code, printed.splitlines()[-1]) == (0, "Every sink was reached."), printed
            assert re.match(r"    \+0\.\d s  opened       for hook$", printed.splitlines()[0]), printed
            told = [item.event for item in receiver.told[before:]]
            assert [event["type"] for event in told] == ["incident.opened", "incident.resolved"]
            assert all(event["drill"] and event["sentence"].startswith("[DRILL] ") for event in told)
            assert (await check_status(url, "shop"))["state"] == "up"

            receiver.refuses = 401
            code, printed = await asyncio.to_thread(play)
            assert code == 1
            assert "has refused opened (answered 401 (Unauthorized)): it is given up" in printed
            receiver.refuses = None

            code, printed = await asyncio.to_thread(lambda: play("--json"))
            course = json.loads(printed)
            assert (code, course["owed"], course["impact"]) == (0, [], "outage")
            assert [attempt["outcome"] for attempt in course["attempts"]] == ["accepted", "accepted"]

            code, printed = await asyncio.to_thread(lambda: play("--sinks", "pagers"))
            assert code == 2
            assert printed == "brownout: the agent refused: No drill was begun: no sink is called pagers.\n"
            wrong = ("drill", "outage", "shp", "--url", url)
            misspelt = await asyncio.to_thread(lambda: called(*wrong, BROWNOUT_TOKEN=TOKEN))
            assert "No drill was begun: no service has this name (did you mean shop?)." in misspelt.stderr
            await until(lambda: receiver.told[-1].event["type"] == "incident.resolved", "the end")
