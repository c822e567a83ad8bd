"""The key `flapping`: ``on``, ``off``, or figures of one's own; at a check, at a service, and under `defaults`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import core_schema

from monitor.config.document import Plain
from monitor.config.fields import Duration, FieldsModel, Whole, choice
from monitor.config.secrets import Secrets
from monitor.config.units import format_duration
from monitor.core.model import Flapping

FEWEST, MOST = 2, 100
"""Bouts that may be written: the first one is told in any case."""
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=7)


def _check_bouts(bouts: int) -> int:
    if bouts < FEWEST:
        raise ValueError(f"must be at least {FEWEST}: the first change for the worse is always told")
    if bouts > MOST:
        raise ValueError(f"must be at most {MOST}; off tells every change")
    return bouts


def _check_span(span: timedelta) -> timedelta:
    if not SHORTEST <= span <= LONGEST:
        raise ValueError(f"must be {format_duration(SHORTEST)} to {format_duration(LONGEST)}")
    return span


_Bouts = Annotated[Whole, AfterValidator(_check_bouts)]
_Span = Annotated[Duration, AfterValidator(_check_span)]


class FlappingKeys(FieldsModel):
    """When changes are too many to be told one by one."""

    bouts: _Bouts | None = Field(
        default=None, description="So many changes for the worse in a span are told as flapping (3)"
    )
    within: _Span | None = Field(default=None, description="The span in which they are counted (1h)")
    quiet: _Span | None = Field(
        default=None, description="It is over when nothing has changed for so long (half of within)"
    )


class _Off(FlappingKeys):
    """Every change is told."""


_DEFAULT = Flapping()
_SWITCH = choice({"on": FlappingKeys(), "off": _Off()})


class Switched:
    """Annotates `FlappingKeys`: in place of the mapping ``on`` or ``off`` may stand."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.with_info_wrap_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [*_SWITCH.schema["anyOf"], handler(schema)]}

    @staticmethod
    def _read(value: Plain, mapping: Any, info: Any) -> Any:
        if isinstance(value, dict):
            return mapping(value)
        secrets: Secrets = info.context
        try:
            return _SWITCH.parse(secrets.resolve(value, public=True))
        except ValueError as error:
            raise ValueError(f"{error}; figures of your own are a mapping such as {{bouts: 3, within: 1h}}") from None


OnOff = Annotated[FlappingKeys, Switched()]


def resolve(own: FlappingKeys | None, default: FlappingKeys | None) -> Flapping | None:
    """What is written at a check or a service, above what is written under `defaults`; None: every change is told."""
    if isinstance(own or default, _Off):
        return None
    given = {**_written(default), **_written(own)}
    if "within" in given:
        given.setdefault("quiet", given["within"] / 2)
    return replace(_DEFAULT, **given) if given else _DEFAULT


def _written(keys: FlappingKeys | None) -> dict[str, Any]:
    return {key: value for key, value in keys if value is not None} if keys else {}
