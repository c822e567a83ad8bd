"""`brownout export`: what is kept of the past, as JSON lines or CSV, out of the state directory.

It opens the files for reading only, whether an agent runs or not, and writes line by line as it reads.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor.commands._common import FINE, WRONG, fail
from monitor.commands._configuration import load_or_explain
from monitor.commands._records import CSV, Clean, Record, events, incidents, rollups, samples, transitions, written
from monitor.config.suggest import Vocabulary
from monitor.config.units import parse_duration
from monitor.store.offline import HISTORY, JOURNAL, known_checks, reading


class Wrong(Exception):
    """It cannot be done as asked; the text says what to write."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the past lies, and what the configuration knows of it."""

    folder: Path
    ids: Mapping[str, str]
    """By a check's name or id: its id."""
    units: Mapping[tuple[str, str], str]
    """By a check's id and a measurement."""
    clean: Clean = lambda value: value
    """Takes the configuration's secrets out of texts."""


def execute(options: Namespace) -> int:
    try:
        source = _source(options)
        if source is None:
            return WRONG
        since, until = when(options.since, "--since"), when(options.until, "--until")
        if since >= until:
            raise Wrong("--since must be before --until: 7d is longer ago than 1d")
        return _export(options, source, since, until)
    except Wrong as error:
        return fail(str(error))


def _source(options: Namespace) -> Source | None:
    """None after the configuration's faults were printed."""
    if options.state_dir is not None:
        return Source(options.state_dir, {}, {})
    config = load_or_explain(options.file, ending="; with --state-dir DIR the past is read without the configuration")
    if config is None:
        return None
    ids = {check.name: check.id for check in config.checks.values()} | {name: name for name in config.checks}
    units = {
        (check.id, item.name): item.unit.value for check in config.checks.values() for item in check.probe.measured
    }
    return Source(config.agent.state_dir, ids, units, config.redactor.value)


def _export(options: Namespace, source: Source, since: datetime, until: datetime) -> int:
    of_looks = options.what in ("samples", "rollups")
    path = source.folder / (HISTORY if of_looks else JOURNAL)
    if options.checks and options.what in ("events", "incidents"):
        raise Wrong(f"--check goes with samples, rollups and transitions, not with {options.what}")
    if not source.folder.is_dir() or not path.exists():
        raise Wrong(f"there is no {path}: has an agent run with this state_dir? name another with --state-dir")
    with kept_in(path) as db:
        count = _write(options, _records(options, source, db, since, until))
    if not count:
        print(f"brownout: nothing of that is kept between {_iso(since)} and {_iso(until)}", file=sys.stderr)
    return FINE


@contextmanager
def kept_in(path: Path) -> Iterator[sqlite3.Connection]:
    """What an agent keeps there, for reading. Raises `Wrong` where it cannot be read, also while it is being used."""
    try:
        with reading(path) as db:
            yield db
    except (sqlite3.Error, ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # of whoever reads the output
            raise
        raise Wrong(
            f"cannot read {path}: {error}; run this as the agent's user, and see whether the file is whole"
        ) from None


def _records(
    options: Namespace, source: Source, db: sqlite3.Connection, since: datetime, until: datetime
) -> Iterator[Record]:
    match options.what:
        case "samples":
            for check in _asked(options.checks, source, known_checks(db)):
                yield from samples(db, check, since, until, source.units)
        case "rollups":
            step = _step(options.step)
            for check in _asked(options.checks, source, known_checks(db)):
                yield from rollups(db, check, since, until, step, source.units)
        case "transitions":
            asked = [source.ids.get(name, name) for name in options.checks]
            yield from transitions(db, since, until, asked, source.clean)
        case "events":
            yield from events(db, since, until, source.clean)
        case _:
            yield from incidents(db, since, until, source.clean)


def _asked(names: list[str], source: Source, known: list[str]) -> list[str]:
    """The ids of the checks to write. Raises `Wrong` for a name that nothing is kept of."""
    ids = [source.ids.get(name, name) for name in names]
    for name, identity in zip(names, ids, strict=True):
        if identity not in known:
            if name in source.ids:
                raise Wrong(f'nothing is kept yet of the check "{name}"')
            raise Wrong(Vocabulary("check", (*source.ids, *known)).unknown(name))
    return ids or known


def _write(options: Namespace, records: Iterator[Record]) -> int:
    count = 0
    if options.format == "csv":
        print(",".join(CSV[options.what]))
    for record in records:
        for line in written(record, options.what, options.format):
            print(line)
        count += 1
    sys.stdout.flush()
    return count


def when(text: str, option: str) -> datetime:
    """``7d`` (ago), or a time such as 2026-03-01 or 2026-03-01T14:00Z; without a zone it is UTC."""
    if re.fullmatch(r"(?:[0-9.]+[a-zµ]+)+", text):
        try:
            return datetime.now(UTC) - parse_duration(text)
        except ValueError as error:
            raise Wrong(f"{option}: {error}") from None
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise Wrong(
            f'{option}: "{text}" is neither a duration such as 7d nor a time such as 2026-03-01T14:00Z'
        ) from None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def _step(text: str) -> timedelta:
    try:
        step = parse_duration(text)
    except ValueError as error:
        raise Wrong(f"--step: {error}") from None
    if step < timedelta(minutes=5):
        raise Wrong("--step must be at least 5m: roll-ups are kept of 5 minutes and of hours")
    return step


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
