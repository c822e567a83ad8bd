"""`brownout uninstall`: the service goes, and what `install` placed; state and configuration only with --purge."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from monitor.commands import _service
from monitor.commands._common import FINDING, FINE, fail
from monitor.commands._placing import Done, Result, anything_changed, remove, remove_tree
from monitor.commands.install import ROOT, CommandFailed, no_rights, run, show, systemd_runs


def execute(options: Namespace) -> int:
    packaged = _service.packaged_unit(options.root)
    if packaged is not None:
        return fail(
            f"{packaged} came with a package: apt remove brownout, or apt purge brownout to forget everything"
        )
    if refusal := no_rights(options, "uninstall"):
        return fail(refusal)
    try:
        done = _remove(options)
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror or error}; what was removed before it is gone, run it again")
    except CommandFailed as error:
        fail(str(error))
        return FINDING
    for each in done:
        if each.outcome is not Result.GONE:
            show(each, dry=options.dry_run)
    return _conclude(done, options)


def _remove(options: Namespace) -> list[Done]:
    unit = _service.unit("/opt/brownout/bin/brownout")
    if options.root == ROOT and systemd_runs() and Path(unit[-1].path).exists():
        run(["systemctl", "disable", "--now", "brownout"], dry=options.dry_run)
    added = dict.fromkeys(item for name in _service.additions() for item in _service.addition(name))
    files = [*added, *reversed(unit)]
    done = [remove(item, options.root, dry=options.dry_run, edits=options.purge) for item in files]
    done.append(remove(_service.additions_folder(), options.root, dry=options.dry_run, edits=False))
    if options.purge:
        folders = (*_service.STATE, _service.CONFIG)
        done += [remove_tree(folder, options.root, dry=options.dry_run) for folder in folders]
    if options.root == ROOT and anything_changed(done) and systemd_runs():
        run(["systemctl", "daemon-reload"], dry=options.dry_run)
    return done


def _conclude(done: list[Done], options: Namespace) -> int:
    kept = any(each.outcome is Result.EDITED for each in done)
    if not anything_changed(done):
        print("Nothing to remove.")
    elif options.dry_run:
        print("Nothing was done: this was --dry-run.")
    if not options.purge:
        print(
            f"Left: {_service.STATE[0]} (its journal) and {_service.CONFIG}; --purge removes them, and edited files."
        )
    if options.root == ROOT and (options.purge or not kept):
        print(f"The user {_service.USER} stays, so that nobody else gets its number.")
    return FINDING if kept else FINE
