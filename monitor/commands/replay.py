"""`brownout replay [FILE.jsonl]`: recorded looks through the core again, and what would have been sent for them.

Nothing is sent and nothing is changed: the state directory is opened for reading only, whether an agent runs or not.
Without `--config` looks are judged by what was in force when they were taken; with it, by that configuration alone.
Everything that is kept from before `--since` is lived through first, so that windows and baselines are filled.
"""

from __future__ import annotations

import sqlite3
import sys
from argparse import Namespace
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from monitor.commands._common import FINE, WRONG, fail, print_json
from monitor.commands._configuration import default_file, load_or_explain
from monitor.commands._lived import Basis, as_it_was, by_one, reloads
from monitor.commands._recorded import BEGINNING, Recorded, from_history, from_lines, oldest_looks
from monitor.commands._retold import Told, minute, show
from monitor.commands.export import Wrong, kept_in, when
from monitor.config.model import Config
from monitor.config.redact import Redactor
from monitor.config.suggest import Vocabulary
from monitor.core.event import Source
from monitor.core.lived import Lived
from monitor.core.model import Check, Transition
from monitor.hindsight import Hindsight, differing
from monitor.parts import plan_of
from monitor.replay import Replay, unrecorded
from monitor.store.offline import HISTORY, JOURNAL, each_transition, reading, vantage_of

LOOKS_A_STEP = 500
"""Looks between two moves of the progress bar."""

INTERRUPTED = 130
"""The exit code, as of any program that Ctrl-C has ended."""


@dataclass
class Counted:
    """Looks that were judged: of the time that is told, and of that before it."""

    told: int = 0
    before: int = 0
    last: datetime | None = None
    """When the last of them ended."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be told: of the time from `since` to `until`."""

    since: datetime
    until: datetime
    checks: tuple[str, ...]
    """By name or id; none: all."""

    def of(self, lived: Lived) -> Collection[str]:
        """The ids of the checks."""
        ids: dict[str, str] = {}
        for plan in lived.plans:
            ids |= {check.name: check.id for check in plan.checks.values()}
            ids |= {name: name for name in plan.checks}
        for name in self.checks:
            if name not in ids:
                raise Wrong(Vocabulary("check", ids).unknown(name))
        return {ids[name] for name in self.checks} or set(ids.values())


@dataclass(frozen=True, slots=True)
class Journalled:
    """What the journal has of that time: `then`, what was decided (None where there is no journal), and `sights`,
    what the agent knew of itself and was told of maintenance."""

    then: Hindsight | None = None
    sights: Sequence[Transition] = ()


def execute(options: Namespace) -> int:
    config = None
    if not _alone(options):
        config = load_or_explain(options.config)
        if config is None:
            return WRONG
    try:
        told = _told(options, config)
    except Wrong as error:
        return fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted before there was anything to tell: --check NAME asks for less")
        return INTERRUPTED
    redactor = config.redactor if config is not None else Redactor()
    if options.json:
        print_json(redactor.value(told.as_json()))
    else:
        show(told, config.checks if config is not None else (), redactor.text, every_message=options.all)
    return FINE


def _alone(options: Namespace) -> bool:
    """Whether a state directory has to do, without any configuration."""
    named = options.config is not None or options.looks is not None
    return options.state_dir is not None and not named and not default_file().exists()


def _told(options: Namespace, config: Config | None) -> Told:
    since, until = when(options.since or "7d", "--since"), when(options.until or "0s", "--until")
    if since >= until:
        raise Wrong("--since must be before --until: 7d is longer ago than 1d")
    asked = Asked(since, until, tuple(options.checks))
    if options.looks is not None and config is not None:
        return _of_file(options, config, asked)
    folder = options.state_dir or (config.agent.state_dir if config is not None else Path())
    path = folder / HISTORY
    if not path.exists():
        raise Wrong(
            f"there is no {path}: has an agent run with this state_dir? name another with --state-dir, or a file of "
            "looks (brownout export)"
        )
    with kept_in(path) as db:
        known = oldest_looks(db, until)
        first = min(known.values(), default=None)
        if options.config is not None and config is not None:
            basis = by_one(config)
        else:
            basis = _as_it_was(db, config, folder / JOURNAL, first, until)
        names = asked.of(basis.lived)
        journal = _journalled(folder / JOURNAL, names, asked)
        return _judged(basis, from_history(db, basis.lived, names, known, until), journal, asked)


