"""`brownout run [FILE]`: the agent, until it is stopped."""

from __future__ import annotations

import os
from argparse import Namespace

from monitor.app import StartError
from monitor.commands._common import WRONG, fail
from monitor.commands._configuration import load_or_explain
from monitor.config.load import load
from monitor.config.model import Config
from monitor.kinds import installed_kinds
from monitor.lifetime import run_agent


def execute(options: Namespace) -> int:
    config = load_or_explain(options.file, ending="; nothing was started")
    if config is None:
        return WRONG
    path, kinds = config.path, installed_kinds()

    def again() -> Config:
        return load(path, kinds=kinds, env=os.environ)

    try:
        return run_agent(config, again)
    except StartError as error:
        return fail(f"{error}; nothing was started")
