"""`brownout schema`: the JSON Schema of checks.yaml (for editors), or of events."""

from __future__ import annotations

import json
from argparse import Namespace
from importlib.resources import files
from typing import Any

from monitor.commands._common import FINE, WRONG, print_json
from monitor.commands._configuration import print_faults
from monitor.config.jsonschema import schema
from monitor.config.model import ConfigError
from monitor.kinds import installed_kinds


def execute(options: Namespace) -> int:
    try:
        print_json(_event_schema() if options.event else schema(installed_kinds()))
    except ConfigError as error:
        print_faults(error)
        return WRONG
    return FINE


def _event_schema() -> Any:
    return json.loads(files("monitor").joinpath("schemas/event.schema.json").read_text(encoding="utf-8"))
