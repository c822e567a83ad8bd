"""`brownout run [FILE]`: the agent, until it is stopped."""

from __future__ import annotations

from argparse import Namespace

from monitor.app import StartError, run_agent
from monitor.commands._common import WRONG, fail, load_or_explain


def execute(options: Namespace) -> int:
    config = load_or_explain(options.file, ending="; nothing was started")
    if config is None:
        return WRONG
    try:
        return run_agent(config)
    except StartError as error:
        return fail(f"{error}; nothing was started")
