"""`brownout restore FILE`: a backup in the place of the journal, while no agent runs."""

from __future__ import annotations

from argparse import Namespace

from monitor.commands._common import FINDING, FINE, WRONG, fail
from monitor.commands._state import state_dir_of, told
from monitor.store.contract import Refused, StoreBusy, StoreError
from monitor.store.offline import restore


def execute(options: Namespace) -> int:
    state_dir = state_dir_of(options)
    if state_dir is None:
        return WRONG
    try:
        copied = restore(options.file, state_dir)
    except (Refused, StoreBusy) as error:
        return fail(f"{error}; nothing was restored")
    except StoreError as error:
        fail(str(error))
        return FINDING
    print(told(copied))
    if copied.kept:
        print(f"what was there is kept as {copied.kept}: restore that to have it back")
    return FINE
