"""Nobody answers, with real processes: others are called, also by an agent that was killed meanwhile, until somebody
acknowledges from the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.commands.called import called
from tests.end_to_end.rig import Receiver, Target, agent, answering, listening, until, until_state
from tests.end_to_end.stage import page, write_checks

TOKEN = "operate-operate-operate"
TOKENS = f"  tokens: {{ops: {{token: {TOKEN}, scopes: [operate]}}}}\n"
ROUTES = """routes:
  - escalate: [{to: hook}, {after: 1s, to: call}, {after: 4s, to: call}, {after: 2m, to: everyone}]
    when: impact = outage
"""


def kinds(receiver: Receiver) -> list[str]:
    told = (item.event for item in receiver.told)
    return [event["update"]["kind"] if "update" in event else event["type"].split(".")[1] for event in told]


@pytest.mark.timeout(180)
async def test_others_are_called_until_somebody_acknowledges(tmp_path: Path) -> None:
    shop = Target()
    async with listening(Receiver()) as chat, listening(Receiver()) as phone, answering(shop):
        config = write_checks(tmp_path, chat, page("shop", shop.url), agent=TOKENS)
        text = config.read_text().partition("routes:")[0].replace(
            "\nsinks:\n", f'\nsinks:\n  call: {{type: webhook, url: "{phone.url}", secret: "${{HOOK_SECRET}}"}}\n'
        )  # fmt: skip
        config.write_text(text + ROUTES.replace("everyone", "[hook, call]"))

        async def brownout(url: str, *words: str, expected: int = 0) -> str:
            done = await asyncio.to_thread(lambda: called(*words, "--url", url, BROWNOUT_TOKEN=TOKEN, COLUMNS="140"))
            assert done.returncode == expected, done.stderr + done.stdout
            return done.stdout

        with agent(tmp_path, "run", config) as first:
            url = await first.started()
            await until_state(url, "shop", "up")
            shop.status = 500
            await until(lambda: kinds(phone) == ["escalated"], "the first call")
            assert kinds(chat) == ["opened", "escalated"]
            await first.kill()
        with agent(tmp_path, "run", config) as second:
            url = await second.started()
            await until(
                lambda: kinds(phone) == ["escalated", "escalated"], "the second call, of an agent that was killed"
            )
            assert "nobody; hook, call at" in await brownout(url, "incidents", expected=1)
            said = await brownout(url, "ack", "shop", "--by", "ann")
            assert said.startswith("the outage of shop: ann (ops) has it, since ")
            await brownout(url, "note", "rolling", "back", "--by", "bob")
            assert "ann (ops)" in await brownout(url, "incidents", expected=1)
            course = await brownout(url, "incidents", "shop", expected=1)
            assert "acknowledged  by ann (ops)\n" in course
            assert "note          by bob (ops): rolling back\n" in course
            await until(lambda: kinds(phone)[2:] == ["acknowledged", "note"], "that to be told to who was called")
            shop.status = 200
            await until(lambda: kinds(chat)[-1] == "resolved" and kinds(phone)[-1] == "resolved", "the end of it")
            calls = [kind for kind in kinds(chat) if kind == "escalated"]
            assert len(calls) == 2, "who has it was not called again"
            assert "nobody" not in await brownout(url, "incidents")
            done = await asyncio.to_thread(lambda: called("ack", "--url", url, BROWNOUT_TOKEN=TOKEN))
            assert (done.returncode, done.stderr) == (2, "brownout: no incident is open\n")
