"""`brownout schema`: the JSON Schema of checks.yaml (for editors), or of events."""

from __future__ import annotations

import json
from argparse import Namespace
from importlib.resources import files
from typing import Any

from monitor.commands._common import FINE, print_json
from monitor.config.jsonschema import schema
from monitor.kinds import installed_kinds


def execute(options: Namespace) -> int:
    print_json(_event_schema() if options.event else schema(installed_kinds()))
    return FINE


def _event_schema() -> Any:
    return json.loads(files("monitor").joinpath("schemas/event.schema.json").read_text(encoding="utf-8"))
