"""With real processes: an action runs a real command, which hangs, is ended in time, and begins once."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.commands.called import called
from tests.end_to_end.rig import Receiver, Target, agent, answering, listening, until, until_state
from tests.end_to_end.stage import page, write_checks

TOKEN = "operate-operate-operate"
TOKENS = f"  tokens: {{ci: {{token: {TOKEN}, scopes: [operate]}}}}\n"
HANGS = """#!/bin/sh
env > {folder}/environment
echo "began $BROWNOUT_INCIDENT for $1" >> {folder}/begun
sleep 3600 &
echo $! > {folder}/child
wait
"""


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def actions_of(receiver: Receiver) -> list[str]:
    told = [item.event for item in receiver.told if item.event.get("update", {}).get("kind") == "action"]
    return [event["update"]["text"] for event in told]


@pytest.mark.timeout(180)
async def test_a_command_that_hangs_is_ended_and_begins_once(tmp_path: Path) -> None:
    script, shop = tmp_path / "drain", Target()
    script.write_text(HANGS.format(folder=tmp_path), encoding="utf-8")
    script.chmod(0o755)
    section = f"""
actions:
  drain: {{run: [{script}, shop], dry_run: false, timeout: 2s, cool_down: 0s}}
  page: {{run: [{script}, never]}}
"""
    async with listening(Receiver()) as receiver, answering(shop):
        config = write_checks(tmp_path, receiver, page("shop", shop.url), agent=TOKENS)
        config.write_text(config.read_text(encoding="utf-8") + section, encoding="utf-8")

        async def brownout(url: str, *words: str) -> str:
            done = await asyncio.to_thread(lambda: called("actions", *words, "--url", url, BROWNOUT_TOKEN=TOKEN))
            assert done.returncode == 0, done.stderr
            return done.stdout

        with agent(tmp_path, "run", config) as first:
            url = await first.started()
            await until_state(url, "shop", "up")
            assert "drain" in await brownout(url)
            shop.status = 500
            await until_state(url, "shop", "down")
            await until(lambda: any("no end within" in text for text in actions_of(receiver)), "its end")
            assert any(text.startswith("The action page would be taken") for text in actions_of(receiver))
            assert (tmp_path / "begun").read_text(encoding="utf-8").count("for shop") == 1
            child = int((tmp_path / "child").read_text(encoding="utf-8"))
            await until(lambda: not lives(child), "what it has started to be ended too")
            seen = (tmp_path / "environment").read_text(encoding="utf-8")
            assert "BROWNOUT_ACTION=drain" in seen
            assert "BROWNOUT_IMPACT=outage" in seen
            assert TOKEN not in seen
            assert "no end within 2 s" in await brownout(url)
            shop.status = 200
            await until_state(url, "shop", "up")
            (tmp_path / "begun").unlink()
            config.write_text(config.read_text(encoding="utf-8").replace("timeout: 2s", "timeout: 5m"), "utf-8")
            await asyncio.to_thread(lambda: called("reload", "--url", url, BROWNOUT_TOKEN=TOKEN))
            await first.kill()
        with agent(tmp_path, "run", config) as second:
            url = await second.started()
            await until_state(url, "shop", "up")
            shop.status = 500
            await until(lambda: (tmp_path / "begun").exists(), "it to begin")
            child = int((tmp_path / "child").read_text(encoding="utf-8"))
            await second.kill()
            os.kill(child, 9)
        with agent(tmp_path, "run", config) as third:
            url = await third.started()
            await until(lambda: any("what became of it is not known" in t for t in actions_of(receiver)), "the loss")
            await until_state(url, "shop", "down")
            assert "ci has stopped them all" in await brownout(url, "--stop")
            shop.status = 200
            await until_state(url, "shop", "up")
            shop.status = 500
            await until(
                lambda: any("is held: ci has stopped all actions" in text for text in actions_of(receiver)), "a brake"
            )
            assert (tmp_path / "begun").read_text(encoding="utf-8").count("for shop") == 1
            assert "They are taken." in await brownout(url, "--start")