def _as_it_was(
    db: sqlite3.Connection, config: Config | None, journal: Path, first: datetime | None, until: datetime
) -> Basis:
    source = Source("") if config is None else plan_of(config).source
    if config is None and journal.exists():
        with reading(journal) as known:
            source = Source(vantage_of(known))
    basis = as_it_was(db, config, source, first, until)
    if basis is None:
        raise Wrong("what was in force is not recorded there: name what to judge by with --config")
    return basis


def _of_file(options: Namespace, config: Config, asked: Asked) -> Told:
    """A file has the time that it has: `--since` is for those who say it."""
    basis = by_one(config)
    names = asked.of(basis.lived)
    recorded = _from_file(options.looks, {name: check for name, check in config.checks.items() if name in names})
    since = asked.since if options.since or recorded.first is None else recorded.first
    until = asked.until if options.until or recorded.last is None else recorded.last
    return _judged(basis, recorded, Journalled(), Asked(since, until, asked.checks))


def _from_file(name: str, checks: Mapping[str, Check]) -> Recorded:
    try:
        if name == "-":
            if isinstance(sys.stdin, TextIOWrapper):
                sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
            return from_lines(sys.stdin, checks)
        with Path(name).open(encoding="utf-8-sig", errors="surrogateescape") as lines:
            return from_lines(lines, checks)
    except OSError as error:
        raise Wrong(f"{name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Wrong(f"{'standard input' if name == '-' else name}:{error}") from None


def _journalled(path: Path, names: Collection[str], asked: Asked) -> Journalled:
    if not path.exists():
        return Journalled()
    found, sights = Hindsight(asked.since), list[Transition]()
    try:
        with reading(path) as db:
            for item in each_transition(db, BEGINNING, asked.until):
                if item.kind in ("vantage", "maintenance", "incident", "deploy"):
                    sights.append(item)
                elif item.kind != "check" or item.subject in names:
                    found.take_transitions([item])
    except (sqlite3.Error, ValueError, OSError):
        return Journalled()  # the history is what counts
    return Journalled(found, sights)


def _judged(basis: Basis, recorded: Recorded, journal: Journalled, asked: Asked) -> Told:
    since, until, lived = asked.since, asked.until, basis.lived
    found, counted = Hindsight(since), Counted()
    again = Replay(lived, recorded.ends, journal.sights)
    with _progress(recorded.first, until) as move:
        for look in recorded.looks:
            if look.began.at >= until:
                continue
            for happened in again.take(look):
                found.take(happened.change)
            counted.told += look.began.at >= since
            counted.before += look.began.at < since
            counted.last = max(counted.last or look.ended.at, look.ended.at)
            if (counted.told + counted.before) % LOOKS_A_STEP == 0:
                move(look.ended.at)
    for happened in again.finish(until):
        found.take(happened.change)
    seen = {name: frozenset(names) for name, names in recorded.measured.items()}
    differs: Mapping[str, datetime] = {}
    if basis.as_it_was and journal.then is not None and recorded.first is not None and counted.last is not None:
        kinds = ("check",) if asked.checks else ("check", "service")
        differs = differing(found, journal.then, max(since, recorded.first), counted.last, kinds)
    return Told(
        found=found,
        then=journal.then,
        since=since,
        until=until,
        by=basis.by,
        as_it_was=basis.as_it_was,
        looks=counted.told,
        lived_through=counted.before,
        first=recorded.first,
        reloads=tuple(reloads(lived, since, until)),
        differs=differs,
        remarks=basis.remarks,
        strangers=recorded.strangers,
        silent=recorded.silent,
        missing={} if basis.as_it_was else unrecorded(lived.plans[-1].checks, seen),
    )


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
