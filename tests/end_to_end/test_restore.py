"""A machine is lost. Another goes on from yesterday's backup: what was told is known, what was told since comes again
with the same ids."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.end_to_end.rig import (
    Receiver,
    Target,
    agent,
    answering,
    check_status,
    listening,
    look_times,
    until,
    until_state,
)
from tests.end_to_end.stage import CALM, page, write_checks
from tests.store.test_backup import brownout


@pytest.mark.timeout(120)
async def test_from_a_backup_the_story_goes_on(tmp_path: Path) -> None:
    async with listening(Receiver()) as receiver, answering(Target()) as target:
        file = write_checks(tmp_path, receiver, page("home", target.url), pace=CALM)
        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            await until_state(url, "home", "up")
            target.status = 500
            await until(lambda: len(receiver.told) == 2, "the outage")
            await look_times(url, "home", 2)
            down = await check_status(url, "home")
            code, said = brownout("backup", tmp_path / "backup.db", "--state-dir", tmp_path / "state")
            assert (code, "1 open incidents, 0 undelivered" in said) == (0, True), said
            code, said = brownout("restore", tmp_path / "backup.db", "--state-dir", tmp_path / "state")
            assert code == 2
            assert f"another agent (pid {running.process.pid})" in said
            target.status = 200
            await until(lambda: len(receiver.webhooks) == 6, "the recovery")
            await running.kill()
        first = [hook.id for hook in receiver.webhooks]
        target.status = 500
        shutil.rmtree(tmp_path / "state")
        code, said = brownout("restore", tmp_path / "backup.db", "--state-dir", tmp_path / "state")
        assert code == 0, said
        with agent(tmp_path, "run", file) as running:
            url = await running.started()
            await look_times(url, "home", 3)
            again = await check_status(url, "home")
            assert (again["state"], again["since"]) == ("down", down["since"])
            assert len(receiver.webhooks) == 6, "what was accepted before the backup is not sent again"
            target.status = 200
            await until(lambda: len(receiver.webhooks) == 10, "the recovery, which the backup knows nothing of")
            await look_times(url, "home", 2)
            assert await running.stop() == 0
        assert sorted(hook.id for hook in receiver.webhooks[6:]) == sorted(first[2:]), "with the ids of before"
