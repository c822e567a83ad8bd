"""Messages of units counted in a real journal, read by the real journalctl, and by ones that misbehave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from probes.contract import BadField, Context, Observation, Reason
from probes.error_rate import ErrorRate
from probes.error_rate.journald import Journald
from tests.servers.journal import Journal

ERR, INFO = 3, 6


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    (tmp_path / "journal").mkdir()
    return Journal(tmp_path / "journal")


@pytest.fixture
async def probe(journal: Journal) -> AsyncIterator[ErrorRate]:
    probe = ErrorRate(journald=("web", "worker@*.service"), directory=str(journal.folder))
    yield probe
    await probe.close()


def counted(seen: Observation) -> tuple[float, float]:
    assert seen.ok, seen
    return seen.measurements["requests"], seen.measurements["bad_requests"]


async def test_messages_of_units_by_priority(journal: Journal, probe: ErrorRate, context: Context) -> None:
    journal.write("web.service", ERR, "before the first look")
    assert "requests" not in (await probe.look(context)).measurements
    journal.write("web.service", INFO, "served", times=7)
    journal.write("worker@2.service", ERR, "cannot reach https://a.example/?token=tell-no-one")
    journal.write("worker@2.service", 2, "\udcff\x01 is no text")
    journal.write("worker@2.service", None, "without a priority")
    journal.write("other.service", ERR, "of another unit")
    seen = await probe.look(context)
    assert counted(seen) == (10, 2)
    assert seen.measurements["error_rate"] == 0.2
    assert seen.evidence["worst_unit"] == "worker@2.service (2 of 2 bad)"
    assert "is no text" in seen.evidence["bad_message"]
    assert counted(await probe.look(context)) == (0, 0)


async def test_what_is_shown_has_no_query(journal: Journal, probe: ErrorRate, context: Context) -> None:
    await probe.look(context)
    journal.write("web.service", ERR, "GET /a?token=tell-no-one failed")
    assert (await probe.look(context)).evidence["bad_message"] == "GET /a?… failed"


async def test_an_empty_journal_and_one_that_is_not_there(tmp_path: Path, probe: ErrorRate, context: Context) -> None:
    assert "requests" not in (await probe.look(context)).measurements
    assert counted(await probe.look(context)) == (0, 0)
    Journal(tmp_path / "journal").write("web.service", ERR, "the first of all")
    assert counted(await probe.look(context)) == (1, 1)
    seen = await replace(probe, directory=str(tmp_path / "none")).look(context)
    assert seen.reason is Reason.SOURCE
    assert "No such file" in seen.detail


async def test_goes_on_after_a_restart_and_not_after_a_long_break(
    journal: Journal, probe: ErrorRate, context: Context
) -> None:
    await probe.look(context)
    journal.write("web.service", ERR, "while the agent was off")
    assert counted(await replace(probe).look(context)) == (1, 1)
    journal.write("web.service", ERR, "long ago")
    context.memory["journald.wall"] = time.time() - 3600
    seen = await replace(probe).look(context)
    assert "requests" not in seen.measurements
    assert "nobody read" in seen.evidence["passed_over"]
    assert counted(await probe.look(context)) == (0, 0)


async def test_a_place_in_the_journal_that_is_lost(journal: Journal, probe: ErrorRate, context: Context) -> None:
    journal.write("web.service", INFO, "a")
    await probe.look(context)
    context.memory["journald.cursor"] = "of no journal"
    assert (await probe.look(context)).reason is Reason.SOURCE
    assert "requests" not in (await probe.look(context)).measurements
    journal.write("web.service", INFO, "b")
    assert counted(await probe.look(context)) == (1, 0)


async def test_many_messages_and_looks_that_overlap(journal: Journal, probe: ErrorRate, context: Context) -> None:
    await probe.look(context)
    journal.write("web.service", INFO, "x" * 300, times=5000)
    seen = await asyncio.gather(*(probe.look(context) for _ in range(3)))
    assert sum(counted(each)[0] for each in seen) == 5000


# --- a journalctl that misbehaves -----------------------------------------------------------------------------------


@pytest.fixture
def pretend(tmp_path: Path, context: Context) -> Callable[[str], ErrorRate]:
    """A check that has taken its first look, and whose journalctl is the script."""

    def make(script: str) -> ErrorRate:
        program = tmp_path / "journalctl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        probe = ErrorRate(journald=("web",))
        assert isinstance(probe._source, Journald)
        probe._source.program = str(program)
        context.memory["journald.cursor"], context.memory["journald.wall"] = "s=1", time.time()
        return probe

    return make


Pretend = Callable[[str], ErrorRate]
ENTRY = '{"__CURSOR": "s=%d", "PRIORITY": "3", "MESSAGE": "m"}'


async def test_no_journalctl(pretend: Pretend, context: Context) -> None:
    probe = pretend("exit 0")
    assert isinstance(probe._source, Journald)
    probe._source.program = "/nonexistent/journalctl"
    seen = await probe.look(context)
    assert seen.reason is Reason.UNSUPPORTED
    assert "journalctl" in seen.detail


async def test_a_user_who_may_not_read_it(pretend: Pretend, context: Context) -> None:
    words = "No journal files were opened due to insufficient permissions."
    seen = await pretend(f"echo '{words}' >&2; exit 1").look(context)
    assert seen.reason is Reason.DENIED
    assert "group systemd-journal" in seen.detail


async def test_one_that_says_nothing(pretend: Pretend, context: Context) -> None:
    began = time.monotonic()
    seen = await pretend("sleep 60").look(replace(context, timeout=1.0))
    assert seen.reason is Reason.SOURCE
    assert time.monotonic() - began < 2.0


async def test_one_that_does_not_end(pretend: Pretend, context: Context) -> None:
    script = f"for i in 1 2 3; do printf '{ENTRY}\\n' $i; done; printf '{ENTRY[:20]}' 4; sleep 60"
    seen = await pretend(script).look(replace(context, timeout=2.0))
    assert counted(seen) == (3, 3)
    assert "next look" in seen.evidence["behind"]
    assert context.memory["journald.cursor"] == "s=3", "half a line is read again"


async def test_one_that_writes_garbage_for_ever(pretend: Pretend, context: Context) -> None:
    script = "cat /dev/zero & yes '[[[[[' & yes '{\"__CURSOR\": 7, \"PRIORITY\": [1]}' | head -n 3; wait"
    began = time.monotonic()
    seen = await pretend(script).look(replace(context, timeout=1.0))
    assert seen.ok
    assert time.monotonic() - began < 3.0


async def test_it_leaves_no_process(pretend: Pretend, context: Context, tmp_path: Path) -> None:
    probe = pretend(f"echo $$ > {tmp_path}/pid; sleep 61 & echo $! >> {tmp_path}/pid; wait")
    await probe.look(replace(context, timeout=1.0))
    for pid in map(int, (tmp_path / "pid").read_text().split()):
        # A zombie is for the test machine's init to reap.
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"journald": ("a b",)}, "journald"),
        ({"journald": ("--root=x",)}, "journald"),
        ({"journald": ("web",), "directory": "journal"}, "directory"),
        ({"journald": ("web",), "format": "json"}, "format"),
    ],
)
def test_what_cannot_be_meant_is_told(fields: dict[str, Any], key: str) -> None:
    with pytest.raises(BadField) as raised:
        ErrorRate(**fields)
    assert raised.value.field == key
