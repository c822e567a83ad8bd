"""A deploy, with real processes: maintenance announced from the command line outlives the agent, and pages nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.commands.called import called
from tests.end_to_end.rig import Receiver, Target, agent, answering, check_status, listening, until, until_state
from tests.end_to_end.stage import page, write_checks

TOKEN = "operate-operate-operate"
TOKENS = f"  tokens: {{ci: {{token: {TOKEN}, scopes: [operate]}}}}\n"


@pytest.mark.timeout(180)
async def test_a_deploy_pages_nobody_and_what_it_leaves_broken_is_told(tmp_path: Path) -> None:
    shop, api = Target(), Target()
    async with listening(Receiver()) as receiver, answering(shop), answering(api):
        config = write_checks(tmp_path, receiver, page("shop", shop.url), page("api", api.url), agent=TOKENS)

        async def brownout(url: str, *words: str) -> str:
            done = await asyncio.to_thread(lambda: called("maintain", *words, "--url", url, BROWNOUT_TOKEN=TOKEN))
            assert done.returncode == 0, done.stderr
            return done.stdout

        with agent(tmp_path, "run", config) as first:
            url = await first.started()
            await until_state(url, "shop", "up")
            await until_state(url, "api", "up")
            assert "is in maintenance until" in await brownout(url, "shop", "api", "--for", "1h", "--why", "release")
            shop.status = api.status = 500
            await until_state(url, "shop", "down")
            await until_state(url, "api", "down")
            assert (await check_status(url, "shop"))["flags"] == ["maintenance"]
            api.status = 200
            await until_state(url, "api", "up")
            await first.kill()
        with agent(tmp_path, "run", config) as second:
            url = await second.started()
            await until_state(url, "shop", "down")
            assert "release (by ci)" in await brownout(url)
            assert receiver.told == []
            assert "ended: shop, api" in await brownout(url, "--end", "shop, api")
            await until(lambda: len(receiver.told) >= 2, "what is broken to be told")
            assert receiver.incidents() == [("opened", "outage")]
            assert receiver.checks("shop") == [("up", "down", "status")]
            assert receiver.checks("api") == []
            assert receiver.told[0].event["sentence"].endswith("The maintenance is over.")
            shop.status = 200
            await until(lambda: receiver.incidents()[-1][0] == "resolved", "the end of it")
