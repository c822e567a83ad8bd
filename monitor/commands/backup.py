"""`brownout backup FILE`: a verified copy of the journal and the history, beside the running agent."""

from __future__ import annotations

from argparse import Namespace

from monitor.commands._common import FINDING, FINE, WRONG, fail
from monitor.commands._state import state_dir_of, told
from monitor.store.contract import Refused, StoreError
from monitor.store.offline import back_up


def execute(options: Namespace) -> int:
    state_dir = state_dir_of(options)
    if state_dir is None:
        return WRONG
    try:
        copied = back_up(state_dir, options.file, force=options.force, history=not options.no_history)
    except Refused as error:
        return fail(str(error))
    except StoreError as error:
        fail(str(error))
        return FINDING
    print(told(copied))
    return FINE
