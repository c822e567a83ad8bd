"""`brownout install`: this installation becomes a service of systemd; run again, it mends what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from monitor.commands import _service
from monitor.commands._common import FINDING, FINE, fail
from monitor.commands._placing import Done, Item, Result, anything_changed, place

ROOT = Path("/")


def execute(options: Namespace) -> int:
    wanted = [name for names in options.additions for name in names.split(",") if name]
    unknown = sorted(set(wanted) - set(_service.additions()))
    if unknown:
        return fail(
            f"--with {','.join(unknown)}: there is no such addition; it knows {', '.join(_service.additions())}"
        )
    try:
        unit = _unit(options)
    except _service.NoProgram as error:
        return fail(str(error))
    if refusal := no_rights(options, "install"):
        return fail(refusal)
    added = dict.fromkeys(item for name in dict.fromkeys(wanted) for item in _service.addition(name))
    items = [*_service.configuration(), *added]
    try:
        done = []
        for each in _place(unit, items, options):
            show(each, dry=options.dry_run)
            done.append(each)
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror or error}; what was placed before it stays, run it again")
    except CommandFailed as error:
        fail(str(error))
        return FINDING
    return _conclude(done, options)


def _unit(options: Namespace) -> list[Item]:
    if options.packaged:
        return _service.unit(_service.check_path(options.program), packaged=True)
    program = _service.check_path(options.program) if options.program else _service.own_program()
    packaged = _service.packaged_unit(options.root)
    if packaged is None:
        return _service.unit(program)
    if program.startswith("/usr/lib/brownout/"):
        return []  # the package has placed it
    raise _service.NoProgram(
        f"{packaged} is there already, from a package that has a program of its own: "
        f"apt remove brownout first (state and configuration stay), or use its brownout install"
    )


def _place(unit: list[Item], items: list[Item], options: Namespace) -> Iterator[Done]:
    """The user comes before what belongs to it, and systemd hears of changes at the end. Raises what can go wrong."""
    live = options.root == ROOT and not options.packaged
    reload = live and _needs_reload()
    for item in (*unit, *items):
        done = place(item, options.root, dry=options.dry_run)
        yield done
        if not live:
            continue
        if done.changed and "/sysusers.d/" in item.path:
            run(["systemd-sysusers", item.path], dry=options.dry_run)
        if item.path == _service.SYSCTL and (done.changed or not _service.ping_is_open()):
            run(["/lib/systemd/systemd-sysctl", item.path], dry=options.dry_run)
        reload |= done.changed and "/systemd/system/" in item.path
    if reload and systemd_runs():
        run(["systemctl", "daemon-reload"], dry=options.dry_run)


def _needs_reload() -> bool:
    """True where an earlier run was broken off between its files and its last step."""
    if not systemd_runs():
        return False
    asked = ["systemctl", "show", "--property=NeedDaemonReload", "brownout.service"]
    return "yes" in subprocess.run(asked, capture_output=True, text=True, check=False).stdout  # noqa: S603  (as it stands)


def _conclude(done: list[Done], options: Namespace) -> int:
    changed, kept = anything_changed(done), any(each.outcome is Result.EDITED for each in done)
    if options.dry_run:
        print("Nothing was done: this was --dry-run." if changed else "Nothing would change.")
    elif not changed:
        print("Nothing has changed.")
    elif options.root == ROOT:
        print(f"Next: edit {_service.CONFIG}/checks.yaml, then systemctl enable --now brownout")
        print("      (where it runs already: systemctl restart brownout)")
    if kept:
        print("To have this version's file instead of an edited one, move yours away and run this again.")
    return FINDING if kept else FINE


class CommandFailed(Exception):
    """A program of the system did not do its part."""


def no_rights(options: Namespace, command: str) -> str | None:
    """Why this cannot be done as it was called; None when it can."""
    if os.geteuid() == 0 or options.root != ROOT or options.dry_run:
        return None
    return f"{command} needs root: sudo brownout {command}, or see what it would do with --dry-run"


def show(done: Done, *, dry: bool) -> None:
    print(done.told(dry=dry))
    for line in done.difference:
        print(f"    {line}")


def systemd_runs() -> bool:
    return Path("/run/systemd/system").exists()


def run(command: list[str], *, dry: bool) -> None:
    """Raises `CommandFailed`."""
    print(f"{'would run' if dry else 'run'}: {' '.join(command)}", flush=True)
    if dry:
        return
    if shutil.which(command[0]) is None:
        raise CommandFailed(f"there is no {command[0]} here: Brownout as a service needs systemd")
    ended = subprocess.run(command, check=False, stdin=subprocess.DEVNULL)  # noqa: S603  (fixed commands)
    if ended.returncode != 0:
        raise CommandFailed(f"{' '.join(command)} ended with {ended.returncode}: see above, then run this again")
