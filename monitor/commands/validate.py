"""`brownout validate [FILE]`: every fault of the configuration at once, or what it would watch, with hints."""

from __future__ import annotations

import os
from argparse import Namespace

from monitor.commands._common import FINE, WRONG, print_json
from monitor.commands._configuration import default_file, load_or_explain
from monitor.config.hints import hints, missing_files
from monitor.config.load import load
from monitor.config.model import Config, ConfigError
from monitor.kinds import installed_kinds


def execute(options: Namespace) -> int:
    if options.json:
        return _as_json(options)
    config = load_or_explain(options.file)
    if config is None:
        return WRONG
    print(f"{config.path}: fine: {_summary(config)}")
    for hint in (*hints(config), *missing_files(config)):
        print(f"hint: {hint}")
    return FINE


def _as_json(options: Namespace) -> int:
    try:
        config = load(options.file or default_file(), kinds=installed_kinds(), env=os.environ)
    except ConfigError as error:
        faults = [fault.as_json() for fault in error.faults]
        print_json({"valid": False, "faults": faults, "more_faults": error.more})
        return WRONG
    print_json({
        "valid": True,
        "faults": [],
        "more_faults": 0,
        "checks": list(config.checks),
        "services": [service.id for service in config.services.values() if not service.implicit],
        "sinks": list(config.sinks),
        "hints": [*hints(config), *missing_files(config)],
    })  # fmt: skip
    return FINE


def _summary(config: Config) -> str:
    services = sum(not service.implicit for service in config.services.values())
    counts = [
        (len(config.checks), "check"),
        (services, "service"),
        (len(config.sinks), "sink"),
        (len(config.routes), "route"),
    ]
    told = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)
    return f"{told}, {config.disabled} disabled" if config.disabled else told
