"""Answers held against the OpenAPI document."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema

from monitor.web.openapi import document


@cache
def described() -> dict[str, Any]:
    return document()


def assert_described(path: str, status: int, content_type: str, body: Any, method: str = "get") -> None:
    """`path` is the template. The answer is one that the document announces, and the body follows its schema."""
    responses = described()["paths"][path][method]["responses"]
    assert str(status) in responses, f"{path} is not said to answer {status}"
    kind = content_type.partition(";")[0]
    content = responses[str(status)]["content"]
    assert kind in content, f"{path} is not said to answer with {kind}"
    schema = {**content[kind]["schema"], "components": described()["components"]}
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(body)
