"""`brownout replay [FILE.jsonl]`: recorded looks through the core again, and what would have been sent for them.

Nothing is sent and nothing is changed: the state directory is opened for reading only, whether an agent runs or not.
Everything that is kept from before `--since` is lived through first, so that windows and baselines are filled.
"""

from __future__ import annotations

import sqlite3
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor.commands._common import FINE, WRONG, fail, print_json
from monitor.commands._configuration import load_or_explain
from monitor.commands._recorded import BEGINNING, Recorded, from_history, from_lines
from monitor.commands._retold import Told, minute, show
from monitor.commands.export import Wrong, kept_in, when
from monitor.config.model import Config
from monitor.config.suggest import Vocabulary
from monitor.core.model import Check, Transition
from monitor.hindsight import Hindsight
from monitor.parts import plan_of
from monitor.replay import Replay, unrecorded
from monitor.store.offline import HISTORY, JOURNAL, each_transition, reading

LOOKS_A_STEP = 500
"""Looks between two moves of the progress bar."""


@dataclass
class Counted:
    """Looks that were judged: of the time that is told, and of that before it."""

    told: int = 0
    before: int = 0


def execute(options: Namespace) -> int:
    config = load_or_explain(options.config)
    if config is None:
        return WRONG
    try:
        since, until = when(options.since, "--since"), when(options.until, "--until")
        if since >= until:
            raise Wrong("--since must be before --until: 7d is longer ago than 1d")
        told = _told(options, config, _asked(config, options.checks), since, until)
    except Wrong as error:
        return fail(str(error))
    if options.json:
        print_json(config.redactor.value(told.as_json()))
    else:
        show(told, config, every_message=options.all)
    return FINE


def _asked(config: Config, names: list[str]) -> Mapping[str, Check]:
    ids = {check.name: check.id for check in config.checks.values()} | {name: name for name in config.checks}
    for name in names:
        if name not in ids:
            raise Wrong(Vocabulary("check", ids).unknown(name))
    asked = {ids[name] for name in names} or set(config.checks)
    return {name: check for name, check in config.checks.items() if name in asked}


def _told(options: Namespace, config: Config, checks: Mapping[str, Check], since: datetime, until: datetime) -> Told:
    if options.looks is not None:
        recorded = _from_file(options.looks, checks)
        # A file has the time that it has: --since is for those who say it.
        since = since if options.since != "7d" or recorded.first is None else recorded.first
        until = until if options.until != "0s" or recorded.last is None else recorded.last
        return _judged(config, recorded, None, since, until)
    folder = options.state_dir or config.agent.state_dir
    path = folder / HISTORY
    if not path.exists():
        raise Wrong(
            f"there is no {path}: has an agent run with this state_dir? name another with --state-dir, or a file of "
            "looks (brownout export)"
        )
    then, sights = _journalled(folder / JOURNAL, checks, since, until)
    with kept_in(path) as db:
        return _judged(config, from_history(db, checks, until), then, since, until, sights)


def _from_file(name: str, checks: Mapping[str, Check]) -> Recorded:
    try:
        if name == "-":
            return from_lines(sys.stdin, checks)
        with Path(name).open(encoding="utf-8") as lines:
            return from_lines(lines, checks)
    except OSError as error:
        raise Wrong(f"{name} cannot be read: {error.strerror}") from None
    except ValueError as error:  # also of what is no UTF-8
        raise Wrong(f"{'standard input' if name == '-' else name}:{error}") from None


def _journalled(
    path: Path, checks: Mapping[str, Check], since: datetime, until: datetime
) -> tuple[Hindsight | None, list[Transition]]:
    """What was decided at that time, by the journal (None where there is none), and what the agent knew of itself."""
    if not path.exists():
        return None, []
    found, sights = Hindsight(since), []
    try:
        with reading(path) as db:
            for item in each_transition(db, BEGINNING, until):
                if item.kind in ("vantage", "maintenance"):
                    sights.append(item)
                elif item.kind != "check" or item.subject in checks:
                    found.take_transitions([item])
    except (sqlite3.Error, ValueError, OSError):
        return None, []  # the history is what counts
    return found, sights


def _judged(
    config: Config,
    recorded: Recorded,
    then: Hindsight | None,
    since: datetime,
    until: datetime,
    sights: Sequence[Transition] = (),
) -> Told:
    found, counted, again = Hindsight(since), Counted(), Replay(plan_of(config), recorded.ends, sights)
    with _progress(recorded.first, until) as move:
        for look in recorded.looks:
            if look.began.at >= until:
                continue
            for happened in again.take(look):
                found.take(happened.change)
            counted.told += look.began.at >= since
            counted.before += look.began.at < since
            if (counted.told + counted.before) % LOOKS_A_STEP == 0:
                move(look.ended.at)
    for happened in again.finish(until):
        found.take(happened.change)
    seen = {name: frozenset(names) for name, names in recorded.measured.items()}
    return Told(
        found, then, since, until, counted.told, counted.before, recorded.first, recorded.strangers, recorded.silent,
        unrecorded(config.checks, seen),
    )  # fmt: skip


@contextmanager
def _progress(first: datetime | None, until: datetime) -> Iterator[Callable[[datetime], None]]:
    """A bar on a terminal, by the time that was lived through; elsewhere nothing."""
    if first is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    whole = max((until - first).total_seconds(), 1.0)
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("judging again", total=whole)

        def move(at: datetime) -> None:
            progress.update(task, completed=(at - first).total_seconds(), description=f"judging {minute(at)}")

        yield move
