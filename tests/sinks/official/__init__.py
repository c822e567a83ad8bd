"""What the vendors say that may be sent: the schemas of their own documents, as far as we send.

Each file names where it comes from (`x-source`). They hold parts of what was published, unchanged: the requests that
a sink makes, and what those refer to. `limits.json` has the limits that are told in prose only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

_FOLDER = Path(__file__).parent


@cache
def document(name: str) -> Any:
    """A vendor's document by its file's name, without ``.json``."""
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def limits(vendor: str) -> Mapping[str, Any]:
    """What a vendor tells in prose only."""
    found: Mapping[str, Any] = document("limits")[vendor]
    return found


def hold(name: str, path: str, sent: Any) -> None:
    """Hold what was sent against the schema at `path` (``components/schemas/Event``; empty: all of it) of a document.
    Fails with the validator's own words; formats count, too."""
    whole = document(name)
    parts = {key: whole[key] for key in ("components", "definitions", "$defs", "paths") if key in whole}
    schema = {"$ref": f"#/{path}"} | parts if path else whole
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(sent)
